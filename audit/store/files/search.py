"""Searching: day by day, newest first, each day through the index that its query is served best by.

One statement over all days is not tried on purpose: a person's token differs from day to day, and asking for any of
thirty tokens ordered by time made the prototype some 300 times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

from audit.errors import ContentDestroyed
from audit.ids import parse_event_id
from audit.keys.ring import KeyRing
from audit.query import Query, RequestRow, format_cursor, parse_cursor
from audit.record import ACTOR_TERM, Subject, from_micros, to_micros
from audit.row import COLUMNS, Row
from audit.seal import blind_token
from audit.store.compose import open_subject
from audit.store.files.day_file import DayReader
from audit.store.port import StoreReader

_WIDTH = len(COLUMNS)


def _columns(alias: str, sealed: str) -> str:
    """Columns of a row, without its content: a search never reads that."""
    special = {"subject": f"{sealed}.subject", "content": "null"}
    return ", ".join(special.get(name, f"{alias}.{name}") for name in COLUMNS)


_SELECT = f"select {_columns('h', 'hs')}, {_columns('o', 'os')}"
_JOINS = (
    " left join sealed hs on hs.seq = h.seq"
    " left join record o on o.head_seq = h.seq and o.phase = 'outcome'"
    " left join sealed os on os.seq = o.seq"
)


class Search:
    """Runs one query in the reader thread."""

    def __init__(self, query: Query, ring: KeyRing, before_seq: int) -> None:
        """``before_seq``: the search sees only what was recorded before its own access record."""
        self._query = query
        self._ring = ring
        self._before_seq = before_seq

    def __call__(self, reader: StoreReader) -> tuple[tuple[RequestRow, ...], str | None]:
        """Rows of one page, and the cursor of the next."""
        limit = self._query.limit
        found: list[tuple[date, Row, Row | None]] = []
        for day, before_seq in self._days(reader):
            file = reader.day(day)
            if not isinstance(file, DayReader):
                continue
            for head, outcome in self._search_day(file, before_seq, limit + 1 - len(found)):
                found.append((day, head, outcome))
            if len(found) > limit:
                break
        page = found[:limit]
        cursor = format_cursor(page[-1][0], page[-1][1].seq) if len(found) > limit else None
        return tuple(request_row(head, outcome, self._ring) for _, head, outcome in page), cursor

    def _days(self, reader: StoreReader) -> Iterator[tuple[date, int]]:
        """Days to look at, newest first, each with the sequence number to stay below."""
        query = self._query
        first = query.created_from.astimezone(UTC).date() if query.created_from else date.min
        last = query.created_to.astimezone(UTC).date() if query.created_to else date.max
        cursor_day, cursor_seq = parse_cursor(query.cursor) if query.cursor else (date.max, self._before_seq)
        for day in reversed(reader.days()):
            if first <= day <= min(last, cursor_day):
                yield day, min(cursor_seq, self._before_seq) if day == cursor_day else self._before_seq

    def _search_day(self, file: DayReader, before_seq: int, limit: int) -> list[tuple[Row, Row | None]]:
        query = self._query
        source, arguments, order = "record h", [], "h.seq"
        where, parameters = ["h.phase <> 'outcome'", "h.tenant = ?", "h.seq < ?"], [query.tenant, before_seq]
        if query.actor is not None:
            tokens = self._tokens(file.day, query.actor)
            if not tokens:
                return []  # no keys: nobody can find a person in this day any more
            marks = ", ".join("?" * len(tokens))
            # One class (nearly always): walk its index in order. Several: let SQLite merge and sort.
            source = f"(select distinct head_seq from term where token in ({marks}) and head_seq < ?) t"  # noqa: S608
            source += " cross join record h on h.seq = t.head_seq"
            arguments = [*tokens, before_seq]
            if len(tokens) == 1:
                source = "term t cross join record h on h.seq = t.head_seq"
                where.append("t.token = ? and t.head_seq < ?")
                parameters += [tokens[0], before_seq]
                arguments, order = [], "t.head_seq"
        elif query.effect is not None and query.reason is None and query.event_id is None:
            source = "record e cross join record h on h.seq = e.head_seq"
            where.append("e.effect = ? and e.effect <> '' and e.head_seq < ?")
            parameters += [query.effect, before_seq]
            order = "e.head_seq"
        self._filters(where, parameters, driven_by_effect=order == "e.head_seq")
        statement = f"{_SELECT} from {source}{_JOINS} where {' and '.join(where)} order by {order} desc limit ?"
        cursor = file.connection.execute(statement, [*arguments, *parameters, limit])
        return [
            (Row._make(values[:_WIDTH]), Row._make(values[_WIDTH:]) if values[_WIDTH] is not None else None)
            for values in cursor
        ]

    def _filters(self, where: list[str], parameters: list[object], *, driven_by_effect: bool) -> None:
        query = self._query
        if query.event_id is not None:
            where.append("h.event_id = ?")
            parameters.append(parse_event_id(query.event_id).bytes)
        if query.action is not None:
            where.append("h.action >= ? and h.action < ?")
            parameters += _span(query.action)
        if query.effect is not None and not driven_by_effect:
            where.append("coalesce(nullif(o.effect, ''), h.effect) = ?")
            parameters.append(query.effect)
        if query.model is not None:
            where.append("(h.model = ? or o.model = ?)")
            parameters += [query.model, query.model]
        for name, comparison in (("created_from", ">="), ("created_to", "<")):
            at: datetime | None = getattr(query, name)
            if at is not None:
                where.append(f"h.recorded_at {comparison} ?")
                parameters.append(to_micros(at))
        if query.reason is not None:
            where.append("h.seq in (select head_seq from reason where code >= ? and code < ?)")
            parameters += _span(query.reason)

    def _tokens(self, day: date, actor: str) -> list[bytes]:
        tokens = []
        for class_ in self._ring.scopes(day, self._query.tenant):
            try:
                keys = self._ring.get(day, self._query.tenant, class_)
            except ContentDestroyed:  # purged a moment ago
                return []
            tokens.append(blind_token(keys, ACTOR_TERM, actor))
        return tokens


def _span(code: str) -> tuple[str, str]:
    """From and up to: the code itself, or all that begin with a prefix, to the next character after its last."""
    return code, code[:-1] + chr(ord(code[-1]) + 1) if code[-1] in ":._-" else code + "\0"


def request_row(head: Row, outcome: Row | None, ring: KeyRing) -> RequestRow:
    """One line of a page from the halves of a request."""
    last = outcome or head
    concluded_at = from_micros(last.recorded_at) if outcome or head.phase != "intent" else None
    return RequestRow(
        event_id=head.envelope().event_id,
        tenant=head.tenant,
        action=head.action,
        subject=subject_of(head, ring),
        opened_at=from_micros(head.recorded_at),
        concluded_at=concluded_at,
        effect=last.effect,
        reasons=tuple(last.reasons.split()),
        model=last.model or head.model,
        credits=last.credits,
        latency_bucket_ms=last.latency_bucket_ms,
        bundle_revision=last.bundle_revision or head.bundle_revision,
        seqs=(head.seq, outcome.seq) if outcome else (head.seq,),
    )


def subject_of(row: Row, ring: KeyRing) -> Subject | None:
    """Who a row is about; ``None`` once the day's keys are destroyed."""
    if row.subject is None:
        return None
    try:
        return open_subject(row, ring.get(date.fromisoformat(row.day), row.tenant, row.class_))
    except ContentDestroyed:
        return None
