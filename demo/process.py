"""One program of the demo: started, waited for, stopped by its own pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx


class DidNotStart(RuntimeError):
    """A part of the demo is not there. The message says which, why, and where its log is."""


class Program:
    """A child process that answers HTTP when it is ready. Its output goes to `log_path`."""

    def __init__(
        self, name: str, arguments: Sequence[str], ready_url: str, log_path: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._arguments = [sys.executable, *arguments]
        self._ready_url = ready_url
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def start(self) -> None:
        """Begin to run; returns at once."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops its programs in order
            )

    def wait_ready(self, seconds: float) -> None:
        """Return when it answers with success. Raises DidNotStart."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise DidNotStart(f"The {self.name} ended right away.{self._log_end()}")
            try:
                if httpx.get(self._ready_url, timeout=2, trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise DidNotStart(f"The {self.name} did not become ready within {seconds:.0f} s.{self._log_end()}")

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in peace; after ten seconds without."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _log_end(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()[-8:] if self.log_path.exists() else []
        return f" Its log is {self.log_path}" + (" and ends:\n  " + "\n  ".join(lines) if lines else " (empty).")


def free_port(preferred: int = 0) -> int:
    """`preferred` when nobody listens there, else any free port of the loopback interface."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DidNotStart("No free port on the loopback interface.")
