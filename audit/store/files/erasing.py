"""Removing the sealed parts of single records from a day file, in place, beside the live writer.

What proofs need stays: envelopes with their salt, digests, commitments, leaves. Ciphertexts, blind tokens, index salts
and authenticators go. ``secure_delete`` overwrites them in the file; the WAL, which may hold older copies of the same
pages, is folded in and cut to nothing, unless somebody reads the file just then: the next close of the day does it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path

from audit.seal import TOKEN_BYTES
from audit.store.disk import Disk
from audit.store.files.day_file import DayReader, check_meta
from audit.store.files.sqlite import connect_writer

# Both halves of a request lead to its head by shared entries: an entry stays while a record that stays has its token.
_KEPT_TOKENS = f"""
with recursive place (at) as (select 1 union all select at + {TOKEN_BYTES} from place
    where at + {TOKEN_BYTES} <= (select coalesce(max(length(terms)), 0) from record
        where head_seq in (select head_seq from temp.gone_head)))
insert or ignore into term
    select substr(terms, at, {TOKEN_BYTES}), head_seq from record join place on at <= length(terms)
    where head_seq in (select head_seq from temp.gone_head)
"""  # noqa: S608  # one number of ours


def erasable(reader: DayReader, seqs: Iterable[int]) -> list[int]:
    """Those of ``seqs`` that the day holds something of: most days need not be opened for writing."""
    first, last = reader.oldest_seq(), reader.newest_seq()
    rows = (reader.row(seq) for seq in seqs if first <= seq <= last)
    return [row.seq for row in rows if row is not None and (row.subject is not None or row.terms is not None)]


def erase_records(path: Path, day: date, seqs: Iterable[int], disk: Disk) -> int:
    """Erase those of ``seqs`` that are in the file; returns how many had something left to erase. Durable when it
    returns; nothing is half done. Raises ``sqlite3.Error``, ``OSError`` or ``StoreDamaged``."""
    connection = connect_writer(path)
    try:
        check_meta(connection, path, day)
        connection.execute("pragma secure_delete=on")
        connection.execute("create temp table gone (seq integer primary key)")
        connection.execute("create temp table gone_head (head_seq integer primary key)")
        connection.execute("begin immediate")
        try:
            count = _erase(connection, seqs)
            disk.commit(connection)
        except BaseException:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("rollback")
            raise
        with suppress(sqlite3.OperationalError):
            connection.execute("pragma wal_checkpoint(truncate)")
        return count
    finally:
        connection.close()


def _erase(connection: sqlite3.Connection, seqs: Iterable[int]) -> int:
    connection.executemany("insert or ignore into temp.gone values (?)", ((seq,) for seq in seqs))
    connection.execute(
        "delete from temp.gone where not exists (select 1 from sealed s where s.seq = gone.seq)"
        " and not exists (select 1 from record r where r.seq = gone.seq and r.terms is not null)"
    )
    connection.execute(
        "insert or ignore into temp.gone_head select head_seq from record where seq in (select seq from temp.gone)"
    )
    connection.execute("delete from sealed where seq in (select seq from temp.gone)")
    connection.execute(
        "update record set index_salt = null, terms = null, authenticator = null"
        " where seq in (select seq from temp.gone)"
    )
    connection.execute("delete from term where head_seq in (select head_seq from temp.gone_head)")
    connection.execute(_KEPT_TOKENS)
    return int(connection.execute("select count(*) from temp.gone").fetchone()[0])
