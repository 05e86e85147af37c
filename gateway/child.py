"""A child process for what others wrote: files, pictures, rules. It gets our interpreter, two pipes and nothing else.

What runs in it lowers its own memory and file limits before it reads (each `*_child` module); here is what the parent
owes: no environment but where our code lies, no word of its errors (a traceback could quote what it read), an answer's
line that is not longer than agreed, and no child that outlives the block, whatever happens in it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final


def command(module: str, *arguments: str) -> list[str]:
    """How `module` is started. `-P`: nothing is imported from whatever folder we happen to be in."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(**more: str) -> dict[str, str]:
    """All that a child knows of ours. Relative places to import from would mean the folder that it happens to be in."""
    absolute = [path for path in sys.path if Path(path).is_absolute()]
    return {"PYTHONPATH": os.pathsep.join(absolute), "RUST_BACKTRACE": "0", **more}


class Child:
    """A running child, its two pipes open."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("unreachable: both are pipes")
        self._process: Final = process
        self._stdin: Final = process.stdin
        self.answers: Final = process.stdout
        """What it says."""

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def tell(self, *parts: bytes) -> None:
        """Write; returns when it has taken enough, so that neither side's memory grows. Raises OSError when it died."""
        for part in parts:
            self._stdin.write(part)
            await self._stdin.drain()

    def no_more(self) -> None:
        """It has everything now."""
        self._stdin.close()

    async def hand_over(self, *parts: bytes) -> None:
        """Tell it everything. One that died while it read, or gave up early, says so by its answer, or by none."""
        with suppress(BrokenPipeError, ConnectionResetError):
            await self.tell(*parts)
        self.no_more()

    async def ending(self) -> str:
        """Wait until it ends by itself: empty when all was well, else `SIGKILL` or `exit status 3`."""
        status = await self._process.wait()
        if status < 0:
            return signal.Signals(-status).name
        return f"exit status {status}" if status else ""


@asynccontextmanager
async def started(module: str, *, line_bytes: int) -> AsyncIterator[Child]:
    """A child that runs `module` and ends with the block. No line of its answers is longer than `line_bytes`."""
    process = await asyncio.create_subprocess_exec(
        *command(module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(),
        limit=line_bytes,
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
