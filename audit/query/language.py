"""The query language: ``actor:alice effect:deny created:2026-11-01..2026-11-22 -model:embedded "quarterly"``.

::

    query  = [ term *( space term ) ]
    term   = [ "-" ] ( name ":" value *( "," value ) / word / quoted )
    value  = quoted / 1*( any but space, comma, quote at its begin )
    quoted = DQUOTE *( any but DQUOTE and backslash / backslash DQUOTE / backslash backslash ) DQUOTE

All terms must hold, one value of a list is enough, ``-`` turns a term round. A word or quoted text without a name is
``text:``. ``Query.text`` is the way back. An error says where (characters are
counted from 1) and what was expected, never what stood there: it may be a person, or a word of a prompt.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.errors import QueryInvalid
from audit.query.fields import Field, spell
from audit.query.model import DEFAULT_LIMIT, Condition, Query

MAX_QUERY_LENGTH: Final = 2000
MAX_TERMS: Final = 64
_FIELDS: Final = {field.value: field for field in Field}
_NAME: Final = re.compile(r"([A-Za-z_]+):")
_BARE: Final = re.compile(r"[^\s,]+")
_WORD: Final = re.compile(r"\S+")
_OPERATORS: Final = frozenset({"AND", "OR", "NOT"})


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a query, as it was written and as it is meant."""

    source: str
    condition: Condition


def read_terms(text: str, now: datetime) -> tuple[Term, ...]:
    """The terms of a query, in order. ``now`` is what relative times are counted from. Raises ``QueryInvalid``."""
    if len(text) > MAX_QUERY_LENGTH:
        raise QueryInvalid(f"a query has at most {MAX_QUERY_LENGTH} characters, got {len(text)}")
    scanner = _Scanner(text, now)
    terms: list[Term] = []
    while not scanner.is_at_end():
        if len(terms) == MAX_TERMS:
            raise QueryInvalid(f"a query has at most {MAX_TERMS} terms, got more")
        terms.append(scanner.term())
    return tuple(terms)


def read_query(
    text: str,
    *,
    now: datetime,
    tenant: str = "default",
    conditions: Iterable[Condition] = (),
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    with_facets: bool = False,
) -> Query:
    """The query that a text means; ``conditions`` are asked beside it. Raises ``QueryInvalid``."""
    return Query(
        tenant=tenant,
        conditions=(*(term.condition for term in read_terms(text, now)), *conditions),
        limit=limit,
        cursor=cursor,
        with_facets=with_facets,
    )


class _Scanner:
    def __init__(self, text: str, now: datetime) -> None:
        self._text = text
        self._now = now
        self._at = 0

    def is_at_end(self) -> bool:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at == len(self._text)

    def term(self) -> Term:
        start = self._at
        negated = self._text[start] == "-"
        self._at += negated
        name = _NAME.match(self._text, self._at)
        if name:
            field = self._field(name)
            values = [self._value(field)]
            while self._text.startswith(",", self._at):
                self._at += 1
                values.append(self._value(field))
        else:
            field, values = Field.TEXT, [self._words()]
        if self._at < len(self._text) and not self._text[self._at].isspace():
            raise self._error("expected a space after the closing quote")
        return Term(self._text[start : self._at], Condition(field, tuple(values), negated))

    def _field(self, name: re.Match[str]) -> Field:
        field = _FIELDS.get(name[1].lower())
        if field is None:
            close = difflib.get_close_matches(name[1].lower(), _FIELDS, n=1, cutoff=0.6)
            nearest = f"; the nearest is {close[0]}" if close else ""
            raise self._error(
                f"there is no field with that name{nearest}. Fields: {', '.join(_FIELDS)}. "
                "To search for words with a colon, put them in quotes"
            )
        self._at = name.end()
        return field

    def _value(self, field: Field) -> str:
        start = self._at
        if self._text.startswith('"', start):
            value = self._quoted()
        else:
            bare = _BARE.match(self._text, start)
            if bare is None:
                raise self._error(f"expected a value of {field}")
            value, self._at = bare[0], bare.end()
        return self._spell(field, value, start)

    def _words(self) -> str:
        start = self._at
        if self._text.startswith('"', start):
            return self._spell(Field.TEXT, self._quoted(), start)
        word = _WORD.match(self._text, start)
        if word is None:
            raise self._error("expected a term after -")
        if word[0] in _OPERATORS:
            raise self._error(
                "all terms must hold, without AND; write effect:deny,mask for one of several, and -effect:deny for not"
            )
        self._at = word.end()
        return self._spell(Field.TEXT, word[0], start)

    def _quoted(self) -> str:
        start = self._at
        self._at += 1
        found: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == '"':
                return "".join(found)
            if character == "\\":
                character = self._text[self._at : self._at + 1]
                if character not in ('"', "\\"):
                    raise self._error('expected " or \\ after \\ within quotes')
                self._at += 1
            found.append(character)
        raise self._error("a quote is opened here and never closed", start)

    def _spell(self, field: Field, value: str, start: int) -> str:
        try:
            return spell(field, value, self._now)
        except QueryInvalid as error:
            raise self._error(f"{field}: {error}", start) from None

    def _error(self, message: str, at: int | None = None) -> QueryInvalid:
        return QueryInvalid(f"character {(self._at if at is None else at) + 1}: {message}")
