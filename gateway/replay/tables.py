"""Where inputs of past decisions lie: sealed pages. Their keys lie elsewhere (`sealing`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Index, Integer, LargeBinary, Table

from gateway.storage.schema import UtcDateTime, metadata

replay_pages = Table(
    "replay_pages",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("day", Date, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("decisions", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_replay_pages_first_at", "first_at"),
    Index("ix_replay_pages_day", "day"),
    sqlite_autoincrement=True,
)
"""A page holds the decisions of a few seconds: compressed, then sealed. Who and what stands inside only."""
