"""Names of the tables that a day and a class have, and their making: today's and tomorrow's ahead, any on demand.

Names hold a day (digits) and a class, which is quoted whatever it looks like.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date
from typing import Final

from audit.row import COLUMNS
from audit.store.postgres.connection import Connection, execute, script

RECORD_COLUMNS: Final = COLUMNS[: COLUMNS.index("index_salt")]
SEALED_COLUMNS: Final = ("seq", "head_seq", "subject", "content", "index_salt", "terms", "authenticator")

_LONGEST_NAME = 63  # of an identifier in PostgreSQL; longer ones are cut without a word
_LOCK_CLASS = 0x1A0D17  # advisory locks of the log: the first of two keys
CREATION_LOCK: Final = (_LOCK_CLASS, 1)
TABLES_LOCK: Final = (_LOCK_CLASS, 2)

# Pending entries of the token index beyond this (KiB, the least that PostgreSQL takes) are folded in by the writer that
# reaches it: cheaper than one by one, and each search reads all of them. With 512, the index of a day of 8,000 records
# was 92 pages instead of 36, at the same cost of inserting.
_PENDING_KIB = 64


def record_table(day: date) -> str:
    return f"audit.record_{day:%Y%m%d}"


def reason_table(day: date) -> str:
    return f"audit.reason_{day:%Y%m%d}"


def sealed_table(day: date, class_: str) -> str:
    """Two classes never share a name: a long one is named by its hash, behind a sign that no class can have."""
    name = f"sealed_{day:%Y%m%d}_{class_}"
    if len(name) > _LONGEST_NAME:
        name = f"sealed_{day:%Y%m%d}_~{hashlib.sha256(class_.encode()).hexdigest()[:32]}"
    return "audit." + quoted(name)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def lock_statement(lock: tuple[int, int]) -> str:
    """Waits its turn; given back at the end of the transaction."""
    return f"select pg_advisory_xact_lock({lock[0]}, {lock[1]})"


def make_tables(connection: Connection, scopes: Iterable[tuple[date, str]]) -> None:
    """Make what these days and classes lack, in one transaction that waits its turn behind other processes doing the
    same. Attaching an empty table locks neither readers nor writers of the other days.
    """
    with connection.transaction():
        execute(connection, lock_statement(TABLES_LOCK))
        for day, class_ in scopes:
            if not _exists(connection, record_table(day)):
                script(connection, _day_sql(day))
            if not _exists(connection, sealed_table(day, class_)):
                script(connection, _sealed_sql(sealed_table(day, class_)))
            connection.execute("insert into audit.day (day) values (%s) on conflict do nothing", [day.isoformat()])
            connection.execute(
                "insert into audit.scope (day, class_) values (%s, %s) on conflict do nothing",
                [day.isoformat(), class_],
            )


def _exists(connection: Connection, table: str) -> bool:
    found = connection.execute("select to_regclass(%s) is not null", [table]).fetchone()
    return found is not None and bool(found[0])


def _day_sql(day: date) -> str:
    record, reason, plain = record_table(day), reason_table(day), f"{day:%Y%m%d}"
    return f"""
        create table {record} (like audit.record including defaults including constraints);
        alter table {record} add primary key (seq);
        create unique index head_of_event_{plain} on {record} (event_id) where phase <> 'outcome';
        create unique index outcome_of_head_{plain} on {record} (head_seq) where phase = 'outcome';
        create index record_by_effect_{plain} on {record} (effect, head_seq) where effect <> '';
        create index record_by_action_{plain} on {record} (action, head_seq) where phase <> 'outcome';
        alter table audit.record attach partition {record} for values in ('{day.isoformat()}');
        create table {reason} (code text collate "C", head_seq bigint, primary key (code, head_seq))
    """


def _sealed_sql(table: str) -> str:
    return f"""
        create table {table} (
            seq bigint primary key, head_seq bigint not null, subject bytea not null, content bytea not null,
            index_salt bytea not null, terms uuid[] not null, authenticator bytea not null
        );
        alter table {table} alter subject set storage external, alter content set storage external;
        create index on {table} (head_seq);
        create index on {table} using gin (terms) with (fastupdate = on, gin_pending_list_limit = {_PENDING_KIB})
    """


def classes_of(connection: Connection, day: date) -> list[str]:
    """Classes of a day that have a table of sealed parts."""
    found = connection.execute(
        "select class_ from audit.scope where day = %s and not is_dropped order by class_", [day.isoformat()]
    ).fetchall()
    return [str(class_) for (class_,) in found]
