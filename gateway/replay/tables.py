"""Where inputs of past decisions lie: sealed pages, and the keys of their days, wrapped."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, Integer, LargeBinary, Table

from gateway.storage.schema import UtcDateTime, metadata

replay_days = Table(
    "replay_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("wrapped_key", LargeBinary(60), nullable=False),
)
"""The key of each day's pages, wrapped. Taking the row away makes the day's pages noise."""

replay_pages = Table(
    "replay_pages",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("day", Date, ForeignKey("replay_days.day", ondelete="CASCADE"), nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("decisions", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_replay_pages_first_at", "first_at"),
    Index("ix_replay_pages_day", "day"),
    sqlite_autoincrement=True,
)
"""A page holds the decisions of a few seconds: compressed, then sealed. Who and what stands inside only."""
