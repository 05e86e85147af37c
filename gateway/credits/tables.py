"""The ledger's tables: one account row a person, entries that are only ever inserted, and hourly usage counts."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, String, Table, UniqueConstraint

from gateway.storage.schema import UtcDateTime, metadata

accounts = Table(
    "credit_accounts",
    metadata,
    Column("actor", String(255), primary_key=True),
    Column("month", String(7), nullable=False, doc="The month, as 2026-11, that `available` was granted for"),
    Column("available", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    # The database itself refuses a negative balance: the last line of defence under concurrency.
    CheckConstraint("available >= 0", name="available_not_negative"),
    CheckConstraint("reserved >= 0", name="reserved_not_negative"),
)

entries = Table(
    "credit_entries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("actor", String(255), nullable=False, index=True),
    Column("request_id", String(36), nullable=True),
    Column("kind", String(8), nullable=False, doc="grant, expire, reserve, settle, release, flag"),
    Column("available_delta", Integer, nullable=False),
    Column("reserved_delta", Integer, nullable=False),
    Column("month", String(7), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("request_id", "kind"),
)

usage_hours = Table(
    "usage_hours",
    metadata,
    Column("actor", String(255), primary_key=True),
    Column("hour", UtcDateTime, primary_key=True, doc="Start of the hour"),
    Column("requests", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
)
