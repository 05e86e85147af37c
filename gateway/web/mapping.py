"""The page of the role mapping: which group gives which roles, what was in force before, and changing it.

A mapping is written as text, a group on each line: `platform: admin, policy-author`. Before anything is proposed or
put in force, the page shows what it would change, for whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api.access import credentials_of, require
from gateway.api.mapping import change_mapping, roll_back
from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.identity.mapping import read_mapping
from gateway.identity.mapping_desk import Preview
from gateway.identity.proposals import MAX_NOTE, Proposal
from gateway.identity.roles import CONFLICTS, NEVER_OF_GROUPS, RolesOfGroups, as_json
from gateway.services import services_of
from gateway.vocabulary import Permission, Role
from gateway.web.governing import read_form
from gateway.web.pages import page

router = APIRouter(include_in_schema=False)

GIVABLE: Final = tuple(role for role in Role if role not in NEVER_OF_GROUPS)
PAIRS: Final = tuple(sorted(" and ".join(sorted(pair)) for pair in CONFLICTS if not pair & NEVER_OF_GROUPS))


@router.get("/mapping")
async def mapping(request: Request) -> Response:
    """What is in force, and the form that changes it."""
    actor = await require(request, Permission.MAPPING_PROPOSE)
    return await _page(request, actor)


@router.post("/mapping/preview")
async def preview(request: Request) -> Response:
    """What a mapping would change. Changes nothing."""
    form = await read_form(request)
    actor = await require(request, Permission.MAPPING_PROPOSE)
    text, note = form.get("mapping", ""), form.get("note", "")
    found = await services_of(request).identity.mapping.preview(read_mapping(parse(text)))
    return await _page(request, actor, text=text, note=note, found=found)


@router.get("/mapping/preview")
async def previewed(request: Request) -> Response:
    """Back from a second factor: the same preview again, with what was written."""
    actor = await require(request, Permission.MAPPING_PROPOSE)
    identity = services_of(request).identity
    draft = identity.drafts.take(credentials_of(request).cookie, actor.id, "/mapping/preview")
    if draft is None:
        return RedirectResponse("/mapping", 303)
    text, note = draft.fields.get("mapping", ""), draft.fields.get("note", "")
    found = await identity.mapping.preview(read_mapping(parse(text)))
    return await _page(request, actor, text=text, note=note, found=found)


@router.post("/mapping")
async def change(request: Request) -> Response:
    """Put it in force where it only narrows, else propose it."""
    form = await read_form(request)
    actor = await require(request, Permission.MAPPING_PROPOSE)
    after = read_mapping(parse(form.get("mapping", "")))
    return _on(await change_mapping(request, actor, after, note=form.get("note", "")))


@router.post("/mapping/rollback")
async def rollback(request: Request) -> Response:
    """The same with an earlier version."""
    form = await read_form(request)
    actor = await require(request, Permission.MAPPING_PROPOSE)
    version = form.get("version", "")
    if not version.isdecimal() or len(version) > 9:
        raise InvalidRequest("Choose a version of the mapping.", param="version")
    return _on(await roll_back(request, actor, int(version), note=form.get("note", "")))


def parse(text: str) -> dict[str, list[str]]:
    """The mapping that somebody wrote, a group on each line. Raises InvalidRequest."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        group, colon, words = line.rpartition(":")
        group = group.strip()
        if not colon or not group:
            raise InvalidRequest(
                f"Line {number} of the mapping has no group and colon. Write: group: role, role", param="mapping"
            )
        if group in found:
            raise InvalidRequest(f"Line {number}: the group {group} stands in the mapping twice.", param="mapping")
        found[group] = [word.strip() for word in words.split(",") if word.strip()]
    return found


def written(mapping: RolesOfGroups) -> str:
    """What `parse` reads."""
    return "\n".join(f"{group}: {', '.join(roles)}" for group, roles in as_json(mapping).items())


def _on(done: Proposal | Preview) -> Response:
    return RedirectResponse(f"/proposals/{done.id}" if isinstance(done, Proposal) else "/mapping", 303)


async def _page(
    request: Request, actor: Actor, *, text: str | None = None, note: str = "", found: Preview | None = None
) -> Response:
    history = await services_of(request).identity.mapping.history()
    now = history[0]
    context: Mapping[str, Any] = {
        "now": now,
        "history": history,
        "text": written(now.mapping) if text is None else text,
        "note": note,
        "preview": found,
        "diff": () if found is None else _diff(found),
        "roles": [role.value for role in GIVABLE],
        "pairs": PAIRS,
        "longest_note": MAX_NOTE,
    }
    return page(request, actor, "mapping.html", context)


def _diff(found: Preview) -> list[tuple[str, str, str]]:
    """(group, roles until now, roles then) of each group that changes."""
    groups = sorted({*found.before, *found.after})
    pairs = [(group, found.before.get(group, frozenset()), found.after.get(group, frozenset())) for group in groups]
    return [(group, ", ".join(sorted(old)), ", ".join(sorted(new))) for group, old, new in pairs if old != new]
