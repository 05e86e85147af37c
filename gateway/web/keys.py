"""The page of a person's API keys. It shows; making and revoking go through `/v1/keys`, like any other client's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.api.access import require
from gateway.identity.api_keys import GRANTABLE, KeyInfo
from gateway.identity.minting import MAX_NAME
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.pages import page

router = APIRouter(include_in_schema=False)

SCOPE_WORDS: Final[Mapping[Permission, str]] = {
    Permission.IMAGE_GENERATE: "make pictures",
    Permission.SCREENING_ASK: "ask what would be stopped, without making anything",
    Permission.MODEL_LIST: "list the models",
    Permission.CREDIT_READ: "see your credits",
}
"""What the form offers: what a key may carry at all, as far as there is something behind it."""

USUAL_SCOPES: Final = (Permission.IMAGE_GENERATE, Permission.MODEL_LIST)
LIFETIMES_DAYS: Final = (1, 7, 30, 60, 90)
MAX_NETWORKS_TEXT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One line of the table."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None
    used_from: str
    networks: tuple[str, ...]
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What stands in the form: the usual, or what was typed before a walk to the identity provider."""

    name: str
    days: int
    scopes: tuple[str, ...]
    networks: str


@router.get("/keys")
async def keys(request: Request) -> Response:
    actor = await require(request, Permission.KEY_MANAGE)
    services = services_of(request)
    settings = services.settings
    now = services.clock()
    lifetimes = [days for days in LIFETIMES_DAYS if days <= settings.identity.key_max_days]
    usual_days = min(settings.identity.key_default_days, settings.identity.key_max_days)
    lifetimes = sorted({*lifetimes, usual_days})
    context = {
        "keys": [_row(key, now) for key in await services.identity.keys.list(actor)],
        "scopes": [{"code": code.value, "words": words} for code, words in SCOPE_WORDS.items() if code in GRANTABLE],
        "lifetimes": lifetimes,
        "longest_name": MAX_NAME,
        "draft": _draft(request, lifetimes, usual_days),
        "base_url": settings.server.public_url.rstrip("/"),
        "model": settings.upstream.default_model,
    }
    return page(request, actor, "keys.html", context)


def _row(key: KeyInfo, now: datetime) -> KeyRow:
    return KeyRow(
        id=key.id,
        name=key.name,
        scopes=tuple(SCOPE_WORDS.get(scope, scope.value) for scope in sorted(key.scopes)),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        used_at=key.used_at,
        used_from=key.used_from,
        networks=key.networks,
        is_live=key.revoked_at is None and key.expires_at > now,
    )


def _draft(request: Request, lifetimes: list[int], usual_days: int) -> Draft:
    """Only fills fields; what may be granted is decided when the key is asked for."""
    asked = request.query_params
    days = int(asked["days"]) if asked.get("days", "") in {str(n) for n in lifetimes} else usual_days
    scopes = tuple(asked.getlist("scope")) or tuple(scope.value for scope in USUAL_SCOPES)
    networks = asked.get("networks", "")[:MAX_NETWORKS_TEXT]
    return Draft(name=asked.get("name", "")[:MAX_NAME], days=days, scopes=scopes, networks=networks)
