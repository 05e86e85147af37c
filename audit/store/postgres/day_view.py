"""One day's records as a reader of the database sees them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from math import isqrt
from typing import Any

from psycopg.types.numeric import Int8

from audit.record import Phase
from audit.row import Row
from audit.store.port import FREQUENT, ClassFigures, SearchCosts, TokenSource
from audit.store.postgres.connection import Connection, ask, execute, scalar
from audit.store.postgres.rows import read_rows, row_select, sealed_source
from audit.store.postgres.tables import reason_table, record_table, sealed_table

_FETCH = 500  # rows a round trip where all of a day are read: some MiB of ciphertext

# Fetching the records of a token costs as much for each as walking a day in order costs for two; of the latter, a page
# of results takes fifty times what a day holds for each that has the token.
_WALKED_FOR_A_FETCH = 50
_PLAIN_COST = 5  # two tuples of the index of ``head_seq``, and the tokens of both
_SPARSE_SHARE = 10  # a plain index with less than each tenth record: walking all for a token would look at more

_NO_SEQ = -1
_NOWHERE = TokenSource("(select null::bigint as head_seq where false) t", (), "", (), "t.head_seq")


def _uuids(tokens: Sequence[bytes]) -> list[uuid.UUID]:
    return [uuid.UUID(bytes=token) for token in tokens]


class PostgresDay:
    """Reads through a connection whose transaction the owner keeps; see ``audit.store.port.DayView``."""

    tokens_are_copied = False
    walks_tokens_in_order = False

    def __init__(self, connection: Connection, day: date, classes: Sequence[str], records: int = 0) -> None:
        """``records``: about how many it holds; decides nothing but how it is searched."""
        self.day = day
        self.costs = SearchCosts(
            frequent=max(FREQUENT, isqrt(_WALKED_FOR_A_FETCH * records)),
            sparse=records // _SPARSE_SHARE,
            plain=_PLAIN_COST,
        )
        self._connection = connection
        self._classes = tuple(classes)
        self._tables = {
            "record": record_table(day),
            "reason": reason_table(day),
            "sealed": sealed_source(day, classes, "seq, head_seq, subject, content"),
            "term": sealed_source(day, classes, "unnest(terms) as token, head_seq"),
        }

    def select(self, sql: str, parameters: Sequence[object]) -> Iterator[tuple[Any, ...]]:
        """Run a query written for either store: tables in braces, ``?`` for parameters."""
        yield from ask(self._connection, self.statement(sql), parameters)

    def statement(self, sql: str) -> str:
        """The query with this day's tables."""
        return sql.format_map(self._tables)

    # Nothing but the committed tokens is asked in any of these. How they are written decides which index answers, so
    # that it hangs on no statistics: a day's tables have none in its first hours.

    def token_source(self, tokens: Sequence[bytes], before_seq: int) -> TokenSource:
        """By the index of tokens, which finds all of a day at once. Kept from the bound (two indexes would be read to
        the end and compared) and, by ``offset 0``, from being walked by ``head_seq`` for the order's sake."""
        if not self._classes or not tokens:
            return _NOWHERE
        marks = ", ".join(["?"] * len(tokens))
        where = f" where terms && array[{marks}]::uuid[] and (head_seq + 0) < ? offset 0"
        parts = (f"(select head_seq from {sealed_table(self.day, class_)}{where})" for class_ in self._classes)  # noqa: S608
        parameters = (*_uuids(tokens), before_seq) * len(self._classes)
        return TokenSource(f"({' union all '.join(parts)}) t", parameters, "", (), "t.head_seq")

    def token_walk(self, token: bytes, before_seq: int) -> TokenSource:
        """By the index of ``head_seq``, backwards: ``any`` of a column is no question for the index of tokens."""
        if not self._classes:
            return _NOWHERE
        where = " where ? = any(terms) and head_seq < ? order by head_seq desc"
        parts = (f"(select head_seq from {sealed_table(self.day, class_)}{where})" for class_ in self._classes)  # noqa: S608
        return TokenSource(
            f"({' union all '.join(parts)}) t",
            (*_uuids([token]), before_seq) * len(self._classes),
            "",
            (),
            "t.head_seq",
        )

    def has_token(self, tokens: Sequence[bytes], head: str) -> tuple[str, tuple[object, ...]]:
        """By the index of ``head_seq``: the two halves are looked at."""
        if not self._classes or not tokens:
            return "1 = 0", ()
        has = " or ".join(["? = any(terms)"] * len(tokens))
        where = f" where ({has}) and head_seq = {head}"
        parts = (f"exists (select 1 from {sealed_table(self.day, class_)}{where})" for class_ in self._classes)  # noqa: S608
        return f"({' or '.join(parts)})", (*_uuids(tokens),) * len(self._classes)

    def numbers(self, seqs: Sequence[int]) -> tuple[str, tuple[object, ...]]:
        # Never empty, and never of smaller numbers: such a list has another type, and the text with it another plan.
        return "unnest(?::bigint[]) m (head_seq)", ([Int8(seq) for seq in seqs] or [Int8(_NO_SEQ)],)

    def rows(self, first_seq: int = 0) -> Iterator[Row]:
        """Rows from a sequence number on, in order, through a cursor on the server. Needs an open transaction."""
        name = f"rows_{self.day:%Y%m%d}_{uuid.uuid4().hex[:8]}"
        statement = f"{row_select(self.day, self._classes)} where r.seq >= %s order by r.seq"
        with self._connection.cursor(name, binary=True) as cursor:
            cursor.itersize = _FETCH
            cursor.execute(statement.encode(), [first_seq])
            for values in cursor:
                yield Row._make(values)

    def row(self, seq: int) -> Row | None:
        return next(read_rows(self._connection, self.day, self._classes, "r.seq = %s", [seq]), None)

    def event(self, event_id: bytes) -> list[Row]:
        """The records of one event: its head, and its outcome if it has one."""
        table = record_table(self.day)
        # In one question: the time goes into the trip, and into planning each text once for each day.
        heads = f"select h.seq from {table} h where h.event_id = %(id)s and h.phase <> 'outcome'"  # noqa: S608
        outcomes = f"select o.seq from {table} o where o.head_seq = any(array({heads})) and o.phase = 'outcome'"  # noqa: S608
        where = f"r.seq = any(array({heads} union all {outcomes}))"
        rows = list(read_rows(self._connection, self.day, self._classes, where, {"id": event_id}))
        return sorted(rows, key=lambda row: row.phase == Phase.OUTCOME)

    def count(self) -> int:
        return int(scalar(self._connection, f"select count(*) from {record_table(self.day)}"))  # noqa: S608

    def newest_seq(self) -> int:
        """Largest sequence number of the day; -1 if it is empty."""
        return int(scalar(self._connection, f"select coalesce(max(seq), -1) from {record_table(self.day)}"))  # noqa: S608

    def oldest_seq(self) -> int:
        """Smallest sequence number of the day; 0 if it is empty."""
        return int(scalar(self._connection, f"select coalesce(min(seq), 0) from {record_table(self.day)}"))  # noqa: S608

    def purged_at(self) -> datetime | None:
        """When the sealed parts of all its classes were removed, but for held records; ``None`` before."""
        found = execute(
            self._connection,
            "select bool_and(purged_at is not null), max(purged_at) from audit.scope where day = %s",
            [self.day.isoformat()],
        ).fetchone()
        at: datetime | None = found[1] if found is not None and found[0] else None
        return at

    def class_figures(self) -> dict[str, ClassFigures]:
        """What the day holds of each class; reads all of it."""
        counts = execute(
            self._connection,
            f"select class_, count(*) from {record_table(self.day)} group by class_",  # noqa: S608
        ).fetchall()
        figures = {str(class_): ClassFigures(int(records), 0, 0) for class_, records in counts}
        for class_ in self._classes:
            sealed, size_bytes = execute(
                self._connection,
                "select count(*), coalesce(sum(octet_length(subject) + octet_length(content)), 0)::bigint"  # noqa: S608
                f" from {sealed_table(self.day, class_)}",
            ).fetchall()[0]
            records = figures[class_].records if class_ in figures else 0
            figures[class_] = ClassFigures(records, int(sealed), int(size_bytes))
        return figures
