"""`/v1/organization/users`: who is known here, what they hold, and shutting somebody out or letting them in again.

In the shapes of OpenAI's admin API where it has one. What closes is done before it is recorded; what opens, after.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import origin_of, require
from gateway.exchange import Actor, ActorId
from gateway.identity.roster import Entry, read_reason
from gateway.services import services_of
from gateway.vocabulary import Code, Event, Permission

router = APIRouter()


class ReasonBody(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    reason: Annotated[str, Field(max_length=600)]


@router.get("/v1/organization/users")
async def users(
    request: Request,
    q: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> dict[str, Any]:
    """People by name, those that have all the words of `q`."""
    await require(request, Permission.PERSON_SUSPEND)
    found = await services_of(request).identity.roster.search(q, limit=limit + 1)
    data = [entry_json(entry) for entry in found[:limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > limit,
    }


@router.get("/v1/organization/users/{user_id:path}")
async def user(request: Request, user_id: str) -> dict[str, Any]:
    """One of them."""
    await require(request, Permission.PERSON_SUSPEND)
    return entry_json(await services_of(request).identity.roster.get(user_id))


@router.post("/v1/organization/users/{user_id:path}/suspend")
async def suspend(request: Request, user_id: str, body: ReasonBody) -> dict[str, Any]:
    """Shut somebody out at once."""
    actor = await require(request, Permission.PERSON_SUSPEND)
    return entry_json(await suspend_person(request, actor, user_id, body.reason))


@router.post("/v1/organization/users/{user_id:path}/reinstate")
async def reinstate(request: Request, user_id: str, body: ReasonBody) -> dict[str, Any]:
    """Let them sign in again."""
    actor = await require(request, Permission.PERSON_SUSPEND)
    return entry_json(await reinstate_person(request, actor, user_id, body.reason))


@router.post("/v1/organization/users/{user_id:path}/sign_out")
async def sign_out(request: Request, user_id: str) -> dict[str, Any]:
    """End all their sessions; they may sign in again."""
    actor = await require(request, Permission.PERSON_SUSPEND)
    return entry_json(await sign_out_person(request, actor, user_id))


async def suspend_person(request: Request, actor: Actor, id: str, reason: str) -> Entry:
    """Done before it is recorded: a log that can't be written must not keep somebody in. Raises Denied, NotFound,
    InvalidRequest."""
    services, person, reason = services_of(request), ActorId(id), read_reason(reason)
    roster = services.identity.roster
    roster.check_other(actor, id, "suspend")
    done = await roster.suspend(person)
    services.running.stop(person, Code.SUBJECT_SUSPENDED)
    services.screening.forget(person)
    content = {
        "person": id,
        "reason": reason,
        "credentials": [one.credential_id for one in done.ended],
        "proposals": list(done.proposals),
    }
    await services.record(Event.PERSON_SUSPEND, actor, origin_of(request), content=content)
    await roster.give_back(done.ended)
    return await roster.get(id)


async def reinstate_person(request: Request, actor: Actor, id: str, reason: str) -> Entry:
    """On record before it holds. Raises Denied, NotFound, InvalidRequest."""
    services, person, reason = services_of(request), ActorId(id), read_reason(reason)
    roster = services.identity.roster
    roster.check_other(actor, id, "reinstate")
    await roster.check_suspended(person)
    await services.record(Event.PERSON_REINSTATE, actor, origin_of(request), content={"person": id, "reason": reason})
    await roster.reinstate(person, reason)
    return await roster.get(id)


async def sign_out_person(request: Request, actor: Actor, id: str) -> Entry:
    """Done before it is recorded. Raises NotFound."""
    services = services_of(request)
    roster = services.identity.roster
    ended = await roster.sign_out(ActorId(id))
    services.screening.forget(id)
    content = {"person": id, "credentials": [one.credential_id for one in ended]}
    await services.record(Event.SESSION_REVOKE, actor, origin_of(request), content=content)
    await roster.give_back(ended)
    return await roster.get(id)


def entry_json(entry: Entry) -> dict[str, Any]:
    """A person as programs see them."""
    person = entry.person
    return {
        "object": "organization.user",
        "id": person.id,
        "name": person.display_name,
        "email": person.email,
        "department": person.department,
        "status": entry.status,
        "roles": sorted(entry.roles),
        "roles_through": {role.value: list(groups) for role, groups in entry.through.items()},
        "conflicting_roles": sorted(entry.conflicts),
        "groups": list(person.groups),
        "added_at": int(entry.first_seen.timestamp()),
        "last_sign_in_at": int(entry.last_seen.timestamp()),
        "sessions": entry.sessions,
        "last_used_at": None if entry.last_used is None else int(entry.last_used.timestamp()),
        "api_keys": [
            {
                "id": key.id,
                "name": key.name,
                "scopes": sorted(key.scopes),
                "networks": list(key.networks),
                "created_at": int(key.created_at.timestamp()),
                "expires_at": int(key.expires_at.timestamp()),
                "last_used_at": None if key.used_at is None else int(key.used_at.timestamp()),
            }
            for key in entry.keys
        ],
    }
