"""`python -m tests.storm`: kill the log's processes many times and look whether anything acknowledged was lost."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.storm.check import check
from tests.storm.loop import Database, storm
from tests.support.postgres import PostgresServer


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """A log in a folder, with a witness outside its store."""
    return {
        "directory": folder / "log",
        "kek_path": folder / "secrets" / "kek",
        "signing_key_path": folder / "secrets" / "signing.pem",
        "witness_path": folder / "witness" / "checkpoints",
        "origin": "storm.example/audit",
        "create_keys": True,
        "checkpoint_interval_seconds": 0.05,
        "disk_refuse_fraction": 0.0,
        "database_lease_seconds": 1.0,
        **changes,
    }


def on_sqlite(kills: int, seed: int, say: Callable[[str], None]) -> None:
    """One process at a time, as the files store wants it."""
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        folder = Path(name)
        values = settings(folder)
        told = storm(values, folder, kills=kills, writers=1, seed=seed, say=say)
        count = check(folder / "log", folder / "witness" / "checkpoints", told)
        say(f"SQLite: {told.kills} kills, {len(told.records):,} acknowledged records, all of them among {count:,}")


def on_postgres(kills: int, seed: int, say: Callable[[str], None]) -> None:
    """Two gateways' writers at once, each with its integrator; every fifth kill is the database's, every fifth that of
    the writer that signs."""
    with tempfile.TemporaryDirectory(prefix="storm-") as name, PostgresServer() as server:
        folder = Path(name)
        url = server.url(server.create_database())
        values = settings(folder, database_url=url)
        database = Database(
            crashes={"database killed": server.crash, "database quit": lambda: _quit(server)},
            leader=lambda: _leader(url),
        )
        told = storm(values, folder, kills=kills, writers=2, seed=seed, database=database, say=say)
        count = check(url, folder / "witness" / "checkpoints", told)
        say(
            f"PostgreSQL: {told.kills} kills, {len(told.records):,} acknowledged records ({told.refused:,} refused), "
            f"all of them among {count:,}"
        )


def _quit(server: PostgresServer) -> None:
    """SIGQUIT: it ends at once, without a checkpoint, and recovers from its log."""
    server.stop("immediate")
    server.start()


def _leader(url: str) -> str | None:
    """Node of the process that holds the lease to sign."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "select holder from audit.lease where name = 'integrator' and expires_at > clock_timestamp()"
        ).fetchone()
    return str(found[0]).partition("/")[0] if found else None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="on each store (1000)")
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run; random unless given")
    options = parser.parse_args()
    seed = secrets.randbits(32) if options.seed is None else options.seed

    def say(line: str) -> None:
        print(line, flush=True)

    say(f"seed {seed}")
    started = time.monotonic()
    if options.store in ("sqlite", "both"):
        on_sqlite(options.kills, seed, say)
    if options.store in ("postgres", "both"):
        on_postgres(options.kills, seed, say)
    took = time.monotonic() - started
    say(f"Nothing acknowledged was lost, every sequence is dense, every proof holds ({took:,.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
