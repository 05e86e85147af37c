"""What remains of a day file after a purge: the file is written anew without what must go, then takes the old one's
place. Deleting inside the old file would need space that a full disk lacks, and leave what it deleted in free pages
and in the WAL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from audit.row import COLUMNS
from audit.seal import TOKEN_BYTES
from audit.store.disk import Disk
from audit.store.files.day_file import PURGED_AT, RECORD_COLUMNS, SCHEMA_SQL, purged_key
from audit.store.files.sqlite import connect_fresh

_GOES = frozenset({"index_salt", "terms", "authenticator"})  # columns of a stripped record; its sealed row goes whole
assert set(COLUMNS) > _GOES  # noqa: S101  # a renamed column must not stay behind unseen

# Tokens lie one behind another in ``terms``; the search table is made again from the records that keep theirs.
_MAKE_TERMS = f"""
insert or ignore into term
with recursive place (at) as (select 1 union all select at + {TOKEN_BYTES} from place
    where at + {TOKEN_BYTES} <= (select coalesce(max(length(terms)), 0) from record))
select substr(terms, at, {TOKEN_BYTES}), head_seq from record join place on at <= length(terms) order by 1, 2
"""  # noqa: S608  # one number of ours


def write_residue(
    path: Path, fresh: Path, classes: frozenset[str] | None, keep: Iterable[int], at: datetime, disk: Disk
) -> None:
    """Write to ``fresh`` what remains of a day once the sealed parts of some classes (``None``: all) are gone.

    Kept of every record: its envelope with the salt, the digests of the ciphertexts, the index commitment, the leaf:
    all that proofs need. Left behind: ciphertexts, blind tokens, index salts, authenticators; but records in ``keep``
    stay whole. Raises ``sqlite3.OperationalError`` or ``OSError``; ``fresh`` may be half written then.
    """
    connection = connect_fresh(fresh)
    try:
        connection.executescript(SCHEMA_SQL)
        connection.execute("attach ? as old", (str(path),))
        connection.execute("begin")
        _choose(connection, classes, keep)
        columns = ", ".join(
            f"case when gone.seq is null then r.{name} end" if name in _GOES else f"r.{name}" for name in RECORD_COLUMNS
        )
        connection.execute(
            f"insert into record select {columns} from old.record r"  # noqa: S608  # column names of ours
            " left join gone on gone.seq = r.seq order by r.seq"
        )
        connection.execute(
            "insert into sealed select s.seq, s.subject, s.content from old.sealed s"
            " where not exists (select 1 from gone where gone.seq = s.seq) order by s.seq"
        )
        connection.execute(_MAKE_TERMS)
        connection.execute("insert into reason select code, head_seq from old.reason")
        connection.execute("insert into meta select key, value from old.meta")
        marks = [PURGED_AT] if classes is None else [purged_key(class_) for class_ in sorted(classes)]
        connection.executemany("insert or replace into meta values (?, ?)", [(mark, at.isoformat()) for mark in marks])
        connection.execute("drop table gone")
        disk.commit(connection)
        connection.execute("detach old")
    finally:
        connection.close()


def _choose(connection: sqlite3.Connection, classes: frozenset[str] | None, keep: Iterable[int]) -> None:
    """Fill ``temp.gone`` with the records to strip."""
    connection.execute("create temp table gone (seq integer primary key)")
    if classes is None:
        connection.execute("insert into gone select seq from old.record")
    else:
        connection.executemany(
            "insert into gone select seq from old.record where class_ = ?", [(class_,) for class_ in sorted(classes)]
        )
    connection.executemany("delete from gone where seq = ?", [(seq,) for seq in keep])


def leave_wal_mode(path: Path) -> None:
    """Fold the WAL into the file and drop it. Raises ``sqlite3.OperationalError`` while anybody has the file open:
    a WAL left behind would be taken for the new file's."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0.5)
    try:
        mode = connection.execute("pragma journal_mode=delete").fetchone()[0]
        if mode != "delete":
            raise sqlite3.OperationalError("the day file is being read")
    finally:
        connection.close()
