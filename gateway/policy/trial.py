"""A bundle's trial, in a process of its own, before it may come near the gateway's.

Rules are text that somebody wrote, and the embedded engine can be hung, crashed and filled by text (`rego` lists how).
So a child (`trial_child`) reads them first, with little memory, a deadline and nothing of our environment; what it
survives may come into force. The child gets the files through a pipe and gives back the data document, parsed.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any, Final

from gateway.child import started
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
    said: list[bytes] = []
    try:
        async with (
            asyncio.timeout(trial_seconds),
            started("gateway.policy.trial_child", line_bytes=MAX_LINE_BYTES) as it,
        ):
            await it.hand_over(request.encode())
            async for line in it.answers:
                said.append(line)
            ending = await it.ending()
    except TimeoutError:
        raise BundleRefused(_broken_off(said, f"takes more than {trial_seconds:.0f} seconds to try out")) from None
    return _verdict(bundle, said, ending)


def _verdict(bundle: Bundle, said: Sequence[bytes], ending: str) -> Rules:
    last: dict[str, Any] = json.loads(said[-1]) if said else {}
    if ending or "problems" not in last:
        raise BundleRefused(_broken_off(said, f"the engine did not survive this ({ending or 'exit status 0'})"))
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
