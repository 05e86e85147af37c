"""A question to the log: conditions that must all hold, each with values of which one is enough."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from audit.canonical import JSON, encode
from audit.errors import QueryInvalid
from audit.query.cursor import BINDING_BYTES, Cursor
from audit.query.fields import Field, spell
from audit.query.values import check_stretch, read_times, write_times
from audit.record import NAME_PATTERN

MAX_LIMIT: Final = 200
DEFAULT_LIMIT: Final = 50
# Each value is at most one index walk for each class of records and day.
MAX_CONDITIONS: Final = 32
MAX_VALUES: Final = 64  # of all conditions together
_NEEDS_QUOTES: Final = re.compile(r'[\s,"]')


@dataclass(frozen=True, slots=True)
class Condition:
    """One of ``values`` holds, or none of them if ``negated``. Values get their one spelling here.

    A condition on who or on words, negated or not, holds only for records whose keys still exist: of a destroyed day
    nobody can say whether it was somebody. Raises ``QueryInvalid``.
    """

    field: Field
    values: tuple[str, ...]
    negated: bool = False

    def __post_init__(self) -> None:
        if not self.values:
            raise QueryInvalid(f"{self.field}: expected a value, got none")
        try:
            values = tuple(dict.fromkeys(spell(self.field, str(value)) for value in self.values))
        except QueryInvalid as error:
            raise QueryInvalid(f"{self.field}: {error}") from None
        object.__setattr__(self, "values", values)

    @property
    def text(self) -> str:
        """The condition in the query language."""
        # A word needs no name; of several one is enough, which only a list can say.
        name = "" if self.field is Field.TEXT and len(self.values) == 1 else f"{self.field}:"
        return f"{'-' if self.negated else ''}{name}{','.join(map(_quoted, self.values))}"


@dataclass(frozen=True, slots=True, init=False)
class Query:
    """A search. Times are aware; ``created_from`` counts in and ``created_to`` out."""

    tenant: str
    conditions: tuple[Condition, ...]
    created_from: datetime | None
    created_to: datetime | None
    limit: int
    cursor: str | None
    with_facets: bool

    def __init__(
        self,
        *,
        tenant: str = "default",
        conditions: Iterable[Condition] = (),
        actor: str | None = None,
        action: str | None = None,
        effect: str | None = None,
        reason: str | None = None,
        model: str | None = None,
        event_id: str | None = None,
        word: str | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        with_facets: bool = False,
    ) -> None:
        """``actor`` to ``word`` are short for a condition with that one value. ``action`` and ``reason`` are codes,
        or families that end in a separator (``image:``, ``dlp.``). ``with_facets`` asks for counts too.

        Raises ``QueryInvalid``.
        """
        if not re.fullmatch(NAME_PATTERN, tenant):
            raise QueryInvalid("tenant is not a name")
        if not 1 <= limit <= MAX_LIMIT:
            raise QueryInvalid(f"limit must lie between 1 and {MAX_LIMIT}, got {limit}")
        short = (
            (Field.ID, event_id),
            (Field.ACTOR, actor),
            (Field.ACTION, action),
            (Field.EFFECT, effect),
            (Field.REASON, reason),
            (Field.MODEL, model),
            (Field.TEXT, word),
        )
        given = [Condition(field, (value,)) for field, value in short if value is not None]
        since, until = _utc("created_from", created_from), _utc("created_to", created_to)
        check_stretch(since, until)
        kept: dict[Condition, None] = {}
        for condition in (*given, *conditions):
            if condition.field is Field.CREATED and not condition.negated and len(condition.values) == 1:
                # One way to say it: a single stretch of time is the two bounds.
                start, end = read_times(condition.values[0])
                since = max((at for at in (since, start) if at is not None), default=None)
                until = min((at for at in (until, end) if at is not None), default=None)
                check_stretch(since, until)
            else:
                kept[condition] = None
        if len(kept) > MAX_CONDITIONS or sum(len(condition.values) for condition in kept) > MAX_VALUES:
            raise QueryInvalid(
                f"expected at most {MAX_CONDITIONS} conditions with {MAX_VALUES} values in all, got more"
            )
        values = (tenant, tuple(kept), since, until, limit, cursor, with_facets)
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)
        if cursor is not None:
            Cursor.parse(cursor, self.binding())

    @property
    def created(self) -> str:
        """The bounds as the query language writes them; empty without any."""
        if self.created_from is None and self.created_to is None:
            return ""
        return write_times((self.created_from, self.created_to))

    @property
    def text(self) -> str:
        """The conditions in the query language: ``read_query`` of it gives the same conditions again."""
        terms = [condition.text for condition in self.conditions]
        return " ".join([*terms, f"{Field.CREATED}:{self.created}"] if self.created else terms)

    def binding(self) -> bytes:
        """What a cursor is bound to: all that decides which records are found, in whatever order it is asked."""
        conditions = sorted(
            encode(condition.field.value, int(condition.negated), *sorted(condition.values))
            for condition in self.conditions
        )
        asked = encode("imprimatur/audit/cursor/v1", self.tenant, self.created, *conditions)
        return hashlib.sha256(asked).digest()[:BINDING_BYTES]

    def as_content(self) -> dict[str, JSON]:
        """The query for its own access record (sealed: it may name a person)."""
        found: dict[str, JSON] = {"tenant": self.tenant, "query": self.text, "limit": self.limit}
        if self.cursor is not None:
            found["cursor"] = self.cursor
        if self.with_facets:
            found["with_facets"] = True
        return found


def _quoted(value: str) -> str:
    if not _NEEDS_QUOTES.search(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _utc(name: str, at: datetime | None) -> datetime | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise QueryInvalid(f"{name} must be an aware time")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise QueryInvalid(f"{name} lies beyond the calendar") from None
