"""Opening a log for commands that name persons: the keys, the reader's name, and the record that comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from audit.canonical import JSON
from audit.cli.common import clock
from audit.export.record import SubjectOpener, ring_opener
from audit.log import AuditLog
from audit.record import Effect, Entry, Phase, RecordRef, Subject
from audit.settings import AuditSettings
from audit.store.disk import Disk
from audit.store.files.layout import Identity, Layout
from audit.store.opening import open_store
from audit.store.port import Store
from audit.vocabulary import LogEvent

T = TypeVar("T")

Kek = Annotated[Path | None, typer.Option(help="File of the key-encryption key.", show_default=False)]
SigningKey = Annotated[
    Path | None, typer.Option(help="File of the signing key; a snapshot needs none.", show_default=False)
]
Witness = Annotated[Path | None, typer.Option(help="Witness file of the log.", show_default=False)]
Reader = Annotated[
    str | None, typer.Option("--reader", help="Who takes the subjects out; goes on record.", show_default=False)
]
WithSubjects = Annotated[
    bool, typer.Option("--with-subjects", help="Tell who acted; needs keys and --reader, and goes on record first.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a command was given to open a log with."""

    kek: Path
    signing_key: Path | None
    reader: str
    witness: Path | None

    @classmethod
    def of(cls, kek: Path | None, signing_key: Path | None, reader: str | None, witness: Path | None = None) -> Keys:
        """Raises ``ValueError`` if something is missing."""
        if kek is None or not reader:
            raise ValueError(
                "--with-subjects needs --kek and --reader: who takes persons out of the log goes on record"
            )
        return cls(kek=kek, signing_key=signing_key, reader=reader, witness=witness)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedLog:
    """A log opened by a command, which nobody else writes meanwhile."""

    log: AuditLog
    store: Store
    reader: str

    @property
    def opener(self) -> SubjectOpener:
        return ring_opener(self.store.ring)

    async def record(self, event: LogEvent, content: dict[str, JSON]) -> RecordRef:
        """Record, durably, what is about to be taken out and by whom."""
        entry = Entry(action=event, subject=Subject(actor=self.reader), content=content, effect=Effect.ALLOW)
        return await self.log.note(entry, Phase.ACCESS)


def with_opened_log(
    store: Path,
    keys: Keys,
    now: str | None,
    work: Callable[[OpenedLog], Awaitable[T]],
    *,
    accept_no_mfa_evidence: bool = False,
) -> T:
    """Run ``work`` on a log; a snapshot is opened as one. Raises what ``AuditLog.open`` raises."""
    identity = Identity.read(Layout(store).identity)
    is_snapshot = identity.snapshot_taken_at is not None
    settings = AuditSettings(
        directory=store,
        kek_path=keys.kek,
        signing_key_path=None if is_snapshot else keys.signing_key,
        origin=identity.origin,
        witness_path=None if is_snapshot else keys.witness,
        node="command",
        accept_no_mfa_evidence=accept_no_mfa_evidence,
    )

    async def run() -> T:
        opened = open_store(settings, clock(now), Disk(), read_snapshot=is_snapshot)
        log = AuditLog(settings, clock(now), opened)
        try:
            return await work(OpenedLog(log=log, store=opened, reader=keys.reader))
        finally:
            await log.aclose()

    return asyncio.run(run())
