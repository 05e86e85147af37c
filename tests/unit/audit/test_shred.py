"""Day 30: neither the files, nor a backup of them from before, nor the memory of the process give anything back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest

from audit import AuditLog, AuditSettings, ContentDestroyed, Query, Subject
from audit.errors import KeyRefused
from audit.keys.ring import KeyRing
from audit.keys.services.file import FileKeyService
from audit.store.disk import Disk
from tests.support.cases import open_content
from tests.support.postgres import PostgresServer, children

DRIVER = Path(__file__).with_name("shred_driver.py")
ROOT = Path(__file__).parents[3]
PIECES = ("kanar", "ienvogel")  # joined only where it is looked for: the test's own memory is not what is searched
DAY = date(2026, 11, 22)
LATER = datetime(2026, 12, 24, tzinfo=UTC)
OVERWRITTEN_WHEN_FREED = {
    # Python's own allocator keeps what it frees as it was, until it needs the place. Under these, whatever is still
    # found is held by somebody, or lies where native code that we don't own has copied it.
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}


class Victim:
    """The process of a log at work, which does what it is told line by line, and whose memory is open to us."""

    def __init__(self, folder: Path, server: PostgresServer | None = None, database: str = "") -> None:
        self.folder = folder
        self.server = server
        self.database = database
        self.values = {
            "directory": folder / "log",
            "kek_path": folder / "secrets" / "kek",
            "signing_key_path": folder / "secrets" / "signing.pem",
            "origin": "example.com/audit",
            "create_keys": True,
            "disk_refuse_fraction": 0.0,
            **({"database_url": server.url(database)} if server else {}),
        }
        settings = folder / "settings.json"
        settings.write_text(json.dumps(self.values, default=str))
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **OVERWRITTEN_WHEN_FREED, "PYTHONPATH": str(ROOT)},
        )
        self._done()

    def do(self, step: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(step + "\n")
        self.process.stdin.flush()
        self._done()

    def _done(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "done\n"

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def in_memory(self, needle: bytes) -> int:
        """How often the bytes stand in the process's memory."""
        return in_memory_of(self.process.pid, needle)

    def in_database(self, needle: bytes) -> list[str]:
        """Where the bytes stand in the server's data directory (pages, WAL) and in the memory of its processes."""
        if self.server is None:
            return []
        found = [str(path) for path in in_files(self.server.folder, needle)]
        pids = (self.server.pid, *children(self.server.pid))
        return found + [f"process {pid}" for pid in pids if in_memory_of(pid, needle)]

    def day_secrets(self) -> list[bytes]:
        """The unwrapped keys of the day, as a thief with the key-encryption key would take them before day 30."""
        ring = KeyRing(self.folder / "log" / "keys", FileKeyService(self.folder / "secrets" / "kek"), Disk())
        keys = ring.get(DAY, "default", "standard")
        return [bytes(keys.dek), bytes(keys.index_key), bytes(keys.row_key)]


def in_memory_of(pid: int, needle: bytes) -> int:
    count = 0
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if found is None or "[v" in line:
                continue
            start, end = int(found[1], 16), int(found[2], 16)
            with suppress(OSError):
                memory.seek(start)
                count += memory.read(end - start).count(needle)
    return count


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of our own: what is looked for must not be another test's."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Victim]:
    (tmp_path / "secrets").mkdir(mode=0o700)
    if request.param == "sqlite":
        one = Victim(tmp_path)
    else:
        server: PostgresServer = request.getfixturevalue("server")
        one = Victim(tmp_path, server, server.create_database())
    yield one
    one.close()


@pytest.fixture
def files_victim(tmp_path: Path) -> Iterator[Victim]:
    (tmp_path / "secrets").mkdir(mode=0o700)
    one = Victim(tmp_path)
    yield one
    one.close()


@pytest.fixture
def database_victim(tmp_path: Path, server: PostgresServer) -> Iterator[Victim]:
    (tmp_path / "secrets").mkdir(mode=0o700)
    one = Victim(tmp_path, server, server.create_database())
    yield one
    one.close()


def in_files(folder: Path, needle: bytes) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a server's own, gone in this moment
            if path.is_file() and needle in path.read_bytes():
                found.append(path)
    return found


async def test_keys_leave_the_memory_of_the_process_at_once_and_no_file_ever_held_a_word(victim: Victim) -> None:
    victim.do(f"write {'~'.join(PIECES)}")
    secrets = victim.day_secrets()
    assert all(victim.in_memory(secret) for secret in secrets), "the scanner finds what is there"
    words = "".join(PIECES).encode()
    assert victim.in_memory(words), "the scanner finds what is there"
    for needle in (words, *secrets):
        assert in_files(victim.folder, needle) == victim.in_database(needle) == []
    victim.do("purge")
    assert [victim.in_memory(secret) for secret in secrets] == [0, 0, 0]
    for needle in (words, *secrets):
        assert in_files(victim.folder, needle) == victim.in_database(needle) == []
    # Nothing holds on to a word either: what the last requests still had of it is let go as others come.
    victim.do("go-on")
    assert victim.in_memory(words) == 0


async def test_a_process_that_began_after_the_purge_knows_nothing(victim: Victim) -> None:
    victim.do(f"write {'~'.join(PIECES)}")
    victim.do("purge")
    victim.close()
    later = Victim(victim.folder, victim.server, victim.database)
    try:
        later.do("purge")  # nothing is left to do; it moves the clock
        later.do("go-on")
        assert later.in_memory("".join(PIECES).encode()) == 0
    finally:
        later.close()


async def test_a_copy_from_before_with_the_key_folder_of_after_opens_nothing(
    files_victim: Victim, tmp_path: Path
) -> None:
    """Ciphertexts come back with the backup; the keys do not."""
    victim = files_victim
    victim.do(f"write {'~'.join(PIECES)}")
    backup = tmp_path / "backup"
    shutil.copytree(tmp_path / "log", backup)
    victim.do("purge")
    victim.close()
    shutil.rmtree(backup / "keys")
    shutil.copytree(tmp_path / "log" / "keys", backup / "keys")
    ring = KeyRing(backup / "keys", FileKeyService(tmp_path / "secrets" / "kek"), Disk())
    with pytest.raises((ContentDestroyed, KeyRefused)):
        ring.get(DAY, "default", "standard")
    assert in_files(backup, "".join(PIECES).encode()) == []


async def test_backups_of_a_database_from_before_with_the_key_folder_of_after_open_nothing(
    database_victim: Victim, tmp_path: Path
) -> None:
    """A dump and a physical backup, WAL included: neither holds a word or a key, in bytes or in hexadecimal."""
    victim, server = database_victim, database_victim.server
    assert server is not None
    victim.do(f"write {'~'.join(PIECES)}")
    needles = ["".join(PIECES).encode(), *victim.day_secrets()]
    dump, base = server.dump(victim.database), server.base_backup()
    assert b"image:generate" in dump.read_bytes(), "the dump holds what is plain"
    for needle in needles:
        for form in (needle, needle.hex().encode()):
            assert in_files(server.folder, form) == []  # all of them lie in there
    assert (base / "pg_wal").is_dir()
    victim.do("purge")
    victim.close()
    restored = server.restore(dump)
    log = await AuditLog.open(
        AuditSettings(**{**victim.values, "database_url": server.url(restored)}), clock=lambda: LATER
    )
    try:
        page = await log.search(Query(action="image:"), searched_by=Subject(actor="dana"))
        assert {row.subject for row in page.rows} == {None}
        with pytest.raises(ContentDestroyed):
            await open_content(log, page.rows[-1].event_id)
        assert (await log.purge())[0].space_freed  # what came back goes again
    finally:
        await log.aclose()
    with psycopg.connect(server.url(restored)) as connection:
        assert connection.execute("select to_regclass('audit.sealed_20261122_standard')").fetchone() == (None,)


async def test_what_the_log_still_answers_after_day_thirty_holds_nobody(victim: Victim, tmp_path: Path) -> None:
    victim.do(f"write {'~'.join(PIECES)}")
    victim.do("purge")
    victim.close()
    log = await AuditLog.open(AuditSettings(**victim.values), clock=lambda: LATER)
    try:
        page = await log.search(Query(action="image:"), searched_by=Subject(actor="dana"))
        assert page.rows
        assert {row.subject for row in page.rows} == {None}
        nobody = await log.search(Query(actor="".join(PIECES) + "-id"), searched_by=Subject(actor="dana"))
        assert nobody.rows == ()
        with pytest.raises(ContentDestroyed):
            await open_content(log, page.rows[-1].event_id)
    finally:
        await log.aclose()
