"""`/v1/organization/proposals`: what waits for a second person, and their answer.

Whoever may propose a kind sees that kind; who decides it, and how fresh their second factor is, policy says for each
kind. An approval is recorded before anything is done, together with what it does; approval and effect are then stored
in one transaction. An answer names the digest of what was read: another text under the same number is not agreed to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import origin_of, require, require_any
from gateway.api.proposing import proposal_json
from gateway.errors import Denied, ImprimaturError, InvalidRequest, NotFound
from gateway.exchange import Actor
from gateway.identity.proposal_kinds import ProposalKind, Wording
from gateway.identity.proposals import Proposal
from gateway.services import services_of
from gateway.vocabulary import Code, Effect, Event, Permission

router = APIRouter()

Act = Literal["approve", "reject", "withdraw"]


class DecisionBody(BaseModel):
    """An answer to exactly one text."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    digest: Annotated[str, Field(max_length=64)]


@router.get("/v1/organization/proposals")
async def proposals(
    request: Request,
    status: Annotated[Literal["open", "all"], Query()] = "open",
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> dict[str, Any]:
    """Those of the kinds that this person may propose, the newest first."""
    _, kinds = await visible(request)
    identity = services_of(request).identity
    found = await identity.proposals.list([kind.name for kind in kinds], only_open=status == "open", limit=limit)
    return {"object": "list", "data": [proposal_json(proposal) for proposal in found]}


@router.get("/v1/organization/proposals/{proposal_id}")
async def proposal(request: Request, proposal_id: str) -> dict[str, Any]:
    """One of them, in words too."""
    _, found, kind = await readable(request, proposal_id)
    return {**proposal_json(found), "wording": wording_json(await kind.describe(found.payload))}


@router.post("/v1/organization/proposals/{proposal_id}/{act}")
async def decide(request: Request, proposal_id: str, act: Act, body: DecisionBody) -> dict[str, Any]:
    """Approve, reject or withdraw it."""
    return proposal_json(await answer(request, proposal_id, act, body.digest))


async def visible(request: Request) -> tuple[Actor, list[ProposalKind]]:
    """Who is asking, and the kinds that they may see. Raises what `require` does when there is none."""
    kinds = services_of(request).identity.proposal_kinds.values()
    actor = await require_any(request, _in_order(kind.to_propose for kind in kinds))
    found = []
    for kind in kinds:
        try:
            await require(request, kind.to_propose)
        except Denied:
            continue
        found.append(kind)
    return actor, found


async def readable(request: Request, proposal_id: str) -> tuple[Actor, Proposal, ProposalKind]:
    """One that this person may see. Raises NotFound also for those that they may not."""
    actor, kinds = await visible(request)
    found = await services_of(request).identity.proposals.find(proposal_id)
    for kind in kinds:
        if kind.name == found.kind:
            return actor, found, kind
    raise NotFound("There is no such proposal.")


async def answer(request: Request, proposal_id: str, act: str, digest: str) -> Proposal:
    """Do what somebody answers; the proposal as it is then. Raises Denied, InvalidRequest, NotFound, StepUpRequired."""
    services = services_of(request)
    kinds = services.identity.proposal_kinds
    if act == "withdraw":
        actor, found, _ = await readable(request, proposal_id)
        await services.identity.proposals.withdraw(found, by=actor.id)
        await _record(request, Event.PROPOSAL_WITHDRAW, actor, found)
        return await services.identity.proposals.find(found.id)
    if act not in ("approve", "reject"):
        raise InvalidRequest("A proposal is approved, rejected or withdrawn.", param="act")
    await require_any(request, _in_order(kind.to_approve for kind in kinds.values()))
    found = await services.identity.proposals.find(proposal_id)
    kind = kinds.get(found.kind)
    if kind is None:
        raise NotFound("There is no such proposal.")
    actor = await require(request, kind.to_approve)
    await (_approve if act == "approve" else _reject)(request, actor, found, kind, digest)
    return await services.identity.proposals.find(found.id)


def wording_json(wording: Wording) -> dict[str, Any]:
    """A proposal in words, as programs see it."""
    return {
        "title": wording.title,
        "lines": [{"label": label, "value": value} for label, value in wording.lines],
        "warnings": list(wording.warnings),
    }


async def _approve(request: Request, actor: Actor, found: Proposal, kind: ProposalKind, digest: str) -> None:
    """1. may they, and can it be done; 2. on record; 3. decided and done in one transaction."""
    services = services_of(request)
    identity = services.identity
    try:
        identity.proposals.check_decidable(found, by=actor.id, digest=digest)
        await kind.check(found, actor)
    except Denied as refusal:
        await _record(request, Event.PROPOSAL_APPROVE, actor, found, effect=Effect.DENY, refusal=refusal)
        raise
    await _record(request, Event.PROPOSAL_APPROVE, actor, found)
    event = kind.event(found.payload)
    if event is not None:
        content = {**_content(found), "payload": dict(found.payload), "proposed_by": found.proposed_by}
        await services.record(event, actor, origin_of(request), content=content)
    try:
        async with services.database.transaction() as tx:
            await identity.proposals.decide(tx, found, by=actor.id, status="approved")
            await kind.carry_out(tx, found, actor)
    except ImprimaturError as refusal:  # the world changed in between: the record must not claim what did not happen
        await _record(request, event or Event.PROPOSAL_APPROVE, actor, found, effect="failed", refusal=refusal)
        raise
    await identity.mapping.live.refresh()


async def _reject(request: Request, actor: Actor, found: Proposal, kind: ProposalKind, digest: str) -> None:
    """Stored before it is recorded: it only closes."""
    services = services_of(request)
    services.identity.proposals.check_decidable(found, by=actor.id, digest=digest)
    async with services.database.transaction() as tx:
        await services.identity.proposals.decide(tx, found, by=actor.id, status="rejected")
    await _record(request, Event.PROPOSAL_REJECT, actor, found)


async def _record(
    request: Request,
    event: Event,
    actor: Actor,
    found: Proposal,
    *,
    effect: str = Effect.ALLOW,
    refusal: ImprimaturError | None = None,
) -> None:
    reasons = () if refusal is None else tuple(str(reason.code) for reason in refusal.reasons)
    if refusal is not None and not reasons:
        reasons = (Code.REQUEST_INVALID.value,)
    await services_of(request).record(
        event, actor, origin_of(request), effect=effect, reasons=reasons, content=_content(found)
    )


def _content(found: Proposal) -> dict[str, Any]:
    return {"proposal": found.id, "kind": found.kind, "digest": found.digest}


def _in_order(permissions: Iterable[Permission]) -> list[Permission]:
    return list(dict.fromkeys(permissions))
