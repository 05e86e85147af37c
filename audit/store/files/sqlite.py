"""Opening SQLite files the way this store needs them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

BUSY_TIMEOUT_SECONDS = 10.0
_MOST_ROWS = 256  # in one statement: of the widest table 7,680 values, of the 32,766 that SQLite takes
_WAL_AUTOCHECKPOINT_PAGES = 4000  # 16 MiB: seldom enough to keep commits even, small enough to bound recovery


def connect_writer(path: Path) -> sqlite3.Connection:
    """A durable read-write connection. The file is created, mode 0600, if it is missing.

    ``synchronous=FULL``: in WAL mode NORMAL does not fsync on commit, so an acknowledged record could be lost.
    """
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    mode = connection.execute("pragma journal_mode=wal").fetchone()[0]
    if mode != "wal":
        connection.close()
        raise sqlite3.OperationalError(f"expected journal mode wal, got {mode}")
    connection.execute("pragma synchronous=full")
    connection.execute(f"pragma wal_autocheckpoint={_WAL_AUTOCHECKPOINT_PAGES}")
    connection.execute("pragma trusted_schema=off")
    connection.execute("pragma cell_size_check=on")
    return connection


def insert_many(connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[object]]) -> None:
    """Run ``into`` (``insert into ...``) for all rows in few statements.

    Each statement lets go of the interpreter while it runs: with one a row, a busy event loop gets in between hundreds
    of times a batch, for up to five milliseconds each.
    """
    at, size = 0, _MOST_ROWS
    while at < len(rows):
        while size > len(rows) - at:
            size >>= 1
        connection.execute(
            _statement(into, len(rows[0]), size), [value for row in rows[at : at + size] for value in row]
        )
        at += size


@lru_cache(maxsize=64)
def _statement(into: str, width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{into} values {', '.join([row] * rows)}"


def connect_fresh(path: Path) -> sqlite3.Connection:
    """A new file, mode 0600, without a WAL, to be filled and put in place; what a crash left there is removed."""
    for stale in (path, path.with_name(path.name + "-journal")):
        stale.unlink(missing_ok=True)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma synchronous=full")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection that sees a consistent state beside a live writer.

    A file without a WAL in a folder that cannot be written (an evidence disk) is opened as immutable.
    """
    wal = path.with_name(path.name + "-wal")
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        connection = _open_uri(uri)
        connection.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.OperationalError:
        if not path.exists() or (wal.exists() and wal.stat().st_size > 0):
            raise
        connection = _open_uri(uri + "&immutable=1")
    connection.execute("pragma trusted_schema=off")
    connection.execute("pragma query_only=on")
    return connection


def _open_uri(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
