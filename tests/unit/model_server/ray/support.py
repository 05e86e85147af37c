"""A real Ray cluster of two real replicas on loopback: `cluster.py` in a process of its own, watched from outside."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.unit.model_server.support import SECRET, bearer

PATIENCE_SECONDS = 120.0
"""A replica is a Python process that loads torch: on a busy machine that takes a while."""
REPLICAS = 2
QUEUE_LIMIT = 8
LONG = {"prompt": "a fox", "steps": 100, "n": 4, "stream": True}
"""Seconds of work: long enough to be met half way."""
SHORT = {"prompt": "a fox", "steps": 2}
GENERATE = "/v1/images/generations"

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[3]


class FreshToken(httpx.Auth):
    """A new token for each request, as a gateway makes them."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = bearer()["authorization"]
        yield request


def until(condition: Callable[[], Any]) -> Any:
    """Wait for something in another process: what the condition gives, once it is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.05)
    return found


def processes_of(session: int) -> dict[int, str]:
    """Pid and command line of every live process of a session: all that a cluster has started, and nothing else."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name in parentheses may hold anything; the fields after it are: state, parent, group, session.
            state, _parent, _group, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError):
            continue  # it ended while we looked
    return found


@dataclass(slots=True)
class Cluster:
    url: str
    client: httpx.Client
    process: subprocess.Popen[str]
    said: list[str]
    folder: Path
    """What Ray writes down: logs, sockets, its own token."""

    def replica_pids(self) -> set[int]:
        """Processes of the replicas."""
        listed = processes_of(self.process.pid).items()
        return {pid for pid, command in listed if command.startswith("ray::ServeReplica")}

    def metrics(self, name: str) -> dict[str, float]:
        """A counter, summed over its other labels, by replica."""
        found: dict[str, float] = {}
        for line in self.client.get("/metrics").text.splitlines():
            match = re.fullmatch(rf'{name}\{{.*replica="([^"]+)".*\}} (\S+)', line)
            if match:
                found[match[1]] = found.get(match[1], 0.0) + float(match[2])
        return found

    def replicas(self) -> set[str]:
        """Names of the replicas that answer."""
        return set(self.metrics("imprimatur_model_pictures_total"))

    def both_work(self) -> bool:
        return len(self.replicas()) == REPLICAS and len(self.replica_pids()) == REPLICAS

    def say(self, line: str) -> None:
        """Tell the cluster's program to do something, and wait until it says that it has."""
        assert self.process.stdin is not None
        before = len(self.said)
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        until(lambda: any(f"done {line}" in said for said in self.said[before:]))

    def state(self, work_id: str) -> dict[str, Any]:
        """Where a request is; `{"state": None}` when nobody knows it."""
        answer = self.client.get(f"/v1/queue/{work_id}")
        return dict(answer.json()) if answer.status_code == 200 else {"state": None}


class Stream:
    """A caller in a thread of its own that reads its events as they come."""

    def __init__(self, cluster: Cluster, work_id: str, **changes: object) -> None:
        self.work_id = work_id
        self.events: list[tuple[str, str]] = []
        self.status = 0
        self.retry_after: str | None = None
        self.broke = ""
        self._leaving = threading.Event()
        self._cluster = cluster
        self._body = LONG | changes
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        headers = {"x-request-id": self.work_id}
        url = self._cluster.url + GENERATE
        try:
            with httpx.stream(
                "POST", url, json=self._body, headers=headers, auth=FreshToken(), timeout=PATIENCE_SECONDS
            ) as answer:
                self.status, self.retry_after = answer.status_code, answer.headers.get("retry-after")
                name = ""
                for line in answer.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        self.events.append((name, value))
                    if self._leaving.is_set():
                        return
        except httpx.HTTPError as error:
            self.broke = type(error).__name__

    def names(self) -> list[str]:
        return [name for name, _data in self.events]

    def leave(self) -> None:
        """Hang up with the next line that comes."""
        self._leaving.set()

    def end(self) -> None:
        """Wait until the answer has ended."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "this caller hangs"


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start it, wait until it serves, and see that nothing of it is left in the end, whatever the tests did."""
    secret = folder / "secret"
    secret.write_bytes(SECRET)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "HOME": str(folder),  # Ray keeps its own token there
        "PYTHONPATH": str(_ROOT),
        "IMPRIMATUR_MODEL_TOKEN_SECRET_PATH": str(secret),
        "IMPRIMATUR_MODEL_QUEUE_LIMIT": str(QUEUE_LIMIT),
        "IMPRIMATUR_MODEL_MAX_BATCH": "4",
        "IMPRIMATUR_MODEL_PROFILE_SECONDS": "1",
        "IMPRIMATUR_MODEL_THREADS": "1",
        "IMPRIMATUR_MODEL_DRAIN_SECONDS": "20",
        "IMPRIMATUR_RAY_CPUS": "0.5",
        "IMPRIMATUR_RAY_MIN_REPLICAS": str(REPLICAS),
        "IMPRIMATUR_RAY_MAX_REPLICAS": str(REPLICAS),
        "IMPRIMATUR_RAY_TARGET_ONGOING": "1",
        "IMPRIMATUR_RAY_UPSCALE_SECONDS": "0",
        "IMPRIMATUR_RAY_DOWNSCALE_SECONDS": "0",
    }
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(_HERE / "cluster.py"), str(folder / "ray"), str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=_ROOT, env=environment,
            start_new_session=True,  # its session's number then names everything that it starts
        )  # fmt: skip
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout or []), daemon=True)
    reader.start()
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: "ready\n" in said or process.poll() is not None)
        assert process.poll() is None, (folder / "errors").read_text()
        with httpx.Client(base_url=url, auth=FreshToken(), timeout=PATIENCE_SECONDS) as client:
            yield Cluster(url, client, process, said, folder)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE_SECONDS)
        until(lambda: not processes_of(process.pid))
    finally:
        until(lambda: not _kill(process.pid))
        process.wait(PATIENCE_SECONDS)


def _kill(session: int) -> int:
    """End what is left of a session; how many there were. Some start others while they end."""
    left = processes_of(session)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)
