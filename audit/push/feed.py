"""A feed as a gateway runs it: one consumer, served by whichever process gets it, for as long as the process lives.

States::

    standby   another process serves the consumer; taken over within ``TAKE_OVER_SECONDS`` of its end
    sending   this process serves it
    parked    the receiver refused, or the log is not what it was: a person must look, then ``start`` again
    stopped   ended on request

A feed that fails never takes the log down with it: records go on being written, and the feed catches up.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from audit.errors import AuditError, ConsumerBusy
from audit.export.follow import Follow, RecordAccess
from audit.export.formats import FeedFormat
from audit.export.positions import ConsumerPosition
from audit.export.record import ring_opener, sealed_subject
from audit.export.source import FollowSource, StoreSource
from audit.push.choosing import SinkOptions, open_sink
from audit.push.pusher import BATCH_LIMIT, Pusher, PushFigures
from audit.push.sink import Sink
from audit.record import NAME_PATTERN
from audit.store.disk import Disk
from audit.store.port import Store

TAKE_OVER_SECONDS: Final = 5.0


class FeedState(StrEnum):
    """What a feed is doing here. Closed."""

    STANDBY = "standby"
    SENDING = "sending"
    PARKED = "parked"
    STOPPED = "stopped"


class FeedSettings(BaseModel):
    """One consumer of the log, and how to reach it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    consumer: Annotated[str, Field(pattern=NAME_PATTERN)] = Field(description="Name that the position is kept under.")
    to: str = Field(description="syslog+tls://HOST:PORT or https://HOST/PATH.")
    format: FeedFormat = Field(default=FeedFormat.OCSF, description="What to write: ocsf, jsonl, csv or cef.")
    tenants: tuple[Annotated[str, Field(pattern=NAME_PATTERN)], ...] = Field(
        default=(), description="Tenants whose records are sent; none named: those of all."
    )
    with_subjects: bool = Field(
        default=False, description="Tell who acted. What has been sent cannot be erased or purged from here."
    )
    batch_limit: int = Field(default=BATCH_LIMIT, ge=1, le=5000, description="Records sent at once, at most.")
    ca_file: Path | None = Field(default=None, description="Authorities to trust, PEM; the system's if not given.")
    certificate_file: Path | None = Field(default=None, description="Our certificate for syslog, PEM.")
    key_file: Path | None = Field(default=None, description="Its private key, PEM.")
    secret_file: Path | None = Field(default=None, description="Secret that a webhook's deliveries are signed with.")
    authorization_file: Path | None = Field(default=None, description="Value of a webhook's Authorization header.")
    allow_plain_loopback: bool = Field(default=False, description="Let syslog+tcp:// reach this machine itself.")

    def open_sink(self) -> Sink:
        """The sink that is meant. Raises ``ValueError``, ``KeyRefused`` or ``OSError``; connects to nothing yet."""
        names = SinkOptions.__dataclass_fields__
        options = SinkOptions(**{name: getattr(self, name) for name in names})
        return open_sink(self.to, self.format, options, sys.stdout)


def source_of(store: Store, settings: FeedSettings) -> StoreSource:
    """The source of an open store that tells persons if, and only if, the settings say so."""
    return StoreSource(store, ring_opener(store.ring) if settings.with_subjects else sealed_subject)


class Feed:
    """Serves one consumer in a task of its own. Use it from one event loop."""

    def __init__(
        self,
        settings: FeedSettings,
        source: FollowSource,
        positions: Path,
        *,
        clock: Callable[[], datetime],
        record_access: RecordAccess | None,
        disk: Disk | None = None,
        report: Callable[[str], None] = lambda _message: None,
        take_over_seconds: float = TAKE_OVER_SECONDS,
    ) -> None:
        """``positions`` is a folder that all processes of the log share. Raises what ``open_sink`` raises: a mistake in
        the settings is told at the start. Raises ``ValueError`` if persons were to be told without a record of it."""
        if settings.with_subjects and record_access is None:
            raise ValueError(f"feed {settings.consumer} tells persons, so it must be able to record that it does")
        self._settings = settings
        self._source = source
        self._positions = positions
        self._clock = clock
        self._record_access = record_access
        self._disk = disk or Disk()
        self._report = report
        self._take_over_seconds = take_over_seconds
        self._first_sink: Sink | None = settings.open_sink()
        self._pusher: Pusher | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.state = FeedState.STOPPED
        self.parked_reason = ""

    @property
    def consumer(self) -> str:
        return self._settings.consumer

    def start(self) -> None:
        """Start, or start again after it was parked. Does nothing while it runs."""
        if self._task is None or self._task.done():
            self._stopping.clear()
            self._pusher = None
            self.parked_reason = ""
            self.state = FeedState.STANDBY
            self._task = asyncio.create_task(self._run(), name=f"audit-feed-{self.consumer}")

    async def aclose(self) -> None:
        """Finish what is being sent, for some seconds at most, and stop. Safe to repeat."""
        self._stopping.set()
        if self._pusher is not None and self._task is not None:
            await self._pusher.aclose(self._task)
        elif self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        if self._first_sink is not None:
            await self._first_sink.aclose()
            self._first_sink = None
        if self.state is not FeedState.PARKED:
            self.state = FeedState.STOPPED

    async def figures(self) -> PushFigures | None:
        """How it is doing; ``None`` where another process serves it, or before the first turn."""
        return None if self._pusher is None else await self._pusher.figures()

    async def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    place = ConsumerPosition(self._positions, self.consumer, self._source.origin, self._disk)
                except ConsumerBusy:
                    self.state = FeedState.STANDBY
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), self._take_over_seconds)
                    continue
                with place:
                    await self._serve(place)
                return
        except (AuditError, OSError, ValueError) as error:  # the log goes on; a person must look at this
            self._park(str(error) if isinstance(error, AuditError) else f"{type(error).__name__}: {error}")

    async def _serve(self, place: ConsumerPosition) -> None:
        stored = place.load()
        follow = Follow(
            self._source,
            stored.cursor,
            clock=self._clock,
            last_leaf=stored.last_leaf,
            record_access=self._record_access,
            tenants=self._settings.tenants,
        )
        sink, self._first_sink = self._first_sink or self._settings.open_sink(), None
        limit = self._settings.batch_limit
        self._pusher = Pusher(follow, sink, place, clock=self._clock, batch_limit=limit, report=self._report)
        self.state = FeedState.SENDING
        await self._pusher.run()
        reason = (await self._pusher.figures()).parked_reason
        if reason:
            self._park(reason)

    def _park(self, reason: str) -> None:
        self.state = FeedState.PARKED
        self.parked_reason = reason
        self._report(f"parked: {reason}")
