"""What can be proposed: for each kind of proposal, who may, how it reads, and what an approval does.

`proposals.py` knows that it takes two people; a kind knows what they agree on. Whoever decides a proposal goes through
these steps, in this order:

1. `check`: could this be done now, with this second person? Nothing is written.
2. The decision is recorded (`Event.PROPOSAL_APPROVE`), and the kind's own `event` with it: durable before the act.
3. In one transaction: `Proposals.decide`, then `carry_out`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import Actor
from gateway.identity.proposals import Proposal
from gateway.vocabulary import Event, Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A proposal in words, for whoever decides it. Plain text: the page escapes it."""

    title: str
    """One line: "Create the service newsletter"."""
    lines: tuple[tuple[str, str], ...] = ()
    """Label and value, everything that the digest covers."""
    warnings: tuple[str, ...] = ()
    """What the second person should look at twice."""


class ProposalKind(Protocol):
    """One kind. Never sees a secret: payloads are stored and shown."""

    @property
    def name(self) -> str:
        """The column `proposals.kind`: lower case, hyphens."""

    @property
    def to_propose(self) -> Permission:
        """Who may propose, withdraw their own, and see these."""

    @property
    def to_approve(self) -> Permission:
        """Who may approve or reject. Policy asks for the fresh second factor."""

    def event(self, payload: Mapping[str, Any]) -> Event | None:
        """What carrying it out is in the audit log, beside the approval; None: an approval changes nothing yet."""

    async def describe(self, payload: Mapping[str, Any]) -> Wording:
        """In words, compared with what is in force now. Raises nothing for what has become impossible: it warns."""

    async def check(self, proposal: Proposal, by: Actor) -> None:
        """Before anything is recorded: can it be carried out, and may `by` be the second person for it? That they are
        not the first is checked elsewhere. Raises Denied, InvalidRequest, NotFound."""

    async def carry_out(self, tx: AsyncConnection, proposal: Proposal, by: Actor) -> None:
        """Do it, in the transaction that also stores the decision. Raises what `check` raises where the world changed
        in between: then neither is stored."""


ProposalKinds = Mapping[str, ProposalKind]
"""By name; composed in the facade (`identity.proposal_kinds`)."""
