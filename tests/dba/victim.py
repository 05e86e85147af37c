"""The log that is attacked: 46 records of two days and two tenants, a checkpoint every ten, a witness that knows them.

It is made once for each store and copied for each attack, so that an attack takes a fraction of a second.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from audit import AuditLog, AuditSettings, Entry, Subject, VerifierKey
from audit.checkpoint import sign_checkpoint
from audit.migrations.migrate import upgrade
from audit.note import NoteSigner
from audit.row import COLUMNS, Row
from audit.seal import TOKEN_BYTES
from audit.store.moment import open_moment
from audit.store.postgres.connection import connect
from audit.store.postgres.tables import RECORD_COLUMNS, SEALED_COLUMNS
from tests.support.postgres import PostgresServer

REQUESTS: Final = 20  # of the first day, two records each
LATE_REQUESTS: Final = 3  # of the second
RECORDS: Final = 2 * (REQUESTS + LATE_REQUESTS)
CHECKPOINTS: Final = (0, 10, 20, 30, 40, 46)
DAYS: Final = ("2026-11-22", "2026-11-23")
START: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOW: Final = START + timedelta(days=1)
ORIGIN: Final = "example.com/audit"

_FILES_COLUMNS = COLUMNS[: COLUMNS.index("subject")]

Work = Callable[[AuditLog], Awaitable[None]]


def intent(actor: str, tenant: str = "default") -> Entry:
    who = Subject(actor=actor, display=actor.title(), department="press", groups=("writers",))
    return Entry(action="image:generate", subject=who, content={"prompt": f"a fox for {actor}"}, tenant=tenant)


def outcome(actor: str, effect: str = "allow", tenant: str = "default") -> Entry:
    who = Subject(actor=actor, display=actor.title(), department="press", groups=("writers",))
    reasons = ("dlp.payment-card",) if effect == "deny" else ()
    return Entry(
        action="image:generate", subject=who, effect=effect, reasons=reasons, content={"findings": 1}, tenant=tenant
    )


def requests(count: int, actor: str, effect: str = "allow") -> Work:
    """Whole requests of one person."""

    async def work(log: AuditLog) -> None:
        for _ in range(count):
            await log.conclude(await log.intend(intent(actor)), outcome(actor, effect))

    return work


class Victim(ABC):
    """One log and everything that its administrator can reach."""

    store: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "log"
        self.witness = folder / "witness" / "checkpoints"

    # -- as its users do

    def settings(self, **changes: Any) -> AuditSettings:
        values: dict[str, Any] = {
            "directory": self.directory,
            "kek_path": self.folder / "secrets" / "kek",
            "signing_key_path": self.folder / "secrets" / "signing.pem",
            "origin": ORIGIN,
            "witness_path": self.witness,
            "create_keys": True,
            "checkpoint_interval_seconds": 3600,
            **self._place(),
        }
        return AuditSettings.model_validate({**values, **changes})

    def use(self, work: Work, at: datetime = NOW, **changes: Any) -> None:
        """Open the log, do something, close it. Raises what the log raises."""
        asyncio.run(self._use(work, lambda: at, changes))

    async def _use(self, work: Work, clock: Callable[[], datetime], changes: dict[str, Any]) -> None:
        log = await AuditLog.open(self.settings(**changes), clock=clock)
        try:
            await work(log)
        finally:
            await log.aclose()

    def fill(self) -> None:
        """Write what is attacked later."""

        async def first_day(log: AuditLog) -> None:
            for number in range(REQUESTS):
                actor, tenant = f"user-{number}", "other" if number % 3 == 0 else "default"
                ticket = await log.intend(intent(actor, tenant))
                await log.conclude(ticket, outcome(actor, "deny" if number % 2 else "allow", tenant))
                if number % 5 == 4:
                    await log.proof(ticket.event_id, tenant=tenant)  # signs a checkpoint

        self.use(first_day, START)
        self.use(requests(LATE_REQUESTS, "latecomer"))

    def true_key(self) -> VerifierKey:
        """The public key that an auditor keeps; it came another way than through the database."""
        return VerifierKey.parse((self.folder / "vkey").read_text("utf-8"))

    # -- as whoever owns the database does

    @property
    @abstractmethod
    def target(self) -> str:
        """What ``verify`` is given."""

    @abstractmethod
    def _place(self) -> dict[str, Any]:
        """Settings that name the store."""

    @abstractmethod
    def copy(self, folder: Path) -> Victim: ...

    def drop(self) -> None:
        """Leave nothing outside the folder."""
        return

    @abstractmethod
    def backup(self) -> Callable[[], None]:
        """Back the database up; returns what restores it. Keys and witness are no part of it."""

    @abstractmethod
    def execute(self, sql: str, day: str = DAYS[0]) -> int:
        """Statements on the records; returns how many rows the last one changed."""

    @abstractmethod
    def execute_on_tree(self, sql: str) -> int: ...

    def rows(self) -> list[Row]:
        with open_moment(self.target) as moment:
            return list(moment.rows())

    @abstractmethod
    def put(self, rows: Sequence[Row]) -> None:
        """Put these in the place of all records, with the search tables and counters that they give. Unique indexes
        stand in nobody's way."""

    @abstractmethod
    def put_tree(self, size: int, root: bytes, tiles: dict[tuple[int, int], bytes], keep_checkpoints: int) -> None:
        """Put this tree in the place of the other, and drop the checkpoints beyond a size."""

    @abstractmethod
    def put_identity(self, key: VerifierKey) -> None: ...

    @abstractmethod
    def mark_purged(self, day: str) -> None:
        """Let the store say that a day was purged."""

    def sign_anew(self, signer: NoteSigner, size: int, root: bytes) -> None:
        """Replace all checkpoints by one of another key."""
        made = sign_checkpoint(signer, size, root)
        self.execute_on_tree(f"delete from {self._table('checkpoint')}")
        values = f"{size}, {self.blob(root)}, {self.blob(made.signature)}, 1"
        self.execute_on_tree(f"insert into {self._table('checkpoint')} values ({values})")

    @abstractmethod
    def _table(self, name: str) -> str: ...

    @abstractmethod
    def blob(self, data: bytes) -> str:
        """Bytes as a literal in SQL."""


class FilesVictim(Victim):
    """SQLite files."""

    store = "SQLite"

    @property
    def target(self) -> str:
        return str(self.directory)

    def _place(self) -> dict[str, Any]:
        return {}

    def copy(self, folder: Path) -> Victim:
        shutil.copytree(self.folder, folder)
        return FilesVictim(folder)

    def backup(self) -> Callable[[], None]:
        saved = self.folder / "backup"
        shutil.copytree(self.directory, saved, ignore=shutil.ignore_patterns("keys"))

        def restore() -> None:
            for path in self.directory.iterdir():
                if path.name == "days":
                    shutil.rmtree(path)
                elif path.is_file():
                    path.unlink()
            shutil.copytree(saved, self.directory, dirs_exist_ok=True)

        return restore

    def day_path(self, day: str) -> Path:
        return self.directory / "days" / f"{day}.sqlite"

    def execute(self, sql: str, day: str = DAYS[0]) -> int:
        return self._execute(self.day_path(day), sql)

    def execute_on_tree(self, sql: str) -> int:
        return self._execute(self.directory / "tree.sqlite", sql)

    def _execute(self, path: Path, sql: str) -> int:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            *first, last = [part for part in sql.split(";;") if part.strip()]
            for statement in first:
                connection.execute(statement)
            return connection.execute(last).rowcount

    def put(self, rows: Sequence[Row]) -> None:
        width = len(_FILES_COLUMNS)
        for day in DAYS:
            of_day = [row for row in rows if row.day == day]
            terms = {(token, row.head_seq) for row in of_day for token in row.tokens()}
            reasons = {(code, row.head_seq) for row in of_day for code in row.reasons.split()}
            with closing(sqlite3.connect(self.day_path(day))) as connection, connection:
                for index in ("head_of_event", "outcome_of_head"):
                    connection.execute(f"drop index if exists {index}")
                for table in ("record", "sealed", "term", "reason"):
                    connection.execute(f"delete from {table}")
                marks = ", ".join("?" * width)
                connection.executemany(f"insert into record values ({marks})", [row[:width] for row in of_day])
                sealed = [(row.seq, row.subject, row.content) for row in of_day if row.content is not None]
                connection.executemany("insert into sealed values (?, ?, ?)", sealed)
                connection.executemany("insert into term values (?, ?)", terms)
                connection.executemany("insert into reason values (?, ?)", reasons)

    def put_tree(self, size: int, root: bytes, tiles: dict[tuple[int, int], bytes], keep_checkpoints: int) -> None:
        with closing(sqlite3.connect(self.directory / "tree.sqlite")) as connection, connection:
            connection.execute("delete from tile")
            connection.executemany(
                "insert into tile values (?, ?, ?)", [(level, at, tile) for (level, at), tile in tiles.items()]
            )
            connection.execute("update meta set value = ? where key = 'size'", (size,))
            connection.execute("delete from checkpoint where size > ?", (keep_checkpoints,))

    def put_identity(self, key: VerifierKey) -> None:
        path = self.directory / "log.json"
        path.write_text(path.read_text("utf-8").replace(str(self.true_key()), str(key)), "utf-8")

    def mark_purged(self, day: str) -> None:
        self.execute("insert into meta values ('purged_at', '2026-12-23T00:00:00+00:00')", day)

    def _table(self, name: str) -> str:
        return name

    def blob(self, data: bytes) -> str:
        return f"x'{data.hex()}'"


class DatabaseVictim(Victim):
    """A PostgreSQL database."""

    store = "PostgreSQL"

    def __init__(self, folder: Path, server: PostgresServer, database: str) -> None:
        super().__init__(folder)
        self._server = server
        self._database = database

    @classmethod
    def fresh(cls, folder: Path, server: PostgresServer) -> DatabaseVictim:
        name = server.create_database()
        upgrade(server.url(name))
        return cls(folder, server, name)

    @property
    def target(self) -> str:
        return self._server.url(self._database)

    def _place(self) -> dict[str, Any]:
        return {"database_url": self.target}

    def copy(self, folder: Path) -> Victim:
        shutil.copytree(self.folder, folder)
        return DatabaseVictim(folder, self._server, self._server.create_database(self._database))

    def drop(self) -> None:
        self._server.drop_database(self._database)

    def backup(self) -> Callable[[], None]:
        saved = self._server.create_database(self._database)

        def restore() -> None:
            self._server.drop_database(self._database)
            with psycopg.connect(self._server.url(), autocommit=True) as connection:
                connection.execute(f"alter database {saved} rename to {self._database}".encode())

        return restore

    def execute(self, sql: str, day: str = DAYS[0]) -> int:
        plain = day.replace("-", "")
        return self._execute(sql.replace("{day}", plain))

    def execute_on_tree(self, sql: str) -> int:
        return self._execute(sql)

    def _execute(self, sql: str) -> int:
        with psycopg.connect(self.target, autocommit=True) as connection:
            *first, last = [part for part in sql.split(";;") if part.strip()]
            for statement in first:
                connection.execute(statement.encode())
            return connection.execute(last.encode()).rowcount

    def put(self, rows: Sequence[Row]) -> None:
        sealed_at = [COLUMNS.index(name) for name in SEALED_COLUMNS]
        with connect(self.target, "administrator") as connection, connection.transaction():
            for day in DAYS:
                plain = day.replace("-", "")
                of_day = [row for row in rows if row.day == day]
                for index in ("head_of_event", "outcome_of_head"):
                    connection.execute(f"drop index if exists audit.{index}_{plain}".encode())
                record, sealed = f"audit.record_{plain}", f"audit.sealed_{plain}_standard"
                for table in (record, sealed, f"audit.reason_{plain}"):
                    connection.execute(f"delete from {table}".encode())
                reasons = {(code, row.head_seq) for row in of_day for code in row.reasons.split()}
                with connection.cursor() as cursor:
                    for table, columns, values in (
                        (record, RECORD_COLUMNS, [row[: len(RECORD_COLUMNS)] for row in of_day]),
                        (
                            sealed,
                            SEALED_COLUMNS,
                            [tuple(row[at] for at in sealed_at) for row in of_day if row.content is not None],
                        ),
                        (f"audit.reason_{plain}", ("code", "head_seq"), list(reasons)),
                    ):
                        marks = ", ".join(["%s"] * len(columns))
                        statement = f"insert into {table} ({', '.join(columns)}) values ({marks})"
                        cursor.executemany(statement.encode(), [_as_database_values(columns, one) for one in values])
                end = max((row.seq + 1 for row in of_day), default=0)
                connection.execute("update audit.day set end_seq = %s where day = %s", [end, day])
            connection.execute("update audit.seqcoord set next = %s", [max((row.seq + 1 for row in rows), default=0)])

    def put_tree(self, size: int, root: bytes, tiles: dict[tuple[int, int], bytes], keep_checkpoints: int) -> None:
        with psycopg.connect(self.target) as connection:
            connection.execute("delete from audit.tile")
            with connection.cursor() as cursor:
                cursor.executemany(
                    "insert into audit.tile values (%s, %s, %s)",
                    [(level, at, tile) for (level, at), tile in tiles.items()],
                )
            connection.execute("update audit.tree set size = %s, root = %s", [size, root])
            connection.execute("delete from audit.checkpoint where size > %s", [keep_checkpoints])

    def put_identity(self, key: VerifierKey) -> None:
        with psycopg.connect(self.target, autocommit=True) as connection:
            connection.execute("update audit.identity set vkey = %s", [str(key)])

    def mark_purged(self, day: str) -> None:
        self.execute_on_tree(f"update audit.scope set purged_at = now() where day = '{day}'")

    def _table(self, name: str) -> str:
        return f"audit.{name}"

    def blob(self, data: bytes) -> str:
        return f"'\\x{data.hex()}'"


def _as_database_values(columns: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """``terms`` is bytes in a row and ``uuid[]`` in the database."""
    return [
        [uuid.UUID(bytes=value[at : at + TOKEN_BYTES]) for at in range(0, len(value), TOKEN_BYTES)]
        if name == "terms"
        else value
        for name, value in zip(columns, values, strict=True)
    ]


def make_victim(victim: Victim) -> Victim:
    """Fill a fresh log."""
    (victim.folder / "secrets").mkdir(parents=True)
    victim.fill()
    with open_moment(victim.target) as moment:
        (victim.folder / "vkey").write_text(str(moment.identity.verifier_key), "utf-8")
    return victim
