"""`python -m tests.mutants identity`: take each security check away, one at a time; a test must go red each time.

Works on a copy of the tree. Prints a line for each check, and those that nothing noticed; exits with 1 when there is
one.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from tests.mutants.checks import Mutant, mutants
from tests.mutants.targets import TARGETS, Target

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("gateway", "tests", "pyproject.toml")
_LINKED = ("audit", "policies", "demo", "model_server", "helm", "docs", "bench", "constraints.txt")
_SECONDS = 1800
"""For the tests of an unchanged file, on a machine that does much else."""
_PATIENCE = 5
"""How many times as long the tests of a mutant may take: after that it hangs, and nobody overlooks that."""


class Bench:
    """A copy of the tree in which one file is changed at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        for name in _COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, folder / name)
        for name in _LINKED:
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)

    def is_noticed(self, mutant: Mutant, tests: Sequence[str], seconds: float) -> bool:
        """Does a test go red, or not come to an end in `seconds`?"""
        path = self._folder / mutant.path
        path.write_text(mutant.source, "utf-8")
        try:
            return not self.passes(tests, seconds)
        finally:
            path.write_text((ROOT / mutant.path).read_text("utf-8"), "utf-8")

    def passes(self, tests: Sequence[str], seconds: float = _SECONDS) -> bool:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self._folder)}
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=environment, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode not in (0, 1, 2):
            said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
            raise RuntimeError(f"pytest could not run: {said}")
        return done.returncode == 0


def found(targets: Sequence[Target]) -> Iterator[tuple[Mutant, Target]]:
    for target in targets:
        for mutant in mutants(target.path, (ROOT / target.path).read_text("utf-8")):
            yield mutant, target


def _less_line(shown: str) -> str:
    """A mutant as shown, without its line: that moves when the file is mended."""
    return re.sub(r"^(\S+?):\d+:", r"\1:", shown)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n\n")[0])
    parser.add_argument("name", choices=sorted(TARGETS), nargs="?", default="identity")
    parser.add_argument("--only", default="", help="files whose path has this in it")
    parser.add_argument("--again", type=Path, help="an earlier run's output: only the checks that it shows GREEN")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="print the checks, run nothing")
    options = parser.parse_args(arguments)
    targets = [target for target in TARGETS[options.name] if options.only in target.path]
    work = list(found(targets))
    if options.again is not None:
        green = {
            _less_line(line.partition("GREEN")[2].strip()) for line in options.again.read_text("utf-8").splitlines()
        }
        work = [(mutant, target) for mutant, target in work if _less_line(str(mutant)) in green]
        targets = list(dict.fromkeys(target for _, target in work))
    if options.list:
        for mutant, _ in work:
            print(mutant)
        return 0
    print(f"{len(work)} checks in {len(targets)} files; each is taken away in turn.", flush=True)
    began = time.monotonic()
    survivors: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, ThreadPoolExecutor(options.workers) as pool:
        benches: Queue[Bench] = Queue()
        for number in range(options.workers):
            folder = Path(name) / str(number)
            folder.mkdir()
            benches.put(Bench(folder))

        def unchanged(target: Target) -> tuple[str, bool, float]:
            bench = benches.get()
            started = time.monotonic()
            try:
                return target.path, bench.passes(target.tests), time.monotonic() - started
            finally:
                benches.put(bench)

        seconds: dict[str, float] = {}
        for path, passes, taken in pool.map(unchanged, targets):
            seconds[path] = 60 + _PATIENCE * taken
            if not passes:
                print(f"{path}: its tests fail already; mend them first.")
                return 2

        def attempt(pair: tuple[Mutant, Target]) -> tuple[Mutant, bool]:
            mutant, target = pair
            bench = benches.get()
            try:
                return mutant, bench.is_noticed(mutant, target.tests, seconds[target.path])
            finally:
                benches.put(bench)

        for mutant, noticed in pool.map(attempt, work):
            print(f"{'red' if noticed else 'GREEN':>5}  {mutant}", flush=True)
            if not noticed:
                survivors.append(mutant)
    _table(work, survivors, time.monotonic() - began)
    return 1 if survivors else 0


def _table(work: Sequence[tuple[Mutant, Target]], survivors: Sequence[Mutant], seconds: float) -> None:
    total, left = Counter(mutant.path for mutant, _ in work), Counter(mutant.path for mutant in survivors)
    print(f"\n{'file':<44} {'checks':>6} {'noticed':>8}")
    for path in sorted(total):
        print(f"{path:<44} {total[path]:>6} {total[path] - left[path]:>8}")
    print(f"{'all':<44} {len(work):>6} {len(work) - len(survivors):>8}   in {seconds:.0f} s")
    for mutant in survivors:
        print(f"nobody noticed: {mutant}")


if __name__ == "__main__":
    sys.exit(main())
