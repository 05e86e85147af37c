"""``python -m tests.dba``: do every attack to either store and print what found it, with the first bad record."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from tests.dba.catalogue import CASES, Case
from tests.dba.examine import Found, database_original, examine, files_original, fresh_copy
from tests.dba.victim import Victim
from tests.support.postgres import PostgresServer

_HEAD = ("store", "attack", "found as", "first bad", "found by")


def line(store: str, case: Case, found: Found) -> tuple[str, ...]:
    """A line of the table."""
    return store, case.name, found.found_as, _span(found.first_bad), ", ".join(found.guards) or "NOTHING"


def _span(records: tuple[int, int] | None) -> str:
    if records is None:
        return "-"
    return str(records[0]) if records[0] == records[1] else f"{records[0]} to {records[1]}"


def attack_all(original: Victim) -> Iterator[tuple[str, ...]]:
    for case in CASES:
        if original.store in case.stores:
            with fresh_copy(original) as victim:
                yield line(original.store, case, examine(victim, case))


def table(lines: list[tuple[str, ...]]) -> str:
    """Markdown."""
    widths = [max(len(one[at]) for one in (_HEAD, *lines)) for at in range(len(_HEAD))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(one, widths, strict=True)) + " |"
        for one in (_HEAD, rule, *lines)
    )


def main(arguments: list[str] | None = None, say: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.dba", description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both")
    options = parser.parse_args(arguments)
    logging.getLogger("audit").setLevel(logging.CRITICAL + 1)  # what it says about each attack is in the table
    lines: list[tuple[str, ...]] = []
    with ExitStack() as stack:
        if options.store in ("sqlite", "both"):
            lines += attack_all(stack.enter_context(files_original()))
        if options.store in ("postgres", "both"):
            server = stack.enter_context(PostgresServer())
            lines += attack_all(stack.enter_context(database_original(server)))
    say(table(lines))
    missed = sum(one[-1] == "NOTHING" for one in lines)
    say(f"{len(lines)} attacks, {len(lines) - missed} found, {missed} not.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
