"""Where inputs of past decisions lie, and the jobs that replay them. What names people is sealed; the keys lie
elsewhere (`sealing`)."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Date, Index, Integer, LargeBinary, String, Table, Text

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

replay_jobs = Table(
    "replay_jobs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("by", String(255), nullable=False),
    Column("days", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("candidate", String(64), nullable=False),
    Column("against", String(64), nullable=False),
    Column("baseline", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    # Written by the gateway that runs it; when it is old, that gateway is gone.
    Column("heartbeat_at", UtcDateTime, nullable=False),
    # Written by any gateway, read with the next heartbeat.
    Column("cancel_asked", Boolean, nullable=False),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("failure", Text, nullable=False),
    Column("problems", JSON, nullable=False),
    # The oldest day that the report speaks of: it is sealed under that day's key, and goes with it.
    Column("day", Date, nullable=False),
    # How many events had been erased from the log when its inputs were read: when more are, it may speak of them.
    Column("erased", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=True),
)
"""Who replays what, and what came out. Every gateway reads all of it."""
