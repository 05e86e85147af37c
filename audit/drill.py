"""A rehearsal of restoring from backups, on a log of its own: each wrong restore is refused, the right one verifies.

Nothing of it is simulated but the date: real files, keys, purges and checkpoints in a folder that is made for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit.errors import AuditError, ContentDestroyed, StoreDamaged, StoreError, StoreRolledBack
from audit.governance.officer import Officer
from audit.governance.scope import Scope
from audit.keys.destroyed import LIST_NAME
from audit.log import AuditLog
from audit.query import OpenedRecord
from audit.record import Effect, Entry, Subject
from audit.settings import AuditSettings
from audit.snapshot import take_snapshot
from audit.store.files.layout import Layout
from audit.verify import verify_store

_START = datetime(2026, 10, 22, 12, tzinfo=UTC)
_WHO = Subject(actor="drill", display="restore drill")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillStep:
    """What was done, what had to come of it, what came."""

    done: str
    expected: str
    found: str
    passed: bool


class RestoreDrill:
    """Runs once, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        """Raises ``StoreError`` if the folder holds something."""
        if folder.exists() and any(folder.iterdir()):
            raise StoreError(f"{folder} is not empty; the drill needs a folder of its own")
        self._folder = folder
        self._store = Layout(folder / "log")
        self._backup = folder / "backup"
        self._now = _START
        self._steps: list[DrillStep] = []

    async def run(self) -> list[DrillStep]:
        """All steps, in order; they go on after one that did not come out as it must."""
        old = await self._write()
        self._now += timedelta(days=30)
        young = await self._write()
        self._back_up()
        self._now += timedelta(days=1)
        await self._purge()
        await self._expect_refusal("an image of the whole log from before the purge is put back", self._image_back)
        await self._expect_refusal("the key folder from before the purge is put back", self._keys_back)
        await self._newest_list_back(old)
        await self._day_file_back(old)
        await self._good_restore(old, young)
        return self._steps

    async def _write(self) -> str:
        """One request; returns its event id."""
        async with self._log(create_keys=True) as log:
            entry = Entry(action="image:generate", subject=_WHO, content={"prompt": "a lighthouse"})
            ticket = await log.intend(entry)
            await log.conclude(ticket, replace(entry, effect=Effect.ALLOW))
        return ticket.event_id

    def _back_up(self) -> None:
        take_snapshot(self._store.directory, self._backup / "records", self._now, with_keys=False)
        # What must not be done, and is: copies of the key folder and of the machine's whole disk.
        shutil.copytree(self._store.keys_folder, self._backup / "keys")
        shutil.copytree(self._store.directory, self._backup / "image")
        bare = not list((self._backup / "records" / "keys").iterdir())
        found = f"records {'without' if bare else 'WITH'} keys; an image; a key folder"
        self._note("backups are taken", "records without keys; an image; a key folder", found, bare)

    async def _purge(self) -> None:
        async with self._log() as log:
            receipts = await log.purge()
        gone = not any(self._store.keys_folder.glob(f"{_START.date()}*"))
        found = ", ".join(f"{one.day}: {one.keys_destroyed} key destroyed, {one.records} records" for one in receipts)
        self._note("day 31 comes and the log purges", "the first day's keys are gone", found, gone and bool(receipts))
        shutil.copytree(self._store.directory, self._folder / "good")

    def _image_back(self) -> type[AuditError]:
        shutil.rmtree(self._store.directory)
        shutil.copytree(self._backup / "image", self._store.directory)
        return StoreRolledBack

    def _keys_back(self) -> type[AuditError]:
        shutil.rmtree(self._store.directory)
        shutil.copytree(self._folder / "good", self._store.directory)
        shutil.rmtree(self._store.keys_folder)
        shutil.copytree(self._backup / "keys", self._store.keys_folder)
        return StoreDamaged

    async def _newest_list_back(self, old: str) -> None:
        shutil.copy(self._folder / "good" / "keys" / LIST_NAME, self._store.keys_folder / LIST_NAME)
        await self._expect_gone("the newest list of destroyed days is put beside those keys", old)

    async def _day_file_back(self, old: str) -> None:
        day = self._store.day_path(_START.date())
        shutil.copy(self._backup / "image" / "days" / day.name, day)
        await self._expect_gone("the first day's records are put back from the image", old)

    async def _expect_refusal(self, done: str, restore: Callable[[], type[AuditError]]) -> None:
        kind = restore()
        try:
            async with self._log():
                found = "it opened"
        except AuditError as error:
            self._note(done, f"refused: {kind.__name__}", f"{type(error).__name__}: {error}", type(error) is kind)
            return
        self._note(done, f"refused: {kind.__name__}", found, False)

    async def _expect_gone(self, done: str, old: str) -> None:
        """The log opens, the content does not, and the next purge takes away what came back."""
        async with self._log() as log:
            unreadable = await _is_unreadable(log, old)
            await log.purge()
            health = log.health()
        clean = health.records_past_retention == health.days_past_retention == 0
        keys = sorted(path.name for path in self._store.keys_folder.glob(f"{_START.date()}*"))
        found = f"{'unreadable' if unreadable else 'READABLE'}; {'gone again' if clean and not keys else 'STILL HERE'}"
        self._note(done, "unreadable; gone again", found, unreadable and clean and not keys)

    async def _good_restore(self, old: str, young: str) -> None:
        """The newest records, the log's own key folder: as after the loss of the disk with the records."""
        restored = self._folder / "restored"
        take_snapshot(self._store.directory, self._backup / "newest", self._now, with_keys=False)
        shutil.copytree(self._backup / "newest", restored)
        shutil.copytree(self._store.keys_folder, restored / "keys", dirs_exist_ok=True)
        report = verify_store(restored, None, self._witness)
        async with self._log(restored, read_snapshot=True) as log:
            opened = await _open(log, young)
            unreadable = await _is_unreadable(log, old)
        readable = opened.contents[0].get("prompt") == "a lighthouse"
        passed = report.ok and readable and unreadable
        found = f"verified {report.records} records" if report.ok else f"{len(report.findings)} finding(s)"
        found += f"; younger day {'opens' if readable else 'SHUT'}; purged day {'shut' if unreadable else 'OPENS'}"
        expected = "verified; younger day opens; purged day shut"
        self._note("the newest backup is restored beside the log's own keys", expected, found, passed)

    @property
    def _witness(self) -> Path:
        return self._folder / "witness" / "checkpoints"

    def _log(self, directory: Path | None = None, *, create_keys: bool = False, read_snapshot: bool = False) -> _Opened:
        settings = AuditSettings(
            directory=directory or self._store.directory,
            kek_path=self._folder / "secrets" / "kek",
            signing_key_path=None if read_snapshot else self._folder / "secrets" / "signing.pem",
            origin="example.com/restore-drill",
            witness_path=None if read_snapshot else self._witness,
            create_keys=create_keys,
        )
        return _Opened(AuditLog.open(settings, clock=lambda: self._now, read_snapshot=read_snapshot))

    def _note(self, done: str, expected: str, found: str, passed: bool) -> None:
        self._steps.append(DrillStep(done=done, expected=expected, found=found, passed=passed))


class _Opened:
    """A log that is closed again."""

    def __init__(self, opening: Awaitable[AuditLog]) -> None:
        self._opening = opening
        self._log: AuditLog | None = None

    async def __aenter__(self) -> AuditLog:
        self._log = await self._opening
        return self._log

    async def __aexit__(self, *_: object) -> None:
        if self._log is not None:
            await self._log.aclose()


async def _open(log: AuditLog, event_id: str) -> OpenedRecord:
    """Open content as two people would."""
    now = log.now()
    first, second = Officer(_WHO, now), Officer(Subject(actor="restore-drill-second"), now)
    cases = log.governance.cases
    case = await cases.request("restore drill", Scope(event_ids=(event_id,)), now + timedelta(hours=1), first)
    await cases.approve(case.id, second)
    return await log.read_content(event_id, opened_by=first, case_id=case.id)


async def _is_unreadable(log: AuditLog, event_id: str) -> bool:
    try:
        await _open(log, event_id)
    except ContentDestroyed:
        return True
    return False
