"""When did an OPA server last hear that its bundles are current? For bundles that somebody else hands out.

OPA serves what it has for ever, also when nobody answers its downloads any more. Its status API (`GET /v1/status`,
there when the `status` plugin is on) tells of each bundle `last_successful_request`, which an unchanged bundle renews
as well; a decision counts while the oldest of those is young enough.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.policy.engine import EngineFailed

CLOCKS_APART: Final = timedelta(minutes=5)
_NANOSECONDS: Final = re.compile(r"(\.\d{6})\d+")

_log = logging.getLogger(__name__)


class BundleAge:
    """Asks now and then; `problem()` is what decisions ask. Starts as "never heard", which is too old."""

    def __init__(
        self, ask: Callable[[], Awaitable[object]], *, clock: Callable[[], datetime], stale_after: timedelta
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._stale_after = stale_after
        self._confirmed_at: datetime | None = None
        self._why = "it was not asked yet"

    async def look(self) -> None:
        """Ask once. Never raises: no news makes what we know older, and that is enough."""
        try:
            self._confirmed_at = _oldest(await self._ask(), self._clock() + CLOCKS_APART)
            self._why = ""
        except (EngineFailed, ValueError) as error:
            self._why = str(error)
            _log.warning("policy.opa_status", extra={"cause": self._why})

    async def run(self) -> None:
        """Ask again and again, until cancelled; often enough that a missed answer or two make no refusal."""
        while True:
            await self.look()
            await asyncio.sleep(min(15.0, self._stale_after.total_seconds() / 4))

    def problem(self) -> str:
        """Why the server's rules are too old to decide; empty when they are not."""
        if self._confirmed_at is None:
            return f"OPA did not tell when its bundles were last confirmed: {self._why or 'never'}"
        age = self._clock() - self._confirmed_at
        if age <= self._stale_after:
            return ""
        return f"OPA's bundles were last confirmed {age.total_seconds():.0f} s ago"


def _oldest(document: object, latest: datetime) -> datetime:
    """Raises ValueError for a status that says nothing of bundles."""
    result = document.get("result") if isinstance(document, dict) else None
    bundles = result.get("bundles") if isinstance(result, dict) else None
    if not isinstance(bundles, dict) or not bundles:
        raise ValueError("OPA's status names no bundles: switch its status plugin and bundles on")
    oldest = min(_time(name, status) for name, status in bundles.items())
    if oldest > latest:
        raise ValueError("OPA's clock is ahead of ours, so its word on time says nothing")
    return oldest


def _time(name: str, status: Any) -> datetime:
    text = status.get("last_successful_request") if isinstance(status, dict) else None
    try:
        found = datetime.fromisoformat(_NANOSECONDS.sub(r"\1", str(text)))
    except ValueError:
        raise ValueError(f"OPA does not tell when bundle {name[:64]!r} was last confirmed") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
