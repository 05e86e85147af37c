"""A person's own API keys. Only a browser session may ask. Policy decides who may make one, and asks for a fresh second
factor; seeing and ending one's own keys needs neither, because closing a door is never made hard.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import credentials_of, origin_of, require
from gateway.exchange import Actor
from gateway.identity.api_keys import KeyInfo
from gateway.identity.throttle import network_of
from gateway.services import services_of
from gateway.vocabulary import Event, Permission

router = APIRouter()


class MintBody(BaseModel):
    """What a new key is asked to be. No scopes: it may do nothing."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(max_length=200)]
    scopes: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=32)] = []
    days: int | None = None
    networks: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=32)] = []


@router.get("/v1/keys")
async def keys(request: Request) -> dict[str, Any]:
    """The caller's keys, the newest first. Never their secrets: those are not here any more."""
    actor = await _owner(request)
    return {"object": "list", "data": [_entry(info) for info in await services_of(request).identity.keys.list(actor)]}


@router.post("/v1/keys", status_code=201)
async def mint(request: Request, body: MintBody) -> dict[str, Any]:
    """A new key, shown this once. Recorded before it works: a key that the log does not know can't exist."""
    actor = await require(request, Permission.KEY_MANAGE)
    services = services_of(request)
    key = await services.identity.keys.prepare(
        actor, name=body.name, scopes=body.scopes, days=body.days, networks=body.networks
    )
    content = {
        "key": key.info.id,
        "name": key.info.name,
        "scopes": sorted(key.info.scopes),
        "networks": list(key.info.networks),
        "expires_at": key.info.expires_at.isoformat(),
    }
    await services.record(Event.KEY_MINT, actor, origin_of(request), content=content)
    await services.identity.keys.store(key, network_of(origin_of(request).ip))
    return {**_entry(key.info), "key": key.secret}


@router.delete("/v1/keys/{key_id}")
async def revoke(request: Request, key_id: str) -> dict[str, Any]:
    """End a key at once. Ended before it is recorded: a log that can't be written must not keep a key alive."""
    actor = await _owner(request)
    services = services_of(request)
    await services.identity.keys.revoke(actor, key_id)
    await services.record(Event.KEY_REVOKE, actor, origin_of(request), content={"key": key_id})
    return {"id": key_id, "object": "api_key", "deleted": True}


async def _owner(request: Request) -> Actor:
    return await services_of(request).identity.authenticate(credentials_of(request), origin_of(request))


def _entry(info: KeyInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "object": "api_key",
        "name": info.name,
        "scopes": sorted(info.scopes),
        "created_at": info.created_at.isoformat(),
        "expires_at": info.expires_at.isoformat(),
        "networks": list(info.networks),
        "last_used_at": _text(info.used_at),
        "last_used_from": info.used_from or None,
        "revoked_at": _text(info.revoked_at),
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
