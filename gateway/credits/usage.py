"""How much a person asked for lately: the fast facts that policy reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.credits.tables import usage_hours
from gateway.exchange import ActorId, Usage
from gateway.storage.database import Database


class UsageCounts:
    """Counts of requests by person and hour. "The last hour" is this hour and the one before it: coarse, and never
    less than the truth. What is in flight is counted in this process only."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._in_flight: Counter[ActorId] = Counter()  # touched by the event loop's thread only

    def begin(self, actor: ActorId) -> None:
        self._in_flight[actor] += 1

    def end(self, actor: ActorId) -> None:
        self._in_flight[actor] -= 1
        if not self._in_flight[actor]:
            del self._in_flight[actor]

    async def facts(self, actor: ActorId) -> Usage:
        """The usage of `actor` before the request being decided."""
        now = self._clock().astimezone(UTC)
        hour, day = (
            now.replace(minute=0, second=0, microsecond=0),
            now.replace(hour=0, minute=0, second=0, microsecond=0),
        )
        table = usage_hours.c
        query = select(
            func.coalesce(func.sum(case((table.hour >= day, table.requests), else_=0)), 0),
            func.coalesce(func.sum(case((table.hour >= day.replace(day=1), table.requests), else_=0)), 0),
            func.coalesce(func.sum(case((table.hour >= hour - timedelta(hours=1), table.refused), else_=0)), 0),
        ).where(table.actor == actor, table.hour >= min(day.replace(day=1), hour - timedelta(hours=1)))
        async with self._database.reading() as tx:
            in_day, in_month, refused = (await tx.execute(query)).one()
        return Usage(
            user_day=int(in_day),
            user_month=int(in_month),
            refused_last_hour=int(refused),
            in_flight=max(0, self._in_flight[actor] - 1),
        )

    async def count(self, actor: ActorId, *, refused: bool) -> None:
        """Add one request, or one refusal, to this hour."""
        now = self._clock().astimezone(UTC)
        values = {
            "actor": actor,
            "hour": now.replace(minute=0, second=0, microsecond=0),
            "requests": 0 if refused else 1,
            "refused": 1 if refused else 0,
        }
        dialect = sqlite if self._database.is_sqlite else postgresql
        statement = dialect.insert(usage_hours).values(values)
        statement = statement.on_conflict_do_update(
            index_elements=["actor", "hour"],
            set_={
                "requests": usage_hours.c.requests + statement.excluded.requests,
                "refused": usage_hours.c.refused + statement.excluded.refused,
            },
        )
        async with self._database.transaction() as tx:
            await tx.execute(statement)
