"""Opening a log for commands that work in it: the record comes first, then what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from audit.canonical import JSON
from audit.cli.common import clock
from audit.cli.log_options import LogOptions
from audit.export.record import SubjectOpener, ring_opener
from audit.log import AuditLog
from audit.record import Effect, Entry, Phase, RecordRef, Subject
from audit.vocabulary import LogEvent

T = TypeVar("T")

Reader = Annotated[
    str | None, typer.Option("--reader", help="Who takes the subjects out; goes on record.", show_default=False)
]
WithSubjects = Annotated[
    bool, typer.Option("--with-subjects", help="Tell who acted; needs keys and --reader, and goes on record first.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedLog:
    """A log opened by a command, and who reads in it."""

    log: AuditLog
    reader: str

    @property
    def opener(self) -> SubjectOpener:
        return ring_opener(self.log.store.ring)

    async def record(self, event: LogEvent, content: dict[str, JSON]) -> RecordRef:
        """Record, durably, what is about to be taken out and by whom."""
        entry = Entry(action=event, subject=Subject(actor=self.reader), content=content, effect=Effect.ALLOW)
        return await self.log.note(entry, Phase.ACCESS)


def require_reader(given: LogOptions, reader: str | None) -> str:
    """Who takes persons out. Raises ``ValueError`` if nobody is named, or no key is given."""
    if (given.kek is None and given.service is None) or not reader:
        raise ValueError(
            "--with-subjects needs --kek or --service, and --reader: who takes persons out of the log goes on record"
        )
    return reader


def with_log(
    store: Path, given: LogOptions, now: str | None, work: Callable[[AuditLog], Awaitable[T]], **more: Any
) -> T:
    """Run ``work`` on a log; a snapshot is opened as one. ``more``: further settings. Raises what ``AuditLog.open``
    and ``LogOptions.settings`` raise."""
    settings, is_snapshot = given.settings(store, **more)

    async def run() -> T:
        log = await AuditLog.open(settings, clock=clock(now), read_snapshot=is_snapshot)
        try:
            return await work(log)
        finally:
            await log.aclose()

    return asyncio.run(run())


def with_opened_log(
    store: Path, given: LogOptions, reader: str, now: str | None, work: Callable[[OpenedLog], Awaitable[T]]
) -> T:
    """The same for a command in which one person reads."""
    return with_log(store, given, now, lambda log: work(OpenedLog(log=log, reader=reader)))
