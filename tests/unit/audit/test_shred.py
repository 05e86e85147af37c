"""Day 30: neither the files, nor a backup of them from before, nor the memory of the process give anything back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from audit import AuditLog, AuditSettings, ContentDestroyed, Query, Subject
from audit.errors import KeyRefused
from audit.keys.ring import KeyRing
from audit.keys.services.file import FileKeyService
from audit.store.disk import Disk
from tests.support.cases import open_content

DRIVER = Path(__file__).with_name("shred_driver.py")
ROOT = Path(__file__).parents[3]
PIECES = ("kanar", "ienvogel")  # joined only where it is looked for: the test's own memory is not what is searched
DAY = date(2026, 11, 22)


class Victim:
    """The process of a log at work, which does what it is told line by line, and whose memory is open to us."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values = {
            "directory": folder / "log",
            "kek_path": folder / "secrets" / "kek",
            "signing_key_path": folder / "secrets" / "signing.pem",
            "origin": "example.com/audit",
            "create_keys": True,
            "disk_refuse_fraction": 0.0,
        }
        settings = folder / "settings.json"
        settings.write_text(json.dumps(self.values, default=str))
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
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
        count = 0
        with open(f"/proc/{self.process.pid}/mem", "rb", 0) as memory:
            for line in Path(f"/proc/{self.process.pid}/maps").read_text().splitlines():
                found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
                if found is None or "[v" in line:
                    continue
                start, end = int(found[1], 16), int(found[2], 16)
                try:
                    memory.seek(start)
                    count += memory.read(end - start).count(needle)
                except OSError:
                    continue
        return count

    def day_secrets(self) -> list[bytes]:
        """The unwrapped keys of the day, as a thief with the key-encryption key would take them before day 30."""
        ring = KeyRing(self.folder / "log" / "keys", FileKeyService(self.folder / "secrets" / "kek"), Disk())
        keys = ring.get(DAY, "default", "standard")
        return [bytes(keys.dek), bytes(keys.index_key), bytes(keys.row_key)]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    (tmp_path / "secrets").mkdir(mode=0o700)
    one = Victim(tmp_path)
    yield one
    one.close()


def in_files(folder: Path, needle: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


async def test_keys_leave_the_memory_of_the_process_at_once_and_no_file_ever_held_a_word(victim: Victim) -> None:
    victim.do(f"write {'~'.join(PIECES)}")
    secrets = victim.day_secrets()
    assert all(victim.in_memory(secret) for secret in secrets), "the scanner finds what is there"
    words = "".join(PIECES).encode()
    assert victim.in_memory(words), "the scanner finds what is there"
    assert in_files(victim.folder, words) == []
    victim.do("purge")
    assert [victim.in_memory(secret) for secret in secrets] == [0, 0, 0]
    assert in_files(victim.folder, words) == []
    for secret in secrets:
        assert in_files(victim.folder, secret) == []


async def test_a_process_that_began_after_the_purge_knows_nothing(victim: Victim) -> None:
    victim.do(f"write {'~'.join(PIECES)}")
    victim.do("purge")
    victim.close()
    later = Victim(victim.folder)
    try:
        later.do("purge")  # nothing is left to do; it moves the clock
        later.do("go-on")
        assert later.in_memory("".join(PIECES).encode()) == 0
    finally:
        later.close()


async def test_a_backup_from_before_with_the_key_folder_of_after_opens_nothing(victim: Victim, tmp_path: Path) -> None:
    """Ciphertexts come back with the backup; the keys do not."""
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


async def test_what_the_log_still_answers_after_day_thirty_holds_nobody(victim: Victim, tmp_path: Path) -> None:
    victim.do(f"write {'~'.join(PIECES)}")
    victim.do("purge")
    victim.close()
    now = datetime(2026, 12, 24, tzinfo=UTC)
    log = await AuditLog.open(AuditSettings(**victim.values), clock=lambda: now)
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
