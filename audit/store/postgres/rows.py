"""Rows into the tables of their days and classes, and out of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from audit.row import COLUMNS, Row
from audit.store.postgres.connection import Connection, Parameters, execute
from audit.store.postgres.tables import (
    RECORD_COLUMNS,
    SEALED_COLUMNS,
    reason_table,
    record_table,
    sealed_table,
)

_RECORD_WIDTH = len(RECORD_COLUMNS)
_NUMBERS = {
    "seq": "int8",
    "head_seq": "int8",
    "recorded_at": "int8",
    "credits": "int8",
    "counter": "int8",
    "latency_bucket_ms": "int4",
    "schema": "int4",
}
_BYTES = ("event_id", "envelope_salt", "subject_digest", "content_digest", "index_commitment", "leaf")
_RECORD_TYPES = [_NUMBERS.get(name, "bytea" if name in _BYTES else "text") for name in RECORD_COLUMNS]
_SEALED_TYPES = ["int8", "int8", "bytea", "bytea", "bytea", "uuid[]", "bytea"]
_SEALED_AT = tuple(COLUMNS.index(name) for name in SEALED_COLUMNS)

_ROW_COLUMNS = ", ".join(f"r.{name}" if name in RECORD_COLUMNS else f"s.{name}" for name in COLUMNS)


def insert_rows(connection: Connection, rows: Sequence[Row]) -> None:
    """Copy rows into their tables, inside the caller's transaction. Raises ``psycopg.Error``."""
    by_day: dict[date, list[Row]] = {}
    by_scope: dict[tuple[date, str], list[Row]] = {}
    for row in rows:
        day = date.fromisoformat(row.day)
        by_day.setdefault(day, []).append(row)
        by_scope.setdefault((day, row.class_), []).append(row)
    for day, of_day in by_day.items():
        _copy(connection, record_table(day), RECORD_COLUMNS, _RECORD_TYPES, (row[:_RECORD_WIDTH] for row in of_day))
        reasons = sorted({(code, row.head_seq) for row in of_day if row.reasons for code in row.reasons.split()})
        if reasons:
            execute(
                connection,
                f"insert into {reason_table(day)} select * from unnest(%s::text[], %s::bigint[])"  # noqa: S608
                " on conflict do nothing",
                [[code for code, _ in reasons], [head_seq for _, head_seq in reasons]],
            )
    for (day, class_), of_scope in by_scope.items():
        parts = (tuple(row[at] for at in _SEALED_AT) for row in of_scope)
        _copy(connection, sealed_table(day, class_), SEALED_COLUMNS, _SEALED_TYPES, parts)


def _copy(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    types: Sequence[str],
    values: Iterable[Sequence[Any]],
) -> None:
    statement = f"copy {table} ({', '.join(columns)}) from stdin (format binary)"
    with connection.cursor().copy(statement.encode()) as copy:
        copy.set_types(types)
        for row in values:
            copy.write_row(row)


def sealed_source(day: date, classes: Sequence[str], columns: str, where: str = "") -> str:
    """The sealed tables of a day's classes as one, for a FROM clause. ``where`` is repeated for each of them."""
    if not classes:
        return (
            "(select null::bigint as seq, null::bigint as head_seq, null::bytea as subject, null::bytea as content,"
            " null::bytea as index_salt, null::uuid[] as terms, null::bytea as authenticator where false)"
        )
    parts = (f"select {columns} from {sealed_table(day, class_)}{where}" for class_ in classes)  # noqa: S608
    return f"({' union all '.join(parts)})"


def row_select(day: date, classes: Sequence[str]) -> str:
    """A SELECT of whole rows of a day: tables ``r`` (records) and ``s`` (sealed parts); add WHERE and ORDER BY."""
    source = sealed_source(day, classes, ", ".join(SEALED_COLUMNS))
    return f"select {_ROW_COLUMNS} from {record_table(day)} r left join {source} s on s.seq = r.seq"  # noqa: S608


def read_rows(
    connection: Connection, day: date, classes: Sequence[str], where: str, parameters: Parameters
) -> Iterator[Row]:
    """Rows of a day that fulfil a condition, fetched at once."""
    statement = f"{row_select(day, classes)} where {where} order by r.seq"
    for values in execute(connection, statement, parameters):
        yield Row._make(values)
