"""`GET /v1/models`: only what the caller may use."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from gateway.api.access import require
from gateway.errors import NotFound
from gateway.services import services_of
from gateway.upstream.catalogue import Model
from gateway.vocabulary import Permission

router = APIRouter()


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    await require(request, Permission.MODEL_LIST)
    known = await services_of(request).catalogue.models()
    return {"object": "list", "data": [_entry(model) for model in known.values()]}


@router.get("/v1/models/{model_id}")
async def model(request: Request, model_id: str) -> dict[str, Any]:
    await require(request, Permission.MODEL_LIST)
    known = (await services_of(request).catalogue.models()).get(model_id)
    if known is None:
        raise NotFound("There is no such model.", code="model_not_found", param="model")
    return _entry(known)


def _entry(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by or "imprimatur",
        "sizes": list(model.sizes),
        "default_size": model.default_size or "auto",
        "max_n": model.max_n,
        "digest": model.digest,
    }
