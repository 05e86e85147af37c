"""A hold as a value, and as it is read from its row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from audit.governance.ledger import StoredRow
from audit.governance.officer import Signature
from audit.governance.scope import HoldScope
from audit.record import from_micros


class HoldKind(StrEnum):
    """Why something is held."""

    LEGAL = "legal"
    ABUSE = "abuse"


class HoldState(StrEnum):
    """Where a hold stands."""

    REQUESTED = "requested"
    ACTIVE = "active"
    RELEASE_REQUESTED = "release-requested"
    RELEASED = "released"
    REJECTED = "rejected"


KEEPING = (HoldState.ACTIVE, HoldState.RELEASE_REQUESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold as it is now. ``reason`` and the names are sealed at rest."""

    id: str
    tenant: str
    kind: HoldKind
    state: HoldState
    scope: HoldScope = field(repr=False)
    reason: str = field(repr=False)
    created_at: datetime
    requested: Signature = field(repr=False)
    decided: Signature | None = field(repr=False)
    release_requested: Signature | None = field(repr=False)
    released: Signature | None = field(repr=False)

    @property
    def is_keeping(self) -> bool:
        """Does it keep records now?"""
        return self.state in KEEPING


def read_hold(row: StoredRow) -> Hold:
    def signature(name: str) -> Signature | None:
        return Signature.from_json(row[name]) if row[name] else None

    return Hold(
        id=row.id,
        tenant=row["tenant"],
        kind=HoldKind(row["kind"]),
        state=HoldState(row["state"]),
        scope=HoldScope.from_json(row["scope"]),
        reason=row["reason"]["text"],
        created_at=from_micros(row["created_at"]),
        requested=Signature.from_json(row["requested"]),
        decided=signature("decided"),
        release_requested=signature("release_requested"),
        released=signature("released"),
    )
