"""Cases, holds, subject requests, escrowed keys, lists of erasures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = _schema()
    op.create_table(
        "governance_case",
        *_frame(),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("openings", sa.Integer, nullable=False),
        sa.Column("purpose", sa.LargeBinary, nullable=False),
        sa.Column("scope", sa.LargeBinary, nullable=False),
        sa.Column("requested", sa.LargeBinary, nullable=False),
        sa.Column("decided", sa.LargeBinary),
        sa.Column("closed", sa.LargeBinary),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_governance_case"),
        schema=schema,
    )
    op.create_table(
        "governance_hold",
        *_frame(),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("reason", sa.LargeBinary, nullable=False),
        sa.Column("scope", sa.LargeBinary, nullable=False),
        sa.Column("requested", sa.LargeBinary, nullable=False),
        sa.Column("decided", sa.LargeBinary),
        sa.Column("release_requested", sa.LargeBinary),
        sa.Column("released", sa.LargeBinary),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_governance_hold"),
        schema=schema,
    )
    op.create_table(
        "governance_subject_request",
        *_frame(),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("actor", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.Column("requested", sa.LargeBinary, nullable=False),
        sa.Column("decided", sa.LargeBinary),
        sa.Column("receipts", sa.LargeBinary),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_governance_subject_request"),
        schema=schema,
    )
    op.create_table(
        "governance_escrow_day",
        *_frame(),
        sa.Column("hold_id", sa.String(36), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("class_", sa.String(80), nullable=False),
        sa.Column("seqs", sa.LargeBinary, nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_governance_escrow_day"),
        schema=schema,
    )
    for column in ("hold_id", "day"):
        op.create_index(f"ix_governance_escrow_day_{column}", "governance_escrow_day", [column], schema=schema)
    op.create_table(
        "governance_escrow",
        sa.Column("hold_id", sa.String(36), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("hold_id", "seq", name="pk_governance_escrow"),
        schema=schema,
    )
    op.create_index("ix_governance_escrow_seq", "governance_escrow", ["seq"], schema=schema)
    op.create_table(
        "governance_erasure_list",
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("seqs", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_governance_erasure_list"),
        schema=schema,
    )


def downgrade() -> None:
    for table in (
        "governance_erasure_list",
        "governance_escrow",
        "governance_escrow_day",
        "governance_subject_request",
        "governance_hold",
        "governance_case",
    ):
        op.drop_table(table, schema=_schema())


def _frame() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("tenant", sa.String(80), nullable=False),
        sa.Column("state", sa.String(40), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    ]


def _schema() -> str | None:
    return None if op.get_context().dialect.name == "sqlite" else "audit"
