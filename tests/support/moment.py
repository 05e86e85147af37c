"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Moment:
    """Call it for the time; `pass_` moves it, backwards too."""

    def __init__(self, at: datetime = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, *, seconds: float = 0, days: float = 0) -> None:
        self.at += timedelta(seconds=seconds, days=days)
