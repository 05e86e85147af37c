"""The pages of what takes two people: what waits, what it says, and the answer to it.

Kinds describe themselves (`identity/proposal_kinds.py`); here is one list and one page for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api.proposals import answer, readable, visible
from gateway.identity.proposal_kinds import Wording
from gateway.identity.proposals import Proposal
from gateway.lifecycle.approval import READ_CHANGE, PolicyKind
from gateway.lifecycle.impact import REPLAY
from gateway.services import services_of
from gateway.web.governing import read_form
from gateway.web.pages import page
from gateway.web.rules_shared import address

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One proposal of the list."""

    proposal: Proposal
    title: str
    is_open: bool
    is_mine: bool


@router.get("/proposals")
async def proposals(request: Request) -> Response:
    """What waits, then what was decided, the newest first."""
    actor, kinds = await visible(request)
    services = services_of(request)
    by_name = {kind.name: kind for kind in kinds}
    found = await services.identity.proposals.list(list(by_name))
    now = services.clock()
    rows = [
        Row(
            proposal=one,
            title=(await by_name[one.kind].describe(one.payload)).title,
            is_open=one.is_open(now),
            is_mine=one.proposed_by == actor.id,
        )
        for one in found
    ]
    context = {"waiting": _those(rows, is_open=True), "decided": _those(rows, is_open=False)}
    return page(request, actor, "proposals.html", context)


@router.get("/proposals/{proposal_id}")
async def proposal(request: Request, proposal_id: str) -> Response:
    """One of them in words, and what this person can answer."""
    actor, found, kind = await readable(request, proposal_id)
    wording: Wording = await kind.describe(found.payload)
    context = {
        "proposal": found,
        "wording": wording,
        "links": _links(found),
        "is_open": found.is_open(services_of(request).clock()),
        "is_mine": found.proposed_by == actor.id,
    }
    return page(request, actor, "proposal.html", context)


@router.post("/proposals/{proposal_id}/decision")
async def decide(request: Request, proposal_id: str) -> Response:
    """Approve, reject or withdraw what was read."""
    form = await read_form(request)
    await answer(request, proposal_id, form.get("act", ""), form.get("digest", ""))
    return RedirectResponse(f"/proposals/{proposal_id}", 303)


def _links(found: Proposal) -> dict[str, tuple[str, str]]:
    """Lines that name what a page shows: its address and what it is called, in place of a program's address."""
    if found.kind != PolicyKind.name:
        return {}
    payload = found.payload
    number, impact = payload["version"], payload["impact"]
    links = {READ_CHANGE: (address(payload["draft"], "changes", version=number), f"version {number}, file by file")}
    if isinstance(impact, Mapping):
        links[REPLAY] = (address(payload["draft"], "replay", job=impact["replay"]), impact["replay"])
    return links


def _those(rows: Sequence[Row], *, is_open: bool) -> list[Row]:
    return [row for row in rows if row.is_open == is_open]
