"""`python -m tests.parity [--questions 5000] [--policies FOLDER]`: the embedded engine beside OPA's own.

Every test of the rules and so many generated questions; exit 1 when one is decided differently.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from gateway.policy.testing import RegoTests
from tests.parity import compare
from tests.parity.engines import ORACLE, Embedded, Oracle, sources
from tests.support.policy import SHIPPED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=5_000, help="how many to generate")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--policies", type=Path, default=SHIPPED, help="folder of rules")
    arguments = parser.parse_args()
    started = time.monotonic()
    modules, data = sources(arguments.policies)
    embedded, oracle = Embedded(modules, data), Oracle(modules, data)
    try:
        found = RegoTests(embedded.engine).tests
        print(f"embedded (regorus 0.13.0) beside {ORACLE}, rules of {arguments.policies}")
        tallies = {
            "tests": compare.tests(embedded, oracle, found),
            "questions": compare.questions(
                embedded, oracle, range(arguments.first, arguments.first + arguments.questions)
            ),
        }
    finally:
        oracle.close()
    for name, tally in tallies.items():
        print(f"{name}: {tally}")
        for line in tally.differ[:20]:
            print(f"  {line}")
    differ = sum(len(tally.differ) for tally in tallies.values())
    print(f"{'alike' if not differ else 'NOT alike'} in {time.monotonic() - started:.0f} s")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
