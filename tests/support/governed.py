"""A log on real files with its cases, holds and erasures, its clock set by hand, and a few officers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from audit.governance.facade import Governance
from audit.governance.officer import MfaRule, Officer
from audit.governance.scope import RecordFacts, Scope
from audit.keys.services.opening import open_key_service
from audit.log import AuditLog
from audit.record import Effect, Entry, Phase, RecordRef, Subject, Ticket
from audit.settings import AuditSettings
from audit.store.disk import Disk
from audit.store.opening import open_store
from audit.store.port import Store
from audit.verify.report import Report
from audit.verify.store import verify_store

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Crash(Exception):
    """The process ends here."""


class Governed:
    """Opens the same log each time: in files, or in the PostgreSQL database at ``database_url``."""

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        self.folder = folder
        self.directory = folder / "log"
        self.database_url = database_url
        self.now = START
        self.events: list[tuple[Entry, Phase, str]] = []
        self.crash_after_events: int | None = None  # the process ends after this many more events are durable
        self.crash_before_events: int | None = None
        self.settings = AuditSettings(
            directory=self.directory,
            kek_path=folder / "kek",
            signing_key_path=folder / "signing.pem",
            origin="example.com/audit",
            database_url=database_url,
            create_keys=True,
            checkpoint_interval_seconds=3600,
        )
        self.log: AuditLog
        self.store: Store
        self.governance: Governance

    @asynccontextmanager
    async def open(self, mfa: MfaRule | None = None, *, read_snapshot: bool = False) -> AsyncIterator[Governance]:
        self.store = await asyncio.to_thread(
            open_store, self.settings, lambda: self.now, Disk(), read_snapshot=read_snapshot
        )
        self.log = AuditLog(self.settings, lambda: self.now, self.store)
        self.governance = Governance.open(
            self.store,
            record=self._record,
            clock=lambda: self.now,
            directory=self.directory,
            wrapper=open_key_service(self.settings.key_service_settings(), Disk()),
            database_url=self.database_url,
            mfa=mfa,
        )
        self.log.retention.escrow = self.governance.escrow
        try:
            yield self.governance
        finally:
            await asyncio.to_thread(self.governance.close)
            await self.log.aclose()

    async def _record(self, entry: Entry, phase: Phase, *, about: str = "") -> RecordRef:
        if self.crash_before_events is not None:
            self.crash_before_events -= 1
            if self.crash_before_events < 0:
                raise Crash
        reference = await self.log.note(entry, phase, about=about)
        self.events.append((entry, phase, about))
        if self.crash_after_events is not None:
            self.crash_after_events -= 1
            if self.crash_after_events < 0:
                raise Crash
        return reference

    def forward(self, **units: float) -> None:
        self.now += timedelta(**units)

    def officer(self, actor: str, *, mfa_age_seconds: float | None = 10) -> Officer:
        at = None if mfa_age_seconds is None else self.now - timedelta(seconds=mfa_age_seconds)
        return Officer(Subject(actor=actor, display=actor.title()), at)

    async def request(
        self,
        actor: str = "alice",
        prompt: str = "a fox in the snow",
        *,
        class_: str = "standard",
        tenant: str = "default",
    ) -> Ticket:
        """One whole request of a person."""
        ticket = await self.intend(actor, prompt, class_=class_, tenant=tenant)
        who = Subject(actor=actor, display=actor.title(), department="press")
        outcome = Entry(
            action="image:generate",
            subject=who,
            effect=Effect.ALLOW,
            content={"picture": f"of {prompt}"},
            class_=class_,
            tenant=tenant,
        )
        await self.log.conclude(ticket, outcome)
        return ticket

    async def intend(
        self,
        actor: str = "alice",
        prompt: str = "a fox in the snow",
        *,
        class_: str = "standard",
        tenant: str = "default",
    ) -> Ticket:
        who = Subject(actor=actor, display=actor.title(), department="press")
        return await self.log.intend(
            Entry(action="image:generate", subject=who, content={"prompt": prompt}, class_=class_, tenant=tenant)
        )

    def facts(self, ticket: Ticket, actor: str | None = "alice") -> RecordFacts:
        return RecordFacts(
            event_id=ticket.event_id,
            tenant=ticket.tenant,
            action=ticket.action,
            created_at=ticket.opened_at,
            actor=actor,
        )

    async def active_case(self, scope: Scope, *, asked_by: str = "dana", approved_by: str = "erin") -> str:
        """Id of an approved case."""
        cases = self.governance.cases
        case = await cases.request("reported misuse", scope, self.now + timedelta(days=7), self.officer(asked_by))
        await cases.approve(case.id, self.officer(approved_by))
        return case.id

    async def rows(self, event_id: str) -> list[Any]:
        """The records of an event as they are stored now."""
        return await self.log._rows(event_id, "default")

    def verify(self) -> Report:
        """Verify the whole log, as anybody with the public key may."""
        return verify_store(self.database_url or str(self.directory), self.log.verifier_key, None)

    # -- what whoever may write to the database can do

    @contextmanager
    def database(self) -> Iterator[Any]:
        """A connection of a database administrator's."""
        if self.database_url is None:
            connection = sqlite3.connect(self.directory / "governance.sqlite", isolation_level=None)
            try:
                yield connection
            finally:
                connection.close()
        else:
            with psycopg.connect(self.database_url, autocommit=True) as administrator:
                administrator.execute("set search_path = audit")
                yield administrator

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, written with ``?``, as the database's administrator."""
        with self.database() as connection:
            if self.database_url is not None:
                sql = sql.replace("?", "%s")
            cursor = connection.execute(sql, tuple(parameters))
            return list(cursor.fetchall()) if cursor.description else []
