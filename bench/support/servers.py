"""Programs under measurement: started on loopback, waited for, their CPU read from /proc, stopped by pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


class DidNotStart(RuntimeError):
    """A program to measure is not there. The message holds the end of its output."""


class Server:
    """A child process that answers at `ready_path`."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        port: int,
        log_path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        ready_path: str = "/healthz",
    ) -> None:
        self.name = name
        self.port = port
        self._arguments = arguments
        self._log_path = log_path
        self._environment = environment or {}
        self._ready_url = f"http://127.0.0.1:{port}{ready_path}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._arguments,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_ready(60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def get(self, path: str) -> str:
        """What it answers to a GET. Raises URLError when it doesn't."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    def cpu_seconds(self) -> float:
        """User and system time of the process and its living children, all threads, since their start. To 1/100 s."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return sum(_cpu_seconds(pid) for pid in (self._process.pid, *_children(self._process.pid)))

    def _wait_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise DidNotStart(
                    f"{self.name} ended right away:\n{self._log_path.read_text('utf-8', 'replace')[-3000:]}"
                )
            try:
                with urllib.request.urlopen(self._ready_url, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise DidNotStart(f"{self.name} was not ready in {seconds:.0f} s:\n{self._log_path.read_text('utf-8')[-3000:]}")


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _cpu_seconds(pid: int) -> float:
    # proc(5): the name in field 2 may hold spaces, so count from after its closing bracket; 14 is utime, 15 stime.
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text("ascii").split()):
            found += [child, *_children(child)]
    return found
