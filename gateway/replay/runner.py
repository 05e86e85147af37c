"""Past inputs through a child process and back, as a report. Nothing of it runs on a request's thread.

The child (`child`) is a process of its own: Rego keeps the interpreter's lock while it runs, and a draft is text that
somebody wrote. Inputs are handed over a page at a time and no faster than it reads, so neither side's memory grows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from gateway.child import Child, started
from gateway.policy.bundle import Rules

MAX_LINE_BYTES: Final = 64 << 20
PREVIEW_SECONDS: Final = 20.0


class ReplayFailed(Exception):
    """No report. `str()` says why, and never quotes an input."""


async def replay(
    candidate: Rules,
    baseline: Rules,
    pages: AsyncIterator[bytes],
    *,
    minutes_per_review: float,
    seconds: float,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """The report (`report.Tally.report`). Tells `progress` how many decisions are done; cancelling it ends the child.
    Raises ReplayFailed, also when it takes longer than `seconds`, and what `pages` raises."""
    setup = {
        "job": "replay",
        "candidate": as_setup(candidate),
        "baseline": as_setup(baseline),
        "minutes_per_review": minutes_per_review,
    }
    try:
        async with asyncio.timeout(seconds), spawned() as child:
            async with asyncio.TaskGroup() as group:
                group.create_task(_feed(child, setup, pages))
                answer = group.create_task(_result(child, progress))
            return answer.result()
    except TimeoutError:
        raise ReplayFailed(f"it took longer than {seconds:.0f} seconds: replay fewer days") from None
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None


async def preview(candidate: Rules, baseline: Rules | None, document: Mapping[str, Any]) -> dict[str, Any]:
    """One input under `candidate` and, where given, `baseline`: `{"candidate": …, "baseline": …}`, explained. Raises
    ReplayFailed."""
    setup = {
        "job": "preview",
        "candidate": as_setup(candidate),
        "baseline": None if baseline is None else as_setup(baseline),
        "document": dict(document),
    }
    try:
        async with asyncio.timeout(PREVIEW_SECONDS), spawned() as child:
            await write(child, setup)
            return await _result(child, lambda _: None)
    except TimeoutError:
        raise ReplayFailed(f"these rules took longer than {PREVIEW_SECONDS:.0f} seconds for one decision") from None


def spawned() -> AbstractAsyncContextManager[Child]:
    """A child that ends with the block, whatever happens."""
    return started("gateway.replay.child", line_bytes=MAX_LINE_BYTES)


async def write(child: Child, value: object) -> None:
    """One line to the child; waits until it has taken enough."""
    await child.tell(json.dumps(value).encode() + b"\n")


async def _feed(child: Child, setup: Mapping[str, Any], pages: AsyncIterator[bytes]) -> None:
    try:
        await write(child, setup)
        async for page in pages:
            await child.tell(page + b"\n")
    except (BrokenPipeError, ConnectionResetError):
        return  # it died: whoever reads its answer says so
    child.no_more()


async def _result(child: Child, progress: Callable[[int], None]) -> dict[str, Any]:
    async for line in child.answers:
        told = json.loads(line)
        if "done" in told:
            progress(int(told["done"]))
        elif "failed" in told:
            raise ReplayFailed(f"the rules {told['failed']}")
        elif "result" in told:
            result: dict[str, Any] = told["result"]
            return result
    raise ReplayFailed("the engine did not survive these rules")


def as_setup(rules: Rules) -> dict[str, Any]:
    return {"revision": rules.revision, "modules": dict(rules.modules), "data_json": rules.data_json}
