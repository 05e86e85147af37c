"""The fields that a query may name: what each one means, where it lies, and the one spelling of its values.

Closed; ``docs/reference/query-language.md`` lists them. ``docs`` and command read the texts here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from audit.errors import QueryInvalid
from audit.ids import parse_event_id
from audit.keywords import WORD_TERM, keywords
from audit.query.values import (
    read_days,
    read_numbers,
    read_times,
    write_days,
    write_numbers,
    write_times,
)
from audit.record import (
    ACTOR_TERM,
    CODE_PATTERN,
    MAX_REVISION_LENGTH,
    MAX_TERM_LENGTH,
    NAME_PATTERN,
    REVISION_PATTERN,
    Effect,
    Phase,
)

OPEN: Final = "open"  # the effect of what has none (yet)
PREFIX: Final = "*"  # at the end of a value: everything that begins like this
_SEPARATORS: Final = "._:-"
_Speller: TypeAlias = Callable[[str, datetime | None], str]


class Field(StrEnum):
    """What a condition is about."""

    ACTOR = "actor"
    GROUP = "group"
    DEPARTMENT = "department"
    NETWORK = "network"
    KEY = "key"
    FINDING = "finding"
    TARGET = "target"
    TEXT = "text"  # written as words or "phrases", without a name
    ACTION = "action"
    EFFECT = "effect"
    REASON = "reason"
    MODEL = "model"
    BUNDLE = "bundle"
    ID = "id"
    PHASE = "phase"
    CLASS = "class"
    ABOUT = "about"
    NODE = "node"
    CREATED = "created"
    DAY = "day"
    LATENCY = "latency"
    CREDITS = "credits"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """How a field is read. ``spell`` gives the one spelling of a value, or raises ``QueryInvalid``."""

    meaning: str
    example: str
    spell: _Speller
    term_kind: str = ""  # kind of its blind-index terms; "" for a plain field


def _blind(value: str, _now: datetime | None) -> str:
    if not 0 < len(value) <= MAX_TERM_LENGTH:
        raise QueryInvalid(f"expected 1 to {MAX_TERM_LENGTH} characters")
    return value


def _text(value: str, _now: datetime | None) -> str:
    words = keywords(value)
    if not words:
        raise QueryInvalid("there is no word to search for: it is too short, too long or too common to be indexed")
    return " ".join(words)


def _one_of(values: tuple[str, ...]) -> _Speller:
    def spell(value: str, _now: datetime | None) -> str:
        if value.lower() not in values:
            raise QueryInvalid(f"expected one of {', '.join(values)}")
        return value.lower()

    return spell


def _matching(pattern: str, expected: str) -> _Speller:
    compiled = re.compile(pattern)

    def spell(value: str, _now: datetime | None) -> str:
        if not value or len(value) > MAX_TERM_LENGTH or not compiled.fullmatch(value):
            raise QueryInvalid(f"expected {expected}")
        return value

    return spell


def _or_prefix(pattern: str, expected: str) -> _Speller:
    """Like ``_matching``, and ``dlp.*`` for all that begin like this."""
    whole = re.compile(pattern)
    characters = re.compile(r"[A-Za-z0-9._:/@+-]+")

    def spell(value: str, _now: datetime | None) -> str:
        start = value.removesuffix(PREFIX)
        fits = characters if value.endswith(PREFIX) else whole
        if not start or len(start) > MAX_REVISION_LENGTH or not fits.fullmatch(start):
            raise QueryInvalid(f"expected {expected}, or its beginning and *")
        return value

    return spell


def _code_or_family(expected: str) -> _Speller:
    """A code, or a family of them: ``dlp.*``, which may be written ``dlp.`` too."""
    spell_code = _or_prefix(CODE_PATTERN, expected)

    def spell(value: str, now: datetime | None) -> str:
        value = value.lower()
        return spell_code(value + PREFIX if value and value[-1] in _SEPARATORS else value, now)

    return spell


def _event_id(value: str, _now: datetime | None) -> str:
    parse_event_id(value.lower())
    return value.lower()


def _numbers(value: str, _now: datetime | None) -> str:
    return write_numbers(read_numbers(value))


RULES: Final[Mapping[Field, FieldRule]] = {
    Field.ACTOR: FieldRule("Who acted: the stable id, exactly.", "actor:alice", _blind, ACTOR_TERM),
    Field.GROUP: FieldRule("A group that the actor was in, exactly.", "group:designers", _blind, "group"),
    Field.DEPARTMENT: FieldRule(
        "The actor's department, exactly.", 'department:"Human Resources"', _blind, "department"
    ),
    Field.NETWORK: FieldRule(
        "The network address that the request came from, exactly.", "network:10.0.3.7", _blind, "network"
    ),
    Field.KEY: FieldRule("The credential that was used: an API key's id, exactly.", "key:k-7f3a", _blind, "credential"),
    Field.FINDING: FieldRule("A type of finding of the screening, exactly.", "finding:dlp.iban", _blind, "finding"),
    Field.TARGET: FieldRule(
        "Accesses to one record: the event id of the record that was looked at.",
        "target:0195c7a0-0000-7000-8000-000000000000",
        _blind,
        "target",
    ),
    Field.TEXT: FieldRule(
        "Words of the prompt, where the tenant has them indexed. All words of a phrase, in any order.",
        '"quarterly report"',
        _text,
        WORD_TERM,
    ),
    Field.ACTION: FieldRule(
        "What was done: a code, or a family.", "action:image:*", _code_or_family("a code such as image:edit")
    ),
    Field.EFFECT: FieldRule(
        "What came of it. `open`: nothing yet.",
        "effect:deny,mask",
        _one_of((*(effect.value for effect in Effect), OPEN)),
    ),
    Field.REASON: FieldRule(
        "Why: a reason code, or a family.", "reason:dlp.*", _code_or_family("a code such as dlp.iban")
    ),
    Field.MODEL: FieldRule(
        "The model that was asked for or answered.", "-model:embedded", _or_prefix(REVISION_PATTERN, "a model name")
    ),
    Field.BUNDLE: FieldRule(
        "The revision of the rules that decided.",
        "bundle:2026.11.*",
        _or_prefix(REVISION_PATTERN, "a revision of the rules"),
    ),
    Field.ID: FieldRule("The request's or event's id.", "id:0195c7a0-0000-7000-8000-000000000000", _event_id),
    Field.PHASE: FieldRule(
        "A record of this phase is there.", "phase:access", _one_of(tuple(phase.value for phase in Phase))
    ),
    Field.CLASS: FieldRule(
        "The retention class of a half.", "class:abuse", _matching(NAME_PATTERN, "a class such as standard")
    ),
    Field.ABOUT: FieldRule(
        "What a record of the log's own work is about: a purged day, a record's id.",
        "about:2026-10-22",
        _or_prefix(REVISION_PATTERN, "a day or an id"),
    ),
    Field.NODE: FieldRule("The process that wrote a half.", "node:gateway-2", _matching(NAME_PATTERN, "a node's name")),
    Field.CREATED: FieldRule(
        "When it began, UTC.",
        "created:2026-11-01..2026-11-22",
        lambda value, now: write_times(read_times(value, now)),
    ),
    Field.DAY: FieldRule(
        "The UTC day whose keys seal it and whose purge destroys it.",
        "day:2026-11-22",
        lambda value, now: write_days(read_days(value, now)),
    ),
    Field.LATENCY: FieldRule(
        "Milliseconds until it was concluded, by the upper bound of its bucket.", "latency:>10000", _numbers
    ),
    Field.CREDITS: FieldRule("Credits that it cost.", "credits:1..4", _numbers),
}


def spell(field: Field, value: str, now: datetime | None = None) -> str:
    """The one spelling of a value. Relative times need ``now``. Raises ``QueryInvalid``, which never quotes a value:
    it may be a person or a word of a prompt."""
    return RULES[field].spell(value, now)
