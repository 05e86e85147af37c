"""`/v1/organization/service_accounts`: programs of the company that act in their own name, and their keys.

Close to OpenAI's admin API for a project's service accounts, with one difference in substance: nothing here that opens
a door happens by one person. Such a request answers 202 with the proposal that another has to agree to
(`/v1/organization/proposals`). What narrows or ends something happens at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import origin_of, require
from gateway.api.proposing import proposal_json, submit
from gateway.exchange import Actor
from gateway.identity.api_keys import KeyInfo, NewKey
from gateway.identity.proposals import Proposal
from gateway.identity.service_accounts import ServiceAccount, Terms
from gateway.services import services_of
from gateway.vocabulary import Event, Permission

router = APIRouter()

Text = Annotated[str, Field(max_length=600)]
Words = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=32)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class AccountBody(_Body):
    """A service that is asked for. No scopes: it may do nothing."""

    name: Text
    description: Text
    owner: Text
    scopes: Words = []
    networks: Words = []
    client_provider: Text = ""
    client_subject: Text = ""
    note: Text


class ChangeBody(_Body):
    """What should be otherwise; what is left away stays."""

    description: Text | None = None
    owner: Text | None = None
    scopes: Words | None = None
    networks: Words | None = None
    client_provider: Text | None = None
    client_subject: Text | None = None
    is_enabled: bool | None = None
    note: Text = ""


class KeyBody(_Body):
    """A key that is asked for."""

    name: Text
    scopes: Words = []
    networks: Words = []
    days: int | None = None
    note: Text


@router.get("/v1/organization/service_accounts")
async def accounts(request: Request) -> dict[str, Any]:
    """All of them by name, disabled ones among them."""
    await require(request, Permission.SERVICE_MANAGE)
    found = await services_of(request).identity.services.list()
    data = [account_json(request, account) for account in found]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": False,
    }


@router.post("/v1/organization/service_accounts", status_code=202)
async def create(request: Request, body: AccountBody) -> dict[str, Any]:
    """Propose a service."""
    actor = await require(request, Permission.SERVICE_MANAGE)
    return proposal_json(await propose_account(request, actor, **body.model_dump()))


@router.get("/v1/organization/service_accounts/{name}")
async def account(request: Request, name: str) -> dict[str, Any]:
    """One of them."""
    await require(request, Permission.SERVICE_MANAGE)
    return account_json(request, await services_of(request).identity.services.get(name))


@router.post("/v1/organization/service_accounts/{name}")
async def change(request: Request, name: str, body: ChangeBody, response: Response) -> dict[str, Any]:
    """Narrow it at once, or propose to widen it (202)."""
    actor = await require(request, Permission.SERVICE_MANAGE)
    asked = body.model_dump(exclude={"note"}, exclude_none=True)
    done = await change_account(request, actor, name, asked, note=body.note)
    if isinstance(done, Proposal):
        response.status_code = 202
        return proposal_json(done)
    return account_json(request, done)


@router.delete("/v1/organization/service_accounts/{name}")
async def disable(request: Request, name: str) -> dict[str, Any]:
    """Switch it off at once. Its records, keys and owner stay on file."""
    actor = await require(request, Permission.SERVICE_MANAGE)
    done = await disable_account(request, actor, name)
    return {"object": "organization.service_account.deleted", "id": done.id, "deleted": True, "status": "disabled"}


@router.get("/v1/organization/service_accounts/{name}/api_keys")
async def keys(request: Request, name: str) -> dict[str, Any]:
    """Its keys, the newest first. Never their secrets: those are not here any more."""
    await require(request, Permission.SERVICE_MANAGE)
    desk = services_of(request).identity.services
    return {"object": "list", "data": [key_json(info) for info in await desk.keys_of(await desk.get(name))]}


@router.post("/v1/organization/service_accounts/{name}/api_keys", status_code=202)
async def propose_key(request: Request, name: str, body: KeyBody) -> dict[str, Any]:
    """Propose a key. Nothing of it exists until it is collected."""
    actor = await require(request, Permission.SERVICE_MANAGE)
    return proposal_json(
        await propose_service_key(request, actor, name, **body.model_dump(exclude={"name"}), key=body.name)
    )


@router.post("/v1/organization/service_accounts/api_keys/{proposal_id}/collect", status_code=201)
async def collect(request: Request, proposal_id: str, response: Response) -> dict[str, Any]:
    """Make the key that two people agreed to, and show it, once, to who proposed it."""
    actor = await require(request, Permission.SERVICE_MANAGE)
    key = await collect_key(request, actor, proposal_id)
    response.headers["cache-control"] = "no-store"
    return {**key_json(key.info), "value": key.secret}


@router.delete("/v1/organization/service_accounts/{name}/api_keys/{key_id}")
async def revoke(request: Request, name: str, key_id: str) -> dict[str, Any]:
    """End a key at once."""
    actor = await require(request, Permission.SERVICE_MANAGE)
    await revoke_service_key(request, actor, name, key_id)
    return {"id": key_id, "object": "organization.service_account.api_key.deleted", "deleted": True}


async def propose_account(request: Request, actor: Actor, *, name: str, note: str, **fields: Any) -> Proposal:
    """Propose a service with these terms. Raises InvalidRequest."""
    desk = services_of(request).identity.services
    terms = desk.account_kind.read(name, **fields)
    return await submit(request, actor, await desk.draft_account(actor, name, None, terms, note=note))


async def change_account(
    request: Request, actor: Actor, name: str, asked: dict[str, Any], *, note: str
) -> ServiceAccount | Proposal:
    """Put other terms in force at once where they open nothing, or propose them. Raises InvalidRequest, NotFound."""
    desk = services_of(request).identity.services
    found = await desk.get(name)
    now = found.terms.as_json()
    after = desk.account_kind.read(name, **{**now, **asked})
    if after.is_within(found.terms):
        return await _narrow(request, actor, found, after, Event.SERVICE_CHANGE)
    return await submit(request, actor, await desk.draft_account(actor, name, found.terms, after, note=note))


async def disable_account(request: Request, actor: Actor, name: str) -> ServiceAccount:
    """Switch a service off at once. Raises NotFound."""
    found = await services_of(request).identity.services.get(name)
    return await _narrow(request, actor, found, replace(found.terms, is_enabled=False), Event.SERVICE_DISABLE)


async def propose_service_key(request: Request, actor: Actor, name: str, *, key: str, **fields: Any) -> Proposal:
    """Propose a key for the service `name`. Raises InvalidRequest, NotFound."""
    desk = services_of(request).identity.services
    draft = await desk.draft_key(actor, await desk.get(name), name=key, **fields)
    return await submit(request, actor, draft)


async def collect_key(request: Request, actor: Actor, proposal_id: str) -> NewKey:
    """The new key, recorded before it works. Raises Denied, InvalidRequest, NotFound."""
    services = services_of(request)
    key = await services.identity.services.prepare_key(actor, proposal_id)
    content = {
        "key": key.info.id,
        "service": key.info.actor,
        "name": key.info.name,
        "scopes": sorted(key.info.scopes),
        "networks": list(key.info.networks),
        "expires_at": key.info.expires_at.isoformat(),
        "proposal": proposal_id,
    }
    await services.record(Event.KEY_MINT, actor, origin_of(request), content=content)
    await services.identity.services.store_key(key)
    return key


async def revoke_service_key(request: Request, actor: Actor, name: str, key_id: str) -> None:
    """Ended before it is recorded: a log that can't be written must not keep a key alive. Raises NotFound."""
    services = services_of(request)
    found = await services.identity.services.get(name)
    await services.identity.services.revoke_key(found, key_id)
    content = {"key": key_id, "service": found.id}
    await services.record(Event.KEY_REVOKE, actor, origin_of(request), content=content)


async def _narrow(request: Request, actor: Actor, found: ServiceAccount, after: Terms, event: Event) -> ServiceAccount:
    """In force before it is recorded, because it only closes."""
    services = services_of(request)
    await services.identity.services.narrow(found, after)
    content = {"service": found.id, "before": found.terms.as_json(), "after": after.as_json()}
    await services.record(event, actor, origin_of(request), content=content)
    return await services.identity.services.get(found.name)


def account_json(request: Request, account: ServiceAccount) -> dict[str, Any]:
    """A service as programs see it. `trouble` says why it may not come in now; null: it may."""
    terms = account.terms.as_json()
    return {
        "object": "organization.service_account",
        "id": account.id,
        "name": account.name,
        "role": "service",
        "created_at": int(account.created_at.timestamp()),
        **{name: value for name, value in terms.items() if name != "is_enabled"},
        "status": "active" if account.terms.is_enabled else "disabled",
        "trouble": services_of(request).identity.services.fault_of(account),
        "created_by": account.created_by,
        "approved_by": account.approved_by,
    }


def key_json(info: KeyInfo) -> dict[str, Any]:
    """A service's key, without its secret."""
    return {
        "object": "organization.service_account.api_key",
        "id": info.id,
        "name": info.name,
        "owner": info.actor,
        "scopes": sorted(info.scopes),
        "networks": list(info.networks),
        "created_at": int(info.created_at.timestamp()),
        "expires_at": int(info.expires_at.timestamp()),
        "last_used_at": None if info.used_at is None else int(info.used_at.timestamp()),
        "last_used_from": info.used_from or None,
        "revoked_at": None if info.revoked_at is None else int(info.revoked_at.timestamp()),
        "minted_by": info.minted_by,
    }
