"""The tables of cases, holds and subject requests, as SQLAlchemy Core describes them.

Every table has the same frame: ``id``, ``version`` (1, 2, 3, ...: each change is a new version of the row), ``tenant``,
``state``, times in Unix microseconds, and ``mac``. Columns marked ``SEALED`` hold JSON sealed under the governance
key: whatever names a person or was written by one. On PostgreSQL the tables live in the schema ``audit``.

Alembic (``audit/migrations``) makes them; a test compares what it makes with what stands here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, String, Table

from audit.migrations.engine import SCHEMA

_SEALED: Final = {"sealed": True}

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"},
)


def _frame(name: str, *columns: Column[object]) -> Table:
    return Table(
        name,
        metadata,
        Column("id", String(36), primary_key=True),
        Column("version", Integer, nullable=False),
        Column("tenant", String(80), nullable=False),
        Column("state", String(40), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("changed_at", BigInteger, nullable=False),
        *columns,
        Column("mac", LargeBinary(32), nullable=False),
    )


def _sealed(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, LargeBinary, nullable=nullable, info=_SEALED)


CASE: Final = _frame(
    "governance_case",
    Column("expires_at", BigInteger, nullable=False),
    Column("openings", Integer, nullable=False),  # how many records were opened under it so far
    _sealed("purpose", nullable=False),
    _sealed("scope", nullable=False),
    _sealed("requested", nullable=False),  # a signature, like the next two
    _sealed("decided"),
    _sealed("closed"),
)

HOLD: Final = _frame(
    "governance_hold",
    Column("kind", String(20), nullable=False),
    _sealed("reason", nullable=False),
    _sealed("scope", nullable=False),
    _sealed("requested", nullable=False),  # a signature, like the next three
    _sealed("decided"),
    _sealed("release_requested"),
    _sealed("released"),
)

SUBJECT_REQUEST: Final = _frame(
    "governance_subject_request",
    Column("kind", String(20), nullable=False),
    Column("expires_at", BigInteger),  # of an approval to take data out
    _sealed("actor", nullable=False),
    _sealed("note", nullable=False),
    _sealed("requested", nullable=False),  # a signature, like the next one
    _sealed("decided"),
    _sealed("receipts"),  # what each turn of an erasure did
)

# Which records of a day a hold keeps the keys of: authenticated, so that a hold cannot lose a record unseen.
ESCROW_DAY: Final = _frame(
    "governance_escrow_day",  # id: hold, day and class, hashed
    Column("hold_id", String(36), nullable=False, index=True),
    Column("day", String(10), nullable=False, index=True),
    Column("class_", String(80), nullable=False),
    Column("seqs", LargeBinary, nullable=False),  # 8 bytes each, big endian, ascending
)

# The keys themselves, wrapped under the hold's key; one row for each record and hold. GCM authenticates them.
ESCROW: Final = Table(
    "governance_escrow",
    metadata,
    Column("hold_id", String(36), nullable=False),
    Column("seq", BigInteger, nullable=False, index=True),
    Column("wrapped", LargeBinary, nullable=False),
    PrimaryKeyConstraint("hold_id", "seq"),
)

# What erasures took: plain, for everybody who verifies; the log's own record of the erasure holds its digest.
ERASURE_LIST: Final = Table(
    "governance_erasure_list",
    metadata,
    Column("event_id", String(36), primary_key=True),
    Column("seqs", LargeBinary, nullable=False),  # as ``coverage`` writes them
)


def is_sealed(table: Table, column: str) -> bool:
    return bool(table.c[column].info.get("sealed"))
