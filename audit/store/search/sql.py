"""Pieces of SQL with their parameters, put together without ever putting a value into the text.

The text is for ``DayView.select``: tables as ``{record}``, parameters as ``?``. It keeps to what SQLite and PostgreSQL
both mean alike: ``substr`` instead of ``like`` for prefixes (SQLite's ignores case), no ``null`` that a ``not`` meets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of a statement."""

    text: str
    parameters: tuple[object, ...] = ()


def join(separator: str, parts: Iterable[Sql]) -> Sql:
    """Pieces one after another."""
    found = list(parts)
    return Sql(separator.join(part.text for part in found), tuple(value for part in found for value in part.parameters))


def all_of(parts: Iterable[Sql]) -> Sql:
    return join(" and ", parts)


def any_of(parts: Iterable[Sql]) -> Sql:
    joined = join(" or ", parts)
    return Sql(f"({joined.text})", joined.parameters)


def inverted(part: Sql) -> Sql:
    return Sql(f"not ({part.text})", part.parameters)


def one_of(column: str, values: Sequence[object]) -> Sql:
    """The column is one of the values."""
    return Sql(f"{column} in ({', '.join('?' * len(values))})", tuple(values))


def wrapped(before: str, inner: Sql, after: str, *more: object) -> Sql:
    """A piece within a longer text; ``more`` are the parameters after it."""
    return Sql(f"{before}{inner.text}{after}", (*inner.parameters, *more))


def select(column: str, source: Sql, where: Sequence[Sql]) -> Sql:
    """``head_seq``, which ``column`` holds, of what fulfils all of ``where``."""
    # ``column`` is a constant of this package or of a store, never a value.
    start = wrapped(f"select {column} as head_seq from ", source, "")  # noqa: S608
    return join(" where ", [start, all_of(where)]) if where else start
