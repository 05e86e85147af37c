"""kill -9 of gateways and of the database, under load: nothing acknowledged is lost, nothing is signed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit.migrations.migrate import upgrade
from audit.store.moment import open_moment
from audit.verify import verify_store
from tests.support.postgres import PostgresServer, fresh_database

ROOT = Path(__file__).parents[4]
PROGRAM = Path(__file__).with_name("load_driver.py")
RECORDS = 20_000  # of two processes; the one that is left writes on until there are as many


class Gateway:
    """One process of ``load_driver.py``, and what it was told is durable."""

    def __init__(self, url: str, folder: Path, node: str, *, seconds: float = 100, requests: int = -1) -> None:
        self.acknowledged: set[tuple[str, int, str]] = set()
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), url, str(folder), node, "32", str(seconds), str(requests)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            if line.endswith("\n"):
                phase, seq, event_id = line.split()
                self.acknowledged.add((phase, int(seq), event_id))

    def wait_for(self, count: int, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while len(self.acknowledged) < count:
            assert time.monotonic() < end, f"{len(self.acknowledged)} of {count} records in {seconds} s"
            assert self._process.poll() is None, "a gateway ended by itself"
            time.sleep(0.01)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self._process.send_signal(number)
        self._process.wait(timeout=60)
        self._listener.join(timeout=60)

    def freeze(self, seconds: float) -> None:
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    running: list[Gateway] = []

    def start_(url: str, node: str, **options: float) -> Gateway:
        running.append(Gateway(url, tmp_path, node, **options))  # type: ignore[arg-type]
        return running[-1]

    yield start_
    for gateway in running:
        gateway.kill()


def check(url: str, *gateways: Gateway) -> int:
    """All that was acknowledged is there as it was told, densely numbered, and everything verifies."""
    report = verify_store(url, None, None)
    assert report.ok, report.findings[:3]
    with open_moment(url) as moment:
        found = [(row.phase, row.seq, str(uuid.UUID(bytes=row.event_id))) for row in moment.rows()]
    assert [seq for _, seq, _ in found] == list(range(len(found)))
    lost = set().union(*(gateway.acknowledged for gateway in gateways)) - set(found)
    assert not lost, sorted(lost)[:3]
    return len(found)


def settle(url: str, start: Callable[..., Gateway]) -> Gateway:
    """A gateway that comes after the storm: it waits for the lease, signs what is there, and ends in order."""
    last = start(url, "last", seconds=30, requests=20)
    last.wait_for(20 * 32 * 2)
    last._process.wait(timeout=60)
    last._listener.join(timeout=60)
    return last


@pytest.mark.slow
def test_two_gateways_and_the_death_of_one(start: Callable[..., Gateway]) -> None:
    with fresh_database(upgrade) as url:
        first, second = start(url, "first"), start(url, "second")
        first.wait_for(RECORDS // 5)
        second.wait_for(RECORDS // 10)
        first.kill()  # the leader, most likely: it came first
        second.wait_for(RECORDS - len(first.acknowledged))
        second.kill()
        last = settle(url, start)
        assert check(url, first, second, last) >= RECORDS
        report = verify_store(url, None, None)
        assert report.uncovered == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "immediate"])
def test_the_death_of_the_database(start: Callable[..., Gateway], how: str) -> None:
    with PostgresServer() as server, fresh_database(upgrade, server) as url:
        first, second = start(url, "first"), start(url, "second")
        for round_ in range(1, 3):
            first.wait_for(400 * round_)
            second.wait_for(400 * round_)
            if how == "kill":
                server.kill()
            else:
                server.stop("immediate")
            server.start()
        first.wait_for(1_200)
        second.wait_for(1_200)  # both went on
        first.kill()
        second.kill()
        last = settle(url, start)
        check(url, first, second, last)
        assert verify_store(url, None, None).uncovered == 0


@pytest.mark.slow
def test_a_gateway_that_stood_still_and_came_back(start: Callable[..., Gateway]) -> None:
    """SIGSTOP beyond the lease: the other one signs meanwhile, and the sleeper's own checkpoint is refused."""
    with fresh_database(upgrade) as url:
        first = start(url, "first")
        first.wait_for(500)
        second = start(url, "second")
        second.wait_for(500)
        for _ in range(3):
            before = len(second.acknowledged)
            first.freeze(1.5)
            second.wait_for(before + 200)
            second.freeze(1.5)
        after = len(first.acknowledged)
        first.wait_for(after + 500)
        first.kill()
        second.kill()
        last = settle(url, start)
        check(url, first, second, last)
        assert verify_store(url, None, None).uncovered == 0
