"""A bundle's trial, in a process of its own, before it may come near the gateway's.

Rules are text that somebody wrote, and the embedded engine can be hung, crashed and filled by text (`rego` lists how).
So a child (`trial_child`) reads them first, with little memory, a deadline and nothing of our environment; what it
survives may come into force. The child gets the files through a pipe and gives back the data document, parsed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from gateway.policy.bundle import (
    CAPABILITIES,
    DATA_FILES,
    MANIFEST,
    REVISION_CHARS,
    Bundle,
    BundleRefused,
    Problem,
    Rules,
    is_test,
)

TRIAL_SECONDS: Final = 20.0
"""Wall clock for a whole trial; a second is usual on a busy machine."""
MAX_LINE_BYTES: Final = 64 << 20
"""The child's verdict holds all data in one line; a bundle is at most 8 MiB (`bundle.MAX_BYTES`)."""


async def try_out(bundle: Bundle, *, decision_seconds: float, trial_seconds: float = TRIAL_SECONDS) -> Rules:
    """The rules in `bundle`, when they may come into force. Raises BundleRefused with every problem found.

    A decision of the trial that takes longer than `decision_seconds` is a problem too; so is a trial that takes longer
    than `trial_seconds`.
    """
    request = json.dumps(
        {
            "decision_seconds": decision_seconds,
            "files": {path: base64.b64encode(text).decode() for path, text in bundle.files.items() if _matters(path)},
        }
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "gateway.policy.trial_child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # the engine writes there when it dies, and could quote what it read
        env={"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "RUST_BACKTRACE": "0"},
        limit=MAX_LINE_BYTES,
    )
    said: list[bytes] = []
    try:
        async with asyncio.timeout(trial_seconds):
            await _converse(child, request.encode(), said)
    except TimeoutError:
        raise BundleRefused(_broken_off(said, f"takes more than {trial_seconds:.0f} seconds to try out")) from None
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
    return _verdict(bundle, said, child.returncode or 0)


async def _converse(child: Process, request: bytes, said: list[bytes]) -> None:
    """Hand over the request; gather the child's lines in `said` until it ends."""
    if child.stdin is None or child.stdout is None:
        raise AssertionError("unreachable: both are pipes")
    with suppress(BrokenPipeError, ConnectionResetError):  # it died while reading: the verdict will say so
        child.stdin.write(request)
        await child.stdin.drain()
    child.stdin.close()
    async for line in child.stdout:
        said.append(line)
    await child.wait()


def _verdict(bundle: Bundle, said: Sequence[bytes], exit_status: int) -> Rules:
    last: dict[str, Any] = json.loads(said[-1]) if said else {}
    if exit_status != 0 or "problems" not in last:
        how = signal.Signals(-exit_status).name if exit_status < 0 else f"exit status {exit_status}"
        raise BundleRefused(_broken_off(said, f"the engine did not survive this ({how})"))
    if last["problems"]:
        raise BundleRefused(*(Problem(*p) for p in last["problems"]))
    return Rules(
        revision=f"{last['revision']}+{bundle.digest[:REVISION_CHARS]}",
        modules={
            path: text.decode() for path, text in bundle.files.items() if path.endswith(".rego") and not is_test(path)
        },
        data_json=last["data"],
    )


def _broken_off(said: Sequence[bytes], message: str) -> Problem:
    """A problem at the place that the child had come to."""
    for line in reversed(said):
        at = json.loads(line).get("at")
        if at:
            return Problem(at[0], at[1], at[2], message)
    return Problem("", 0, 0, message)


def _matters(path: str) -> bool:
    return path in (MANIFEST, CAPABILITIES) or path.endswith(".rego") or path.rpartition("/")[2] in DATA_FILES
