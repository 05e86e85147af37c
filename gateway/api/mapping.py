"""`/v1/organization/role_mapping`: which of the provider's groups give which roles.

A change that gives nobody more is in force at once; every other answers 202 with the proposal that a second
administrator has to agree to.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import origin_of, require
from gateway.api.proposing import proposal_json, submit
from gateway.exchange import Actor
from gateway.identity.mapping import Version, read_mapping
from gateway.identity.mapping_desk import Preview
from gateway.identity.proposals import Proposal
from gateway.identity.roles import RolesOfGroups, as_json
from gateway.services import services_of
from gateway.vocabulary import Event, Permission

router = APIRouter()

Group = Annotated[str, Field(max_length=255)]
Words = Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=16)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class MappingBody(_Body):
    """The whole mapping as it should be."""

    roles: Annotated[dict[Group, Words], Field(max_length=500)]
    note: Annotated[str, Field(max_length=600)] = ""


class RollbackBody(_Body):
    """An earlier version that should be in force again."""

    version: Annotated[int, Field(ge=0)]
    note: Annotated[str, Field(max_length=600)] = ""


@router.get("/v1/organization/role_mapping")
async def mapping(request: Request) -> dict[str, Any]:
    """What is in force, and what was before."""
    await require(request, Permission.MAPPING_PROPOSE)
    history = await services_of(request).identity.mapping.history()
    return {**_version_json(history[0]), "history": [_version_json(version) for version in history]}


@router.post("/v1/organization/role_mapping/preview")
async def preview(request: Request, body: MappingBody) -> dict[str, Any]:
    """What a mapping would change, for whom. Changes nothing."""
    await require(request, Permission.MAPPING_PROPOSE)
    return preview_json(await services_of(request).identity.mapping.preview(read_mapping(body.roles)))


@router.post("/v1/organization/role_mapping", status_code=202)
async def change(request: Request, body: MappingBody, response: Response) -> dict[str, Any]:
    """Narrow it at once (200), or propose to widen it (202)."""
    actor = await require(request, Permission.MAPPING_PROPOSE)
    return _answer(response, await change_mapping(request, actor, read_mapping(body.roles), note=body.note))


@router.post("/v1/organization/role_mapping/rollback", status_code=202)
async def rollback(request: Request, body: RollbackBody, response: Response) -> dict[str, Any]:
    """The same with the mapping of an earlier version. Going back may widen, so it is a change like any other."""
    actor = await require(request, Permission.MAPPING_PROPOSE)
    return _answer(response, await roll_back(request, actor, body.version, note=body.note))


async def change_mapping(request: Request, actor: Actor, after: RolesOfGroups, *, note: str) -> Proposal | Preview:
    """Put a narrower mapping in force at once, or propose a wider one. Raises InvalidRequest."""
    services = services_of(request)
    desk = services.identity.mapping
    found = await desk.preview(after)
    if found.is_same or not found.is_narrower:
        return await submit(request, actor, await desk.draft(actor, found, note=note))
    done = await desk.narrow(actor, found)  # before it is recorded, because it only closes
    await services.record(
        Event.MAPPING_ACTIVATE, actor, origin_of(request), content={**done.content(), "note": note[:500]}
    )
    return done


async def roll_back(request: Request, actor: Actor, version: int, *, note: str) -> Proposal | Preview:
    """The same with an earlier version. Raises InvalidRequest, NotFound."""
    earlier = await services_of(request).identity.mapping.get(version)
    return await change_mapping(request, actor, read_mapping(as_json(earlier.mapping)), note=note)


def preview_json(found: Preview) -> dict[str, Any]:
    """What a mapping would change, as programs see it."""
    return {
        "object": "organization.role_mapping.preview",
        "version": found.version,
        "takes_two_people": not found.is_narrower,
        "before": as_json(found.before),
        "after": as_json(found.after),
        "people": [
            {
                "id": change.person.id,
                "name": change.person.display_name,
                "gains": sorted(change.gains),
                "loses": sorted(change.loses),
                "conflicts": sorted(change.conflicts),
            }
            for change in found.changes
        ],
        "warnings": list(found.warnings),
    }


def _answer(response: Response, done: Proposal | Preview) -> dict[str, Any]:
    if isinstance(done, Proposal):
        return proposal_json(done)
    response.status_code = 200
    return {"object": "organization.role_mapping", "version": done.version + 1, "roles": as_json(done.after)}


def _version_json(version: Version) -> dict[str, Any]:
    return {
        "object": "organization.role_mapping",
        "version": version.number,
        "roles": as_json(version.mapping),
        "proposal": version.proposal,
        "activated_by": version.activated_by,
        "activated_at": None if version.activated_at is None else version.activated_at.isoformat(),
    }
