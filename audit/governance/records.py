"""The records of one person in a store, and opening them: what erasure and subject access stand on."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from audit.canonical import load_json_object
from audit.errors import AuditUnavailable, ContentDestroyed, StoreError
from audit.governance.erased import ErasedEvents
from audit.governance.holds import Hold, Holds
from audit.ids import day_of, parse_event_id
from audit.keys.ring import KeyRing
from audit.record import ACTOR_TERM, ZERO_CLASS
from audit.row import Row
from audit.seal import Part, blind_token, unseal
from audit.store.port import DayView, Store, StoreReader

_AFTER_ALL = 2**62  # above every sequence number


@dataclass(frozen=True, slots=True)
class Opened:
    """Both sealed parts of a record, as JSON bytes."""

    subject: bytes
    content: bytes
    is_held: bool  # opened through a hold: the day's own keys are destroyed


class RowOpener:
    """Opens the sealed parts of records; the one place that knows everything that forbids it."""

    def __init__(self, ring: KeyRing, holds: Holds, erased: ErasedEvents) -> None:
        self._ring = ring
        self._holds = holds
        self._erased = erased

    def open(self, row: Row) -> Opened:
        """Blocks. The caller has recorded who opens it and why.

        Raises ``ContentDestroyed`` for what nobody can or may read any more: erased, purged, zero retention.
        """
        if row.event_id in self._erased:  # first: a restored database holds the ciphertext again
            raise ContentDestroyed(f"record {row.seq} was erased on request")
        if row.class_ == ZERO_CLASS:
            raise ContentDestroyed(f"record {row.seq} was written under zero retention: its content was never kept")
        try:
            keys = self._ring.get(date.fromisoformat(row.day), row.tenant, row.class_)
        except ContentDestroyed:
            held = self._holds.open_held(row)
            if held is None:
                raise
            return Opened(*held, is_held=True)
        if row.subject is None or row.content is None:
            raise ContentDestroyed(f"the sealed parts of record {row.seq} are gone")
        return Opened(
            unseal(keys, row.context, Part.SUBJECT, row.subject),
            unseal(keys, row.context, Part.CONTENT, row.content),
            is_held=False,
        )


class StoreRecords:
    """Finds records by their actor or by holds, day by day, so that no single read takes long."""

    def __init__(self, store: Store, holds: Holds, opener: RowOpener) -> None:
        self._store = store
        self._ring = store.ring
        self._holds = holds
        self._opener = opener

    async def days(self) -> list[date]:
        """Days with records, oldest first."""
        return await self._store.read(lambda reader: reader.days())

    def is_destroyed(self, day: date, tenant: str) -> bool:
        """Can nothing be found by name on this day any more?"""
        return not self._ring.scopes(day, tenant)

    async def of_actor(self, tenant: str, actor: str) -> AsyncIterator[tuple[date, list[Row]]]:
        """All records of an actor whose day's keys exist, by day; an event's records follow each other."""
        for day in await self.days():

            def look(reader: StoreReader, day: date = day) -> list[Row]:
                view = reader.day(day)
                return list(_rows_of(view, self._tokens(day, tenant, actor))) if view else []

            rows = await self._store.read(look)
            if rows:
                yield day, rows

    async def held_of_actor(self, tenant: str, actor: str) -> list[Row]:
        """Records of an actor whose day's keys are destroyed, and which only holds keep."""
        found: list[Row] = []
        for day, seqs in sorted((await asyncio.to_thread(self._holds.held_days)).items()):

            def look(reader: StoreReader, day: date = day, seqs: frozenset[int] = seqs) -> list[Row]:
                view = reader.day(day)
                rows = [view.row(seq) for seq in sorted(seqs)] if view else []
                return [row for row in rows if row is not None and row.tenant == tenant]

            rows = await self._store.read(look)
            found += await asyncio.to_thread(self._only_of, rows, actor)
        return found

    async def events(self, event_ids: Sequence[bytes]) -> list[Row]:
        """Records of these events, where they are still there."""

        def look(reader: StoreReader) -> list[Row]:
            days = reader.days()
            found: list[Row] = []
            for event_id in event_ids:
                hint = day_of(uuid.UUID(bytes=event_id))
                for day in [hint, *(day for day in days if day != hint)]:
                    view = reader.day(day)
                    rows = view.event(event_id) if view else []
                    found += rows
                    if rows:
                        break
            return found

        return await self._store.read(look)

    async def held_candidates(self, day: date, class_: str, holds: Sequence[Hold]) -> list[Row]:
        """Records of a day and class that one of these holds may cover, found by index."""

        def look(reader: StoreReader) -> list[Row]:
            view = reader.day(day)
            found: dict[int, Row] = {}
            for hold in holds if view else ():
                assert view is not None  # noqa: S101  # for the type checker
                if hold.scope.event_ids:
                    rows = [row for text in hold.scope.event_ids for row in view.event(parse_event_id(text).bytes)]
                else:
                    rows = list(_rows_of(view, self._tokens(day, hold.tenant, hold.scope.actor)))
                found.update((row.seq, row) for row in rows if row.class_ == class_)
            return [found[seq] for seq in sorted(found)]

        return await self._store.read(look)

    async def sign(self, seq: int) -> None:
        """Return when a signed checkpoint covers a record. Raises ``AuditUnavailable``."""
        try:
            await asyncio.to_thread(self._store.prove, [seq])
        except StoreError as error:
            raise AuditUnavailable("the audit log cannot be signed just now: try again") from error

    async def erase(self, by_day: dict[date, list[int]]) -> None:
        """Remove the sealed parts, tokens and salts of records, a day at a time."""
        for _, seqs in sorted(by_day.items()):
            await asyncio.to_thread(self._store.erase, seqs)

    def _tokens(self, day: date, tenant: str, actor: str) -> list[bytes]:
        tokens = []
        for class_ in self._ring.scopes(day, tenant):
            try:
                tokens.append(blind_token(self._ring.get(day, tenant, class_), ACTOR_TERM, actor))
            except ContentDestroyed:  # in this moment
                continue
        return tokens

    def _only_of(self, rows: list[Row], actor: str) -> list[Row]:
        return [row for row in rows if self._is_of(row, actor)]

    def _is_of(self, row: Row, actor: str) -> bool:
        try:
            return bool(load_json_object(self._opener.open(row).subject)["actor"] == actor)
        except ContentDestroyed:
            return False  # released in this moment


def _rows_of(view: DayView, tokens: list[bytes]) -> Iterator[Row]:
    if not tokens:
        return
    source = view.token_source(tokens, _AFTER_ALL)
    where = f" where {source.where_sql}" if source.where_sql else ""
    sql = f"select {source.order_column} from {source.from_sql}{where} order by 1"  # noqa: S608  # the view's own words
    heads = [int(head) for (head,) in view.select(sql, (*source.from_parameters, *source.where_parameters))]
    for head in dict.fromkeys(heads):
        row = view.row(head)
        if row is not None:
            yield from view.event(row.event_id)
