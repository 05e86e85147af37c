"""What every route does that proposes something: record it, store it, say what it waits for."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from gateway.api.access import origin_of
from gateway.exchange import Actor
from gateway.identity.proposals import Proposal
from gateway.services import services_of
from gateway.vocabulary import Event


async def submit(request: Request, actor: Actor, draft: Proposal) -> Proposal:
    """Recorded before it can be decided. Durable when it returns."""
    services = services_of(request)
    content = {
        "proposal": draft.id,
        "kind": draft.kind,
        "digest": draft.digest,
        "payload": dict(draft.payload),
        "note": draft.note,
        "expires_at": draft.expires_at.isoformat(),
    }
    await services.record(Event.PROPOSAL_SUBMIT, actor, origin_of(request), content=content)
    await services.identity.proposals.submit(draft)
    return draft


def proposal_json(proposal: Proposal) -> dict[str, Any]:
    """A proposal as programs see it. `digest` is what a second person sends back when they agree."""
    return {
        "object": "organization.proposal",
        "id": proposal.id,
        "kind": proposal.kind,
        "status": proposal.status,
        "payload": dict(proposal.payload),
        "digest": proposal.digest,
        "note": proposal.note,
        "proposed_by": proposal.proposed_by,
        "proposed_at": proposal.proposed_at.isoformat(),
        "expires_at": proposal.expires_at.isoformat(),
        "decided_by": proposal.decided_by,
        "decided_at": None if proposal.decided_at is None else proposal.decided_at.isoformat(),
    }
