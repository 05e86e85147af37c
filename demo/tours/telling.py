"""What every tour is made of: steps that say what came back, and end the tour when it was not as told."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import httpx

from demo.idp.browserless import SignInStopped
from demo.process import DidNotStart

INDENT: Final = "    "

Step = tuple[str, Callable[[], Awaitable[str]]]
"""Its title, and the act: returns what is to be shown."""
Say = Callable[[str], None]


class NotAsTold(Exception):
    """A step came out otherwise than the story says. The message says what was seen instead."""


def expect(held: bool, otherwise: str) -> None:
    """Raises NotAsTold with `otherwise` unless it held."""
    if not held:
        raise NotAsTold(otherwise)


async def tell(steps: Sequence[Step], say: Say) -> bool:
    """Take the steps in order. A later step rests on the earlier ones, so the first that fails ends the story."""
    for number, (title, act) in enumerate(steps, 1):
        say(f"\n{number:2}. {title}")
        begun = time.perf_counter()
        try:
            shown = await act()
        except (NotAsTold, SignInStopped, httpx.HTTPError, OSError, subprocess.SubprocessError) as trouble:
            say("\n".join(f"{INDENT}✗ {line}" for line in (str(trouble) or type(trouble).__name__).splitlines()))
            return False
        for line in shown.splitlines():
            say(f"{INDENT}{line}".rstrip())
        say(f"{INDENT}✓ {time.perf_counter() - begun:.1f} s")
    return True


def command(prog: str, description: str | None, run: Callable[[Path, Say], bool]) -> int:
    """The tour as a program: 0 when every step was as told. Its files are gone afterwards, but for --state."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--state", type=Path, help="keep its files and logs here; left out: removed at the end")
    arguments = parser.parse_args()
    state = arguments.state or Path(tempfile.mkdtemp(prefix="imprimatur-tour-"))
    # A polite `kill` is a Ctrl-C: the programs are stopped in order either way.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    begun = time.perf_counter()
    try:
        held = run(state, _say)
        _say(f"\n{'Every step was as told' if held else 'The story broke off'}, {time.perf_counter() - begun:.0f} s.")
        return 0 if held else 1
    except DidNotStart as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        _say("\nStopped; nothing is left running.")
        return 130
    finally:
        if arguments.state is None:
            shutil.rmtree(state, ignore_errors=True)


def _say(line: str) -> None:
    print(line, flush=True)
