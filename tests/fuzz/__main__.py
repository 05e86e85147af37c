"""`python -m tests.fuzz screening --seconds 60`: feed each target for its share of the time; exits with 1 on a find."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.engine import CORPUS, Find, draw_for, follow_coverage, has_atheris, replay
from tests.fuzz.targets import ROOT, TARGETS

WITH_PROCESSES = frozenset({"child"})
"""Their code runs in another process, where coverage is not seen."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=sorted(TARGETS), nargs="?", default="screening")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--only", default="", help="one target")
    parser.add_argument("--replay", type=Path, help="a saved input, for the target that --only names")
    parser.add_argument("--finds", type=Path, default=ROOT / "artifacts/fuzz", help="where finds are saved")
    options = parser.parse_args()
    targets = [target for target in TARGETS[options.name].values() if options.only in ("", target.name)]
    if not targets or (options.replay and not options.only):
        parser.error(f"--only names one of {', '.join(TARGETS[options.name])}")
    if options.replay:
        targets[0].check(options.replay.read_bytes())
        print(f"{options.replay} breaks {targets[0].name} no longer.")
        return 0
    engines = 2 if has_atheris() else 1
    share = options.seconds / len(targets) / engines
    if engines == 1:
        print("Coverage is not followed: atheris is not installed (pip install '.[fuzz]').")
    finds: list[Find] = []
    for target in targets:
        kept = replay(target)
        print(f"{target.name:<12} {kept:>5} kept inputs pass", flush=True)
        fed, find = draw_for(target, options.finds, share)
        print(f"{target.name:<12} {fed:>5} drawn by Hypothesis{'' if find is None else ', and a FIND'}", flush=True)
        if find is None and engines == 2 and target.name not in WITH_PROCESSES:
            told, find = follow_coverage(target, options.name, options.finds, share)
            print(f"{target.name:<12} {told}{'' if find is None else ', and a FIND'}", flush=True)
        finds += [] if find is None else [find]
    for find in finds:
        print(f"FIND {find.target}: {find.error}\n  saved as {find.path}; again with:")
        print(f"  python -m tests.fuzz {options.name} --only {find.target} --replay {find.path}")
        print(f"  once it is mended, keep it: mv {find.path} {CORPUS / find.target}/")
    print(f"finds: {len(finds)}")
    return 1 if finds else 0


if __name__ == "__main__":
    sys.exit(main())
