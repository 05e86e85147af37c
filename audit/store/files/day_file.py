"""One day's records in one SQLite file.

Both halves of a request are in the file of the day its intent was made on, under that day's keys: a search joins them
without leaving the file, and the purge of the day destroys both.

``record`` holds what is plain and what proofs need; ``sealed`` the ciphertexts, apart, so that scanning envelopes does
not read them and purging leaves them behind; ``term`` and ``reason`` are indexes for searching, which ``verify``
compares with the records (an index entry removed is a record hidden).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from audit.errors import StoreDamaged
from audit.row import COLUMNS, Row
from audit.store.disk import Disk
from audit.store.files.sqlite import connect_fresh, connect_reader, connect_writer, insert_many
from audit.store.port import ClassFigures, SearchCosts, TokenSource

DAY_FORMAT = 1
RECORD_COLUMNS = COLUMNS[: COLUMNS.index("subject")]
_RECORD_WIDTH = len(RECORD_COLUMNS)

PURGED_AT = "purged_at"  # key in meta: when all classes were stripped


def purged_key(class_: str) -> str:
    """Key in ``meta``: when one class was stripped."""
    return f"{PURGED_AT}/{class_}"


SCHEMA_SQL = """
create table meta (key text primary key, value text not null) without rowid;
create table record (
    seq integer primary key,
    head_seq integer not null,
    event_id blob not null,
    phase text not null,
    tenant text not null,
    day text not null,
    class_ text not null,
    recorded_at integer not null,
    action text not null,
    effect text not null,
    reasons text not null,
    about text not null,
    bundle_revision text not null,
    model text not null,
    model_digest text not null,
    credits integer not null,
    latency_bucket_ms integer,
    schema integer not null,
    key_id text not null,
    node text not null,
    boot text not null,
    counter integer not null,
    envelope_salt blob not null,
    subject_digest blob not null,
    content_digest blob not null,
    index_commitment blob not null,
    leaf blob not null,
    index_salt blob,
    terms blob,
    authenticator blob
);
create table sealed (seq integer primary key, subject blob not null, content blob not null);
create table term (token blob not null, head_seq integer not null, primary key (token, head_seq)) without rowid;
create table reason (code text not null, head_seq integer not null, primary key (code, head_seq)) without rowid;
create unique index head_of_event on record (event_id) where phase <> 'outcome';
create unique index outcome_of_head on record (head_seq) where phase = 'outcome';
create index record_by_effect on record (effect, head_seq) where effect <> '';
create index record_by_action on record (action, head_seq) where phase <> 'outcome';
"""

# Column names and placeholders are the only parts of any statement here that are put together.
_SELECT_ROW = (
    f"select {', '.join('r.' + name for name in RECORD_COLUMNS)}, s.subject, s.content"  # noqa: S608
    " from record r left join sealed s on s.seq = r.seq"
)


class DayFile:
    """A day file open for writing. Used by the writer thread only."""

    def __init__(self, path: Path, day: date, disk: Disk) -> None:
        self.day = day
        self._disk = disk
        if not path.exists():
            _create(path, day, disk)
        self._connection = connect_writer(path)
        try:
            check_meta(self._connection, path, day)
        except BaseException:
            self._connection.close()
            raise

    def write(self, rows: Sequence[Row]) -> None:
        """Insert rows in one durable transaction. On any error the transaction is rolled back if it can be; whether
        the rows are on disk is then unknown until the file is read again."""
        connection = self._connection
        try:
            connection.execute("begin immediate")
            insert_many(connection, "insert into record", [row[:_RECORD_WIDTH] for row in rows])
            insert_many(connection, "insert into sealed", [(row.seq, row.subject, row.content) for row in rows])
            insert_many(connection, "insert or ignore into term", _term_entries(rows))
            insert_many(connection, "insert or ignore into reason", _reason_entries(rows))
            self._disk.commit(connection)
        except BaseException:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("rollback")
            raise

    def has_event(self, event_id: bytes) -> bool:
        """Is there a record of this event in the file?"""
        found = self._connection.execute(
            "select 1 from record where event_id = ? and phase <> 'outcome'", (event_id,)
        ).fetchone()
        return found is not None

    def close(self) -> None:
        """Close, folding the WAL into the file where no reader prevents it."""
        with suppress(sqlite3.Error):
            self._connection.execute("pragma wal_checkpoint(truncate)")
        self._connection.close()


def _create(path: Path, day: date, disk: Disk) -> None:
    """Make an empty day file, whole or not at all: a crash or a full disk leaves nothing that looks like one."""
    fresh = path.with_name(path.name + ".new")
    connection = connect_fresh(fresh)
    try:
        connection.executescript(f"begin;{SCHEMA_SQL}")
        connection.executemany(
            "insert into meta values (?, ?)", [("format", str(DAY_FORMAT)), ("day", day.isoformat())]
        )
        disk.commit(connection)
    finally:
        connection.close()
    disk.replace(fresh, path)


def _term_entries(rows: Sequence[Row]) -> list[tuple[bytes, int]]:
    return [(token, row.head_seq) for row in rows for token in row.tokens()]


def _reason_entries(rows: Sequence[Row]) -> list[tuple[str, int]]:
    return [(code, row.head_seq) for row in rows for code in row.reasons.split()]


def check_meta(connection: sqlite3.Connection, path: Path, day: date) -> None:
    """Raises ``StoreDamaged`` unless the file says it is this day's, in a known format."""
    found = dict(connection.execute("select key, value from meta").fetchall())
    if found.get("format") != str(DAY_FORMAT):
        raise StoreDamaged(f"{path.name}: expected day format {DAY_FORMAT}, got {found.get('format', 'none')}")
    if found.get("day") != day.isoformat():
        raise StoreDamaged(f"{path.name}: the file says it belongs to another day")


class DayReader:
    """A day file open for reading; sees one moment of it between ``begin`` and ``close``."""

    tokens_are_copied = True  # into ``term``
    walks_tokens_in_order = True  # the primary key of ``term``
    costs = SearchCosts()

    def __init__(self, path: Path, day: date) -> None:
        self.day = day
        self.connection = connect_reader(path)
        try:
            check_meta(self.connection, path, day)
        except BaseException:
            self.connection.close()
            raise

    def begin(self) -> None:
        """Hold one moment of the file for all later reads."""
        self.connection.execute("begin")
        self.connection.execute("select 1 from meta limit 1").fetchone()

    def select(self, sql: str, parameters: Sequence[object]) -> Iterator[tuple[Any, ...]]:
        """Run a query; see ``audit.store.port.DayView``."""
        statement = sql.format(record="record", sealed="sealed", term="term", reason="reason")
        yield from self.connection.execute(statement, tuple(parameters))

    def token_source(self, tokens: Sequence[bytes], before_seq: int) -> TokenSource:
        """Records with any of these tokens; see ``audit.store.port.DayView``."""
        marks = ", ".join("?" * len(tokens))
        where = f"t.token in ({marks}) and t.head_seq < ?"
        return TokenSource("term t", (), where, (*tokens, before_seq), "t.head_seq")

    def token_walk(self, token: bytes, before_seq: int) -> TokenSource:
        return self.token_source([token], before_seq)

    def has_token(self, tokens: Sequence[bytes], head: str) -> tuple[str, tuple[object, ...]]:
        marks = ", ".join("?" * len(tokens))
        return f"exists (select 1 from term t where t.token in ({marks}) and t.head_seq = {head})", tuple(tokens)  # noqa: S608

    def numbers(self, seqs: Sequence[int]) -> tuple[str, tuple[object, ...]]:
        if not seqs:
            return "(select 0 as head_seq where 0) m", ()
        marks = ", ".join(["(?)"] * len(seqs))
        return f"(select column1 as head_seq from (values {marks})) m", tuple(seqs)  # noqa: S608

    def rows(self, first_seq: int = 0) -> Iterator[Row]:
        """Rows from a sequence number on, in order."""
        cursor = self.connection.execute(f"{_SELECT_ROW} where r.seq >= ? order by r.seq", (first_seq,))
        for values in cursor:
            yield Row._make(values)

    def row(self, seq: int) -> Row | None:
        values = self.connection.execute(f"{_SELECT_ROW} where r.seq = ?", (seq,)).fetchone()
        return Row._make(values) if values else None

    def event(self, event_id: bytes) -> list[Row]:
        """The records of one event: its head, and its outcome if it has one."""
        head = self.connection.execute(
            f"{_SELECT_ROW} where r.event_id = ? and r.phase <> 'outcome'", (event_id,)
        ).fetchone()
        if head is None:
            return []
        rows = [Row._make(head)]
        outcome = self.connection.execute(
            f"{_SELECT_ROW} where r.head_seq = ? and r.phase = 'outcome'", (rows[0].seq,)
        ).fetchone()
        return rows + ([Row._make(outcome)] if outcome else [])

    def newest_seq(self) -> int:
        """Largest sequence number in the file; -1 if it is empty."""
        newest = self.connection.execute("select max(seq) from record").fetchone()[0]
        return -1 if newest is None else int(newest)

    def oldest_seq(self) -> int:
        """Smallest sequence number in the file; 0 if it is empty."""
        oldest = self.connection.execute("select min(seq) from record").fetchone()[0]
        return 0 if oldest is None else int(oldest)

    def count(self) -> int:
        return int(self.connection.execute("select count(*) from record").fetchone()[0])

    def purged_at(self) -> datetime | None:
        """When the sealed parts of all classes were removed, but for held records; ``None`` before."""
        return self.purges().get(None)

    def purges(self) -> dict[str | None, datetime]:
        """When the sealed parts of which classes were removed (``None``: of all at once)."""
        found = self.connection.execute("select key, value from meta where key like ?", (f"{PURGED_AT}%",))
        return {
            key.removeprefix(PURGED_AT).removeprefix("/") or None: datetime.fromisoformat(value) for key, value in found
        }

    def sealed_seqs(self, classes: frozenset[str] | None) -> frozenset[int]:
        """Records of these classes (``None``: all) whose sealed parts are here."""
        sql = "select s.seq from sealed s"
        names = sorted(classes or ())
        if classes is not None:
            marks = ", ".join("?" * len(names))
            sql += f" join record r on r.seq = s.seq where r.class_ in ({marks})"
        return frozenset(seq for (seq,) in self.connection.execute(sql, names))

    def class_figures(self) -> dict[str, ClassFigures]:
        """What the file holds of each class. Reads all of it."""
        found = self.connection.execute(
            "select r.class_, count(*), count(s.seq), coalesce(sum(length(s.subject) + length(s.content)), 0)"
            " from record r left join sealed s on s.seq = r.seq group by r.class_"
        )
        return {class_: ClassFigures(*figures) for class_, *figures in found}

    def close(self) -> None:
        self.connection.close()


def forget_below(path: Path, minimum_index: int, disk: Disk) -> None:
    """Remove the records of a purged day below a number, durably; late outcomes above it stay."""
    connection = connect_writer(path)
    try:
        connection.execute("begin immediate")
        connection.execute("delete from reason where head_seq < ?", (minimum_index,))
        connection.execute("delete from record where seq < ?", (minimum_index,))
        disk.commit(connection)
    finally:
        connection.close()
