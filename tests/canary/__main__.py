"""`python -m tests.canary`: exits with 1 when a secret was found where it does not belong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.canary.walk import report, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.canary", description=__doc__)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own, not on SQLite")
    parser.add_argument("--keep", type=Path, help="an empty folder where the state stays, to be looked at")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="canary-") as scratch:
        found = run(options.keep or Path(scratch) / "state", with_postgres=options.postgres)
    print("\n".join(report(found)))
    return 1 if found.hits else 0


if __name__ == "__main__":
    sys.exit(main())
