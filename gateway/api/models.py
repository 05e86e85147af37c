"""`GET /v1/models`: only what the caller may use, and what each of them can do."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request

from gateway.api.access import origin_of, request_id_of, require
from gateway.errors import NotFound
from gateway.exchange import Actor, ImageRequest, Usage
from gateway.policy import build_input
from gateway.services import services_of
from gateway.upstream.catalogue import Model
from gateway.vocabulary import TASKS, Permission

router = APIRouter()

CLOSED: Final = ("model.", "role.", "subject.", "policy.")
"""Families of reasons that close a model to somebody. Others (the hour, a used-up day) pass, and hide nothing."""


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    actor = await require(request, Permission.MODEL_LIST)
    known = await services_of(request).catalogue.models()
    entries = [_entry(model, tasks) for model in known.values() if (tasks := await _tasks(request, actor, model))]
    return {"object": "list", "data": entries}


@router.get("/v1/models/{model_id:path}")
async def model(request: Request, model_id: str) -> dict[str, Any]:
    actor = await require(request, Permission.MODEL_LIST)
    known = (await services_of(request).catalogue.models()).get(model_id)
    tasks = [] if known is None else await _tasks(request, actor, known)
    if known is None or not tasks:  # the same answer: who may not use it need not learn that it is there
        raise NotFound("There is no such model.", code="model_not_found", param="model")
    return _entry(known, tasks)


async def _tasks(request: Request, actor: Actor, model: Model) -> list[str]:
    """The jobs that this model does and that policy has open for the actor."""
    return [
        task
        for permission, task in TASKS.items()
        if (not model.tasks or task in model.tasks) and await _is_open(request, actor, permission, model)
    ]


async def _is_open(request: Request, actor: Actor, permission: Permission, model: Model) -> bool:
    services = services_of(request)
    question = build_input(
        request_id=request_id_of(request),
        now=services.clock(),
        actor=actor,
        request=ImageRequest(action=permission, prompt="", model=model.id),
        origin=origin_of(request),
        usage=Usage(),
        findings=(),
        stage="request",
        cost_credits=0,
        prompt_hmac="",
        mode="preview",
    )
    decision = await services.policy.decide(question)
    return not any(reason.code.startswith(CLOSED) for reason in decision.reasons)


def _entry(model: Model, tasks: list[str]) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by or "imprimatur",
        "tasks": tasks,
        "sketch": "sketch" in model.knows and "generate" in tasks,
        "max_input_images": model.max_input_images,
        "sizes": list(model.sizes),
        "default_size": model.default_size or "auto",
        "max_n": model.max_n,
        "digest": model.digest,
    }
