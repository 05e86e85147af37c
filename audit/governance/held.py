"""What holds keep: asked by retention before it destroys, by erasure before it erases, and when a record is opened.

The ciphertext of a held record stays where it is, so that digests and proofs do not change. What is kept besides is
its key; see ``escrow``. Records of the class ``zero`` cannot be held: nobody ever had their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from functools import partial

from audit.errors import ContentDestroyed
from audit.governance.erased import ErasedEvents
from audit.governance.escrow import Escrow
from audit.governance.hold import Hold, HoldState, read_hold
from audit.governance.hold_keys import HoldKeys
from audit.governance.ledger import Ledger
from audit.governance.tables import HOLD
from audit.ids import parse_event_id
from audit.keys.ring import DayKeys
from audit.record import ACTOR_TERM, ZERO_CLASS
from audit.row import Row
from audit.seal import blind_token


class HeldRecords:
    """Held records of one log. All of this blocks; safe to call from several threads."""

    def __init__(self, ledger: Ledger, keys: HoldKeys, erased: ErasedEvents, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._keys = keys
        self._erased = erased
        self._clock = clock
        self._escrow = Escrow(ledger, keys)

    def keeping(self) -> Sequence[Hold]:
        """Holds of all tenants that keep records now. Raises ``StoreDamaged`` if one was tampered with: then nobody
        may go on destroying anything."""
        return [hold for hold in map(read_hold, self._ledger.all(HOLD)) if hold.is_keeping]

    def escrow_day(
        self, day: date, class_: str, rows: Iterable[Row], keys_of: Callable[[str], DayKeys]
    ) -> frozenset[int]:
        """Keep the keys of the held records among ``rows``, before the day's are destroyed; returns what is held.

        ``rows`` are all records of the day and class, or at least all that could be held; ``keys_of`` gives the day's
        keys of a tenant. Durable when it returns; whatever it raises must stop the purge. Safe to repeat.
        """
        self.finish_releases()
        holds = [hold for hold in self.keeping() if hold.scope.includes_day(day)]
        if holds and class_ != ZERO_CLASS:
            matches: dict[str, list[Row]] = {}
            matcher = Matcher(holds, keys_of)
            for row in rows:
                if row.class_ == class_ and row.day == day.isoformat() and row.subject is not None:
                    for hold in matcher.holds_of(row):
                        matches.setdefault(hold.id, []).append(row)
            for hold in holds:
                held = matches.get(hold.id)
                if held:
                    keys = keys_of(hold.tenant)
                    self._escrow.keep(hold.id, hold.tenant, day, class_, held, keys, self._clock())
        return self.held_seqs(day, class_)

    def held_seqs(self, day: date, class_: str | None = None) -> frozenset[int]:
        """Records of a day whose keys are in escrow of a hold that keeps: their ciphertexts must stay."""
        keeping = {hold.id for hold in self.keeping()}
        found = [
            kept.seqs
            for kept in self._escrow.days()
            if kept.hold_id in keeping and kept.day == day and class_ in (None, kept.class_)
        ]
        return frozenset().union(*found)

    def held_days(self) -> dict[date, frozenset[int]]:
        """All days with records in escrow."""
        keeping = {hold.id for hold in self.keeping()}
        found: dict[date, frozenset[int]] = {}
        for kept in self._escrow.days():
            if kept.hold_id in keeping and kept.seqs:
                found[kept.day] = found.get(kept.day, frozenset()) | kept.seqs
        return found

    def holding(self, rows: Iterable[Row], keys_of: Callable[[date, str, str], DayKeys]) -> dict[int, tuple[str, ...]]:
        """Which holds keep which of these records (``seq`` -> hold ids); ``keys_of`` takes day, tenant and class.

        A record of a destroyed day is held if its key is in escrow; a younger one if a scope covers it.
        """
        keeping = self.keeping()
        escrowed = [kept for kept in self._escrow.days() if kept.hold_id in {hold.id for hold in keeping}]
        matchers: dict[tuple[date, str], Matcher] = {}
        found: dict[int, tuple[str, ...]] = {}
        for row in rows:
            day = date.fromisoformat(row.day)
            ids = {kept.hold_id for kept in escrowed if kept.day == day and row.seq in kept.seqs}
            try:
                scope = (day, row.class_)
                if scope not in matchers:
                    matchers[scope] = Matcher(keeping, partial(_keys_of_scope, keys_of, *scope))
                ids |= {hold.id for hold in matchers[scope].holds_of(row)}
            except ContentDestroyed:
                pass  # the day's keys are gone: the escrow alone tells
            if ids:
                found[row.seq] = tuple(sorted(ids))
        return found

    def open_held(self, row: Row) -> tuple[bytes, bytes] | None:
        """Subject and content of a record past retention, through a hold that keeps it; ``None`` if none does.

        Raises ``ContentDestroyed`` for an erased event, ``StoreDamaged`` if escrow or ciphertext were taken out.
        """
        if row.event_id in self._erased:
            raise ContentDestroyed("the record was erased on request")
        day = date.fromisoformat(row.day)
        candidates = [kept.hold_id for kept in self._escrow.days() if kept.day == day and row.seq in kept.seqs]
        keeping = {hold.id for hold in self.keeping()} if candidates else set()
        for hold_id in candidates:
            if hold_id in keeping:
                return self._escrow.open(hold_id, row)
        return None

    def finish_releases(self) -> None:
        """Destroy what released holds still have: a crash came between, or a key file was restored. Safe to repeat."""
        escrowed = {kept.hold_id for kept in self._escrow.days()}
        for hold in map(read_hold, self._ledger.all(HOLD)):
            if hold.state is HoldState.RELEASED and (self._keys.destroy(hold.id) or hold.id in escrowed):
                self._escrow.destroy(hold.id, self._clock())


class Matcher:
    """Compares records with holds: event ids as they are, actors by the blind token of the record's own day."""

    def __init__(self, holds: Sequence[Hold], keys_of: Callable[[str], DayKeys]) -> None:
        self._holds = holds
        self._keys_of = keys_of
        self._events = {hold.id: {parse_event_id(text).bytes for text in hold.scope.event_ids} for hold in holds}
        self._tokens: dict[str, bytes] = {}

    def holds_of(self, row: Row) -> list[Hold]:
        """Raises what ``keys_of`` raises, if a hold names an actor."""
        day = date.fromisoformat(row.day)
        return [hold for hold in self._holds if hold.tenant == row.tenant and self._matches(hold, row, day)]

    def _matches(self, hold: Hold, row: Row, day: date) -> bool:
        if hold.scope.event_ids:
            return row.event_id in self._events[hold.id]
        return hold.scope.includes_day(day) and self._token(hold) in row.tokens()

    def _token(self, hold: Hold) -> bytes:
        if hold.id not in self._tokens:
            self._tokens[hold.id] = blind_token(self._keys_of(hold.tenant), ACTOR_TERM, hold.scope.actor)
        return self._tokens[hold.id]


def _keys_of_scope(keys_of: Callable[[date, str, str], DayKeys], day: date, class_: str, tenant: str) -> DayKeys:
    return keys_of(day, tenant, class_)
