"""One failure at each touch of the store, in both forms; then the whole log is looked at again.

``AUDIT_FAULT=commit:after:3`` picks one for every test here (``tests/support/faults.py`` says what there is).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import AuditLog, AuditUnavailable, StoreError, TicketConcluded, VerifierKey
from audit.migrations.migrate import upgrade
from audit.store.moment import open_moment
from audit.verify import verify_store
from tests.dba.examine import database_original, files_original, fresh_copy
from tests.dba.victim import NOW, DatabaseVictim, Victim, intent, outcome
from tests.support.faults import ANY, FORMS, VARIABLE, Countdown, Fault, FaultyDisk, FaultyLine, is_thorough
from tests.support.postgres import PostgresServer, shared_server

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("faults-of-the-log")]

LATER = NOW + timedelta(days=1)  # a day that has no file, no tables and no keys yet
LEASE_SECONDS = 0.3
CALLERS = 3


@dataclass
class Told:
    """What callers were told is durable."""

    records: set[str] = field(default_factory=set)
    refused: int = 0


async def call(log: AuditLog, told: Told, number: int) -> None:
    """One request, by a caller who tries again what was refused."""
    actor = f"caller-{number}"
    for _ in range(2):
        try:
            ticket = await log.intend(intent(actor))
            break
        except AuditUnavailable:
            told.refused += 1
    else:
        return
    told.records.add(f"intent {ticket.event_id}")
    for _ in range(2):
        try:
            await log.conclude(ticket, outcome(actor))
        except AuditUnavailable:
            told.refused += 1
            continue
        except TicketConcluded:  # the first try was durable after all
            assert told.refused
        told.records.add(f"outcome {ticket.event_id}")
        return


async def prove(log: AuditLog, told: Told, event_id: str) -> None:
    """By somebody who asks again if need be."""
    for _ in range(2):
        try:
            proofs = await log.proof(event_id)
        except (AuditUnavailable, StoreError):
            told.refused += 1
            continue
        assert all(proof.verify(log.verifier_key) for proof in proofs)
        return
    raise AssertionError("one failure, and no proof to be had any more")


async def work(log: AuditLog, told: Told) -> None:
    await asyncio.gather(*(call(log, told, number) for number in range(CALLERS)))
    for line in sorted(told.records)[:1]:
        await prove(log, told, line.split()[1])
    try:
        told.records.add(f"intent {(await log.intend(intent('nobody'))).event_id}")  # left open, as by a crash
    except AuditUnavailable:
        told.refused += 1


async def suffer(victim: Victim, told: Told, **options: Any) -> None:
    """Open, work, close, whatever fails. The log may say that it is unavailable, and nothing else."""
    disk = options.pop("disk", None)
    settings = victim.settings(database_lease_seconds=LEASE_SECONDS, **options)
    try:
        log = await AuditLog.open(settings, clock=lambda: LATER, disk=disk)
    except AuditUnavailable:
        told.refused += 1
        return
    try:
        await work(log, told)
    finally:
        await log.aclose()


def records(victim: Victim) -> list[str]:
    """All that is stored, after seeing that the numbers are dense."""
    with open_moment(victim.target) as moment:
        rows = list(moment.rows())
    assert [row.seq for row in rows] == list(range(len(rows)))
    return [f"{row.phase} {uuid.UUID(bytes=row.event_id)}" for row in rows]


def check(victim: Victim, told: Told) -> None:
    """The log as the failure left it, and again when somebody has gone on with it."""
    report = verify_store(victim.target, victim.true_key(), victim.witness, processes=1)
    assert report.ok, report.findings
    stored = records(victim)
    assert told.records <= set(stored), f"lost: {told.records - set(stored)}"
    opened, concluded = (
        {line.split()[1] for line in stored if line.startswith(phase)} for phase in ("intent", "outcome")
    )

    async def sweep(log: AuditLog) -> None:
        found = await log.open_tickets(timedelta(0))
        assert {one.ticket.event_id for one in found} == opened - concluded
        for one in found:
            await log.conclude(one.ticket, outcome(one.subject.actor, "unknown"))
        last = await log.intend(intent("afterwards"))
        await log.conclude(last, outcome("afterwards"))
        # Waits for the lease of the one that failed, too: then this one signs.
        assert all(proof.verify(log.verifier_key) for proof in await log.proof(last.event_id))
        assert await log.open_tickets(timedelta(0)) == []

    victim.use(sweep, LATER + timedelta(minutes=1), database_lease_seconds=LEASE_SECONDS)
    after = verify_store(victim.target, victim.true_key(), victim.witness, processes=1)
    assert after.ok, after.findings
    assert after.covered_size == after.records == len(records(victim)) == len(stored) + len(opened - concluded) + 2


@contextmanager
def disk_of(_victim: Victim) -> Iterator[tuple[Countdown, dict[str, Any]]]:
    disk = FaultyDisk()
    yield disk.countdown, {"disk": disk}


@contextmanager
def line_of(victim: Victim) -> Iterator[tuple[Countdown, dict[str, Any]]]:
    with FaultyLine(shared_server().port) as line:
        yield line.countdown, {"database_url": FaultyLine.url(victim.target, line.port)}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def bed(request: pytest.FixtureRequest) -> Iterator[tuple[Victim, Any]]:
    """A log to copy for each failure, and what fails under it."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield stack.enter_context(files_original()), disk_of
        else:
            yield stack.enter_context(database_original(shared_server())), line_of


def fail_once(bed: tuple[Victim, Any], fault: Fault | None) -> Countdown:
    original, faulty = bed
    with fresh_copy(original) as victim, faulty(victim) as (countdown, options):
        told = Told()
        countdown.arm(fault)
        try:
            asyncio.run(suffer(victim, told, **options))
            check(victim, told)
        except BaseException as error:
            error.add_note(f"{VARIABLE}={fault} ({countdown.failed})")
            raise
        if fault is None:
            assert len(told.records) == 2 * CALLERS + 1
        return countdown


def test_without_a_failure_everything_is_told(bed: tuple[Victim, Any]) -> None:
    countdown = fail_once(bed, Fault.from_environment())
    assert countdown.touches[ANY] > 10


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_one_failure_at_each_touch_loses_nothing_that_was_told(bed: tuple[Victim, Any], form: str) -> None:
    chosen = Fault.from_environment()
    if chosen is not None:
        fail_once(bed, chosen)
        return
    assert fail_at_each(bed, "commit", form, 1, 1).count("commit") > 3
    # Of a database, every sixth of some 160 messages, beginning anywhere; AUDIT_FAULT=every takes all.
    stride = 1 if bed[1] is disk_of or is_thorough() else 6
    failed = fail_at_each(bed, ANY, form, random.randint(1, stride), stride)
    assert len(failed) * stride > 15


def fail_at_each(bed: tuple[Victim, Any], point: str, form: str, first: int, stride: int) -> list[str]:
    """Until there are no more touches; returns what failed."""
    failed: list[str] = []
    for number in itertools.count(first, stride):
        countdown = fail_once(bed, Fault(point, form, number))
        if not countdown.failed:
            return failed
        failed.append(countdown.failed)
    raise AssertionError


def test_a_fault_is_read_as_it_is_written() -> None:
    assert Fault.parse("commit:after:3") == Fault("commit", "after", 3)
    assert str(Fault("any", "before", 12)) == "any:before:12"
    for text in ("commit", "commit:after:0", "commit:during:1", "a:b:c", "commit:after:3 "):
        with pytest.raises(ValueError, match="expected point:form:number"):
            Fault.parse(text)


SMALL_MIB = 12


@pytest.fixture
def small_disk() -> Iterator[tuple[PostgresServer, Path]]:
    """A server, and a file system of a few MiB that really gets full, where we may mount one."""
    with PostgresServer() as server:
        folder = server.folder / "small"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a small file system")
        try:
            yield server, folder
            server.stop()
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_database_whose_disk_is_really_full_loses_nothing_and_goes_on(
    tmp_path: Path, small_disk: tuple[PostgresServer, Path]
) -> None:
    server, folder = small_disk
    place = server.add_tablespace(folder)
    victim = DatabaseVictim(tmp_path / "log", server, server.create_database(tablespace=place))
    (victim.folder / "secrets").mkdir(parents=True)
    upgrade(victim.target)
    told = Told()

    async def fill(log: AuditLog) -> None:
        while not told.refused:
            await asyncio.gather(*(call(log, told, number) for number in range(64)))
        await until_it_is_full(log)
        assert not log.health().writable

    victim.use(fill, LATER)
    assert len(told.records) > 1000
    (victim.folder / "vkey").write_text(str(identity_of(victim)), "utf-8")
    report = verify_store(victim.target, victim.true_key(), None)
    assert report.ok, report.findings
    assert told.records <= set(records(victim))
    subprocess.run(["mount", "-o", f"remount,size={8 * SMALL_MIB}m", str(folder)], check=True)
    check(victim, told)


async def until_it_is_full(log: AuditLog) -> None:
    """Small records may still fit; and what a busy server says in between is not what is asked for here."""
    for _ in range(400):
        try:
            await log.intend(intent("one more"))
        except AuditUnavailable as error:
            if "53100" in str(error):
                return
    raise AssertionError("a full disk, and never told so")


def identity_of(victim: Victim) -> VerifierKey:
    with open_moment(victim.target) as moment:
        return moment.identity.verifier_key
