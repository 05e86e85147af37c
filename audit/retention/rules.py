"""How many days the records of each class stay readable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

MIN_DAYS, MAX_DAYS = 1, 3650


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Whole UTC days after the day a record belongs to: it stays readable for at least that many days and at most one
    more. Raises ``ValueError`` for a number of days outside 1 to 3650."""

    default_days: int = 30
    days_by_class: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, days in [("default_days", self.default_days), *self.days_by_class.items()]:
            if not MIN_DAYS <= days <= MAX_DAYS:
                raise ValueError(f"retention of {what}: expected {MIN_DAYS} to {MAX_DAYS} days, got {days}")

    def days_of(self, class_: str) -> int:
        """Days that records of a class are kept."""
        return self.days_by_class.get(class_, self.default_days)

    def due_at(self, day: date, class_: str) -> datetime:
        """The moment from which a class of a day must be gone."""
        return datetime.combine(day + timedelta(days=self.days_of(class_) + 1), time(), UTC)

    def is_due(self, day: date, class_: str, today: date) -> bool:
        """Is a class of a day past its retention?"""
        return (today - day).days > self.days_of(class_)

    def is_all_due(self, day: date, today: date) -> bool:
        """Is every class of a day past its retention, whatever classes it has?"""
        return (today - day).days > max(self.default_days, *self.days_by_class.values(), MIN_DAYS)

    def may_be_due(self, day: date, today: date) -> bool:
        """Can any class of a day be past its retention?"""
        return (today - day).days > min(self.default_days, *self.days_by_class.values(), MAX_DAYS)
