"""`opa_server.py` as a child process, for fixtures."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class OpaProcess:
    """A running server. Faults are ordered for all who ask, so each test orders its own and mends it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._start(port=0)

    def _start(self, port: int) -> None:
        self._child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.opa_server",
                "--port",
                str(port),
                "--directory",
                str(self._directory),
            ],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        words = self._child.stdout.readline().split()
        assert words[:1] == ["ready"], "the OPA server did not start"
        self.url = f"http://127.0.0.1:{words[1]}"
        self.engine = words[2]

    def stop(self) -> None:
        self._child.kill()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody answers at its address inside the block."""
        port = int(self.url.rpartition(":")[2])
        self.stop()
        try:
            yield
        finally:
            self._start(port)

    @contextmanager
    def fault(self, kind: str) -> Iterator[None]:
        """Every answer goes wrong this way inside the block."""
        self._send("PUT", f"/fault/{kind}")
        try:
            yield
        finally:
            self._send("DELETE", "/fault")

    def load(self) -> None:
        """Read the folder again, as OPA does when its bundle changes."""
        self._send("POST", "/load")

    def confirmed(self, at: str) -> None:
        """From now on its status says that its bundle was confirmed then."""
        self._send("PUT", f"/confirmed/{at}")

    def seen(self) -> dict[str, Any]:
        """The last question: `query`, `headers`, `body`."""
        seen: dict[str, Any] = json.loads(self._send("GET", "/seen"))
        return seen

    def _send(self, method: str, path: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=30) as answer:
            body: bytes = answer.read()
            return body
