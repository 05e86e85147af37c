"""The pages of service accounts: what there is, who answers for it, what it may, and its keys.

HTML forms that work without scripts; what they do is done by the functions behind `/v1/organization/service_accounts`.
What opens a door becomes a proposal and waits for a second person; what closes one is done at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api.access import require
from gateway.api.services import (
    change_account,
    collect_key,
    disable_account,
    propose_account,
    propose_service_key,
    revoke_service_key,
)
from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.identity.api_keys import KeyInfo
from gateway.identity.minting import MAX_NAME
from gateway.identity.proposals import MAX_NOTE
from gateway.identity.service_accounts import SERVICE_SCOPES, Fault, id_of
from gateway.identity.service_desk import ServiceDesk
from gateway.identity.service_proposals import MAX_DESCRIPTION
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.governing import read_form
from gateway.web.keys import SCOPE_WORDS
from gateway.web.pages import page

router = APIRouter(include_in_schema=False)

LIFETIMES_DAYS: Final = (7, 30, 90, 180)
USUAL_DAYS: Final = 90
SCOPE_FIELD: Final = "scope."
"""A box of a form is called `scope.<permission>`: each name once, so that a form comes back as it was."""

TROUBLE: Final[Mapping[Fault, str]] = {
    "service-disabled": "switched off",
    "service-orphaned": "orphan: nobody answers for it",
    "owner-not-seen": "rests: its owner has not signed in for long",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One key of a service's table."""

    id: str
    name: str
    scopes: tuple[str, ...]
    networks: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None
    used_from: str
    is_live: bool


@router.get("/services")
async def services(request: Request) -> Response:
    """All of them, what waits for a second person, and the form that proposes one."""
    actor = await require(request, Permission.SERVICE_MANAGE)
    desk = _desk(request)
    found = await desk.list()
    used = await desk.last_used(found)
    rows = [
        {"account": account, "trouble": _trouble(desk.fault_of(account)), "used_at": used.get(account.id)}
        for account in found
    ]
    context = {"rows": rows, **await _waiting(request, actor), **await _form_facts(request)}
    return page(request, actor, "services.html", context)


@router.get("/services/{name}")
async def service(request: Request, name: str) -> Response:
    """One of them, its keys, and what can be done."""
    actor = await require(request, Permission.SERVICE_MANAGE)
    desk = _desk(request)
    account = await desk.get(name)
    context = {
        "account": account,
        "trouble": _trouble(desk.fault_of(account)),
        "scope_words": [_scope_words(scope) for scope in sorted(account.terms.scopes)],
        "keys": [_row(key, services_of(request).clock()) for key in await desk.keys_of(account)],
        "lifetimes": [days for days in LIFETIMES_DAYS if days <= _longest(request)] or [_longest(request)],
        "usual_days": min(USUAL_DAYS, _longest(request)),
        "longest_name": MAX_NAME,
        **await _waiting(request, actor, account.id),
        **await _form_facts(request),
    }
    return page(request, actor, "service.html", context)


@router.post("/services")
async def propose(request: Request) -> Response:
    """Propose a service."""
    form = await read_form(request)
    actor = await require(request, Permission.SERVICE_MANAGE)
    await propose_account(
        request, actor, name=form.get("name", "").strip(), note=form.get("note", ""), **_terms_in(form)
    )
    return RedirectResponse("/services", 303)


@router.post("/services/{name}/change")
async def change(request: Request, name: str) -> Response:
    """Narrow it at once, or propose to widen it."""
    form = await read_form(request)
    actor = await require(request, Permission.SERVICE_MANAGE)
    await change_account(request, actor, name, _terms_in(form), note=form.get("note", ""))
    return RedirectResponse(f"/services/{name}", 303)


@router.post("/services/{name}/switch")
async def switch(request: Request, name: str) -> Response:
    """Off at once; on again takes two people."""
    form = await read_form(request)
    actor = await require(request, Permission.SERVICE_MANAGE)
    act = form.get("act", "")
    if act == "off":
        await disable_account(request, actor, name)
    elif act == "on":
        await change_account(request, actor, name, {"is_enabled": True}, note=form.get("note", ""))
    else:
        raise InvalidRequest("A service is switched on or off.", param="act")
    return RedirectResponse(f"/services/{name}", 303)


@router.post("/services/{name}/keys")
async def propose_key(request: Request, name: str) -> Response:
    """Propose a key for it."""
    form = await read_form(request)
    actor = await require(request, Permission.SERVICE_MANAGE)
    days = form.get("days", "")
    if not days.isascii() or not days.isdigit() or len(days) > 4:
        raise InvalidRequest("Choose how long the key may live.", param="days")
    await propose_service_key(
        request,
        actor,
        name,
        key=form.get("key", ""),
        scopes=_scopes_in(form),
        networks=form.get("networks", "").split(),
        days=int(days),
        note=form.get("note", ""),
    )
    return RedirectResponse(f"/services/{name}", 303)


@router.post("/services/{name}/keys/{key_id}/revoke")
async def revoke(request: Request, name: str, key_id: str) -> Response:
    """End a key at once."""
    await read_form(request)
    actor = await require(request, Permission.SERVICE_MANAGE)
    await revoke_service_key(request, actor, name, key_id)
    return RedirectResponse(f"/services/{name}", 303)


@router.post("/services/keys/{proposal_id}")
async def collect(request: Request, proposal_id: str) -> Response:
    """Make an agreed key and show it, once. The answer is kept by no cache; loading it again shows nothing."""
    await read_form(request)
    actor = await require(request, Permission.SERVICE_MANAGE)
    key = await collect_key(request, actor, proposal_id)
    context = {
        "key": _row(key.info, services_of(request).clock()),
        "secret": key.secret,
        "name": key.info.actor.partition("|")[2],
    }
    return page(request, actor, "service_key.html", context)


def _desk(request: Request) -> ServiceDesk:
    return services_of(request).identity.services


def _longest(request: Request) -> int:
    return services_of(request).settings.identity.service_key_max_days


async def _waiting(request: Request, actor: Actor, service: str = "") -> dict[str, Any]:
    """What waits for a second person, and what this person may collect now; all of it, or of one service."""
    desk = _desk(request)
    kinds = services_of(request).identity.proposal_kinds
    asked = [
        {"proposal": proposal, "title": (await kinds[proposal.kind].describe(proposal.payload)).title}
        for proposal in await desk.open_proposals()
        if service in ("", proposal.payload.get("service", id_of(proposal.payload["name"])))
    ]
    ready = [one for one in await desk.waiting_for(actor.id) if service in ("", one.proposal.payload["service"])]
    return {"asked": asked, "ready": ready, "me": actor.id}


async def _form_facts(request: Request) -> dict[str, Any]:
    """What the forms offer."""
    desk = _desk(request)
    return {
        "scopes": [{"code": scope.value, "words": _scope_words(scope)} for scope in SERVICE_SCOPES],
        "owners": await desk.owners(),
        "issuers": desk.issuers,
        "longest_description": MAX_DESCRIPTION,
        "longest_note": MAX_NOTE,
    }


def _terms_in(form: Mapping[str, str]) -> dict[str, Any]:
    return {
        "description": form.get("description", ""),
        "owner": form.get("owner", ""),
        "scopes": _scopes_in(form),
        "networks": form.get("networks", "").split(),
        "client_provider": form.get("client_provider", ""),
        "client_subject": form.get("client_subject", ""),
    }


def _scopes_in(form: Mapping[str, str]) -> list[str]:
    return [name.removeprefix(SCOPE_FIELD) for name in form if name.startswith(SCOPE_FIELD)]


def _trouble(fault: Fault | None) -> str:
    return "" if fault is None else TROUBLE[fault]


def _scope_words(scope: Permission) -> str:
    return SCOPE_WORDS.get(scope, scope.value)


def _row(key: KeyInfo, now: datetime) -> KeyRow:
    return KeyRow(
        id=key.id,
        name=key.name,
        scopes=tuple(_scope_words(scope) for scope in sorted(key.scopes)),
        networks=key.networks,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        used_at=key.used_at,
        used_from=key.used_from,
        is_live=key.revoked_at is None and key.expires_at > now,
    )
