"""What a case permits and what a hold keeps: closed sets of criteria, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from audit.canonical import JSON
from audit.errors import EntryInvalid, QueryInvalid
from audit.ids import parse_event_id
from audit.record import MAX_TERM_LENGTH

MAX_SCOPE_ITEMS = 1000
MAX_OPENINGS = 10_000
# A case without a named event or person must at least be about a bounded time.
MAX_PERIOD_WITHOUT_NAMES = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """What a scope is compared with: known of a record without opening its content."""

    event_id: str
    tenant: str
    action: str
    created_at: datetime
    actor: str | None  # None if nobody can tell any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which records a case opens. Every criterion that is given must hold; within one, any value will do.

    Needs events, actors, or a period of at most 31 days: no case is about everything. ``members`` are actors who may
    open under it besides whoever asked for it.
    """

    event_ids: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None  # not included
    members: tuple[str, ...] = ()
    max_openings: int = 100

    def __post_init__(self) -> None:
        for name in ("event_ids", "actors", "actions", "members"):
            _check_items(name, getattr(self, name))
        _check_event_ids(self.event_ids)
        _check_period(self.created_from, self.created_to)
        if not 1 <= self.max_openings <= MAX_OPENINGS:
            raise EntryInvalid(f"max_openings must lie between 1 and {MAX_OPENINGS}, got {self.max_openings}")
        if not self.event_ids and not self.actors:
            if self.created_from is None or self.created_to is None:
                raise EntryInvalid("a case needs event ids, actors, or a period: it cannot be about everything")
            if self.created_to - self.created_from > MAX_PERIOD_WITHOUT_NAMES:
                raise EntryInvalid("a case without event ids or actors is about at most 31 days: narrow the period")

    def covers(self, facts: RecordFacts) -> bool:
        """Is the record within the scope? A record whose actor is unknown is within no scope that names actors."""
        return (
            (not self.event_ids or facts.event_id in self.event_ids)
            and (not self.actors or facts.actor in self.actors)
            and (not self.actions or facts.action in self.actions)
            and (self.created_from is None or facts.created_at >= self.created_from)
            and (self.created_to is None or facts.created_at < self.created_to)
        )

    def as_json(self) -> dict[str, JSON]:
        return {
            "event_ids": self.event_ids,
            "actors": self.actors,
            "actions": self.actions,
            "created_from": self.created_from.isoformat() if self.created_from else None,
            "created_to": self.created_to.isoformat() if self.created_to else None,
            "members": self.members,
            "max_openings": self.max_openings,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Scope:
        return cls(
            event_ids=tuple(stored["event_ids"]),
            actors=tuple(stored["actors"]),
            actions=tuple(stored["actions"]),
            created_from=_moment(stored["created_from"]),
            created_to=_moment(stored["created_to"]),
            members=tuple(stored["members"]),
            max_openings=stored["max_openings"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldScope:
    """Which records a hold keeps: single events, or everything of one actor from a day to a day (both included).

    ``to_day=None`` is open-ended: records that are still to come are kept too.
    """

    event_ids: tuple[str, ...] = ()
    actor: str = ""
    from_day: date | None = None
    to_day: date | None = None

    def __post_init__(self) -> None:
        if bool(self.event_ids) == bool(self.actor):
            raise EntryInvalid("a hold names either event ids or one actor")
        _check_items("event_ids", self.event_ids)
        _check_event_ids(self.event_ids)
        if self.event_ids and (self.from_day or self.to_day):
            raise EntryInvalid("a hold of event ids has no days: the ids say which records it keeps")
        if self.actor:
            _check_items("actor", (self.actor,))
            if self.from_day is None:
                raise EntryInvalid("a hold of an actor needs its first day")
            if self.to_day is not None and self.to_day < self.from_day:
                raise EntryInvalid("the last day of a hold lies before its first")

    def includes_day(self, day: date) -> bool:
        """Could records of this day be held? Event ids do not tell: their makers had clocks of their own."""
        if self.event_ids:
            return True
        return self.from_day is not None and self.from_day <= day and (self.to_day is None or day <= self.to_day)

    def as_json(self) -> dict[str, JSON]:
        return {
            "event_ids": self.event_ids,
            "actor": self.actor,
            "from_day": self.from_day.isoformat() if self.from_day else None,
            "to_day": self.to_day.isoformat() if self.to_day else None,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> HoldScope:
        return cls(
            event_ids=tuple(stored["event_ids"]),
            actor=stored["actor"],
            from_day=date.fromisoformat(stored["from_day"]) if stored["from_day"] else None,
            to_day=date.fromisoformat(stored["to_day"]) if stored["to_day"] else None,
        )


def check_text(name: str, text: str) -> None:
    """Raises ``EntryInvalid`` for a purpose, reason or note that says nothing or too much."""
    if not text.strip():
        raise EntryInvalid(f"{name} must not be empty: it goes on record")
    if len(text) > MAX_TEXT_LENGTH:
        raise EntryInvalid(f"{name} must have at most {MAX_TEXT_LENGTH} characters, got {len(text)}")


MAX_TEXT_LENGTH = 4000


def _check_items(name: str, values: tuple[str, ...]) -> None:
    if len(values) > MAX_SCOPE_ITEMS:
        raise EntryInvalid(f"{name} must have at most {MAX_SCOPE_ITEMS} entries, got {len(values)}")
    if any(not value or len(value) > MAX_TERM_LENGTH for value in values):
        raise EntryInvalid(f"entries of {name} must have 1 to {MAX_TERM_LENGTH} characters")


def _check_event_ids(event_ids: tuple[str, ...]) -> None:
    try:
        for event_id in event_ids:
            parse_event_id(event_id)
    except QueryInvalid as error:
        raise EntryInvalid(f"event_ids: {error}") from None


def _check_period(start: datetime | None, end: datetime | None) -> None:
    if any(at is not None and at.tzinfo is None for at in (start, end)):
        raise EntryInvalid("the ends of a period must be aware times")
    if start is not None and end is not None and end <= start:
        raise EntryInvalid("the end of a period must lie after its start")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
