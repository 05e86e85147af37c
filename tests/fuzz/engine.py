"""Feeds a target: with Hypothesis, which is always there, and with atheris, which follows coverage, where it is
installed. What breaks a target is saved as the file that did it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz import inputs
from tests.fuzz.targets import CORPUS, ROOT, Target

ROUND: Final = 100
_GRACE_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Find:
    """An input that breaks a target."""

    target: str
    path: Path
    error: str


def has_atheris() -> bool:
    return importlib.util.find_spec("atheris") is not None


def replay(target: Target) -> int:
    """Every input that is kept, again; how many there were."""
    seeds = target.seeds()
    for data in seeds:
        target.check(data)
    return len(seeds)


def draw(target: Target, folder: Path, *, examples: int, with_seed: int | None = None) -> Find | None:
    """So many inputs by Hypothesis; the smallest that breaks it, saved in `folder`."""
    last = b""

    @seed(random.randrange(1 << 32) if with_seed is None else with_seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs.of(target))
    def feed(data: bytes) -> None:
        nonlocal last
        last = data
        target.check(data)

    try:
        feed()
    except Exception as error:
        # The last one fed is the smallest: Hypothesis runs it once more to raise its error.
        return save(target, folder, last, error)
    return None


def save(target: Target, folder: Path, data: bytes, error: BaseException) -> Find:
    """Keep the input, and say what it did. Moved into the corpus it is tried in every run of the tests."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target.name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return Find(target.name, path, f"{type(error).__name__}: {error}"[:300])


def draw_for(target: Target, folder: Path, seconds: float) -> tuple[int, Find | None]:
    """Rounds of Hypothesis until the time is over; how many inputs, and the find that ended it."""
    until, fed = time.monotonic() + seconds, 0
    size = min(ROUND, max(1, target.examples))
    while time.monotonic() < until:
        find = draw(target, folder, examples=size)
        fed += size
        if find is not None:
            return fed, find
    return fed, None


def follow_coverage(target: Target, name: str, folder: Path, seconds: float) -> tuple[str, Find | None]:
    """atheris in a process of its own: libFuzzer ends the process that it runs in. What it learned stays in
    `.cache/fuzz`, so that the next run goes on from there."""
    learned = ROOT / ".cache/fuzz" / name / target.name
    learned.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (learned / f"seed-{number}").write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("crash-*")) | set(folder.glob("timeout-*"))
    command = [sys.executable, "-m", "tests.fuzz.coverage", name, target.name, f"-max_total_time={int(seconds)}"]
    command += ["-timeout=10", "-rss_limit_mb=1500", f"-artifact_prefix={folder}/", "-verbosity=1", str(learned)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + _GRACE_SECONDS,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
    )
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    new = (set(folder.glob("crash-*")) | set(folder.glob("timeout-*"))) - before
    told = next((line for line in reversed(lines) if re.match(r"#\d", line)), "no line of progress")
    told = "coverage followed: " + " ".join(told.split())
    if new:
        error = next((line for line in lines if "Error" in line or "Exception" in line), "it ended")
        return told, Find(target.name, sorted(new)[0], error[:300])
    if done.returncode:
        raise RuntimeError(f"atheris could not run: {' | '.join(lines[-3:])}")
    return told, None


__all__ = ["CORPUS", "Find", "draw", "draw_for", "follow_coverage", "has_atheris", "replay", "save"]
