"""Staged rollouts: who is decided by other rules than everybody, as a list that only grows"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_rollouts",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("rollout", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("activation", sa.Integer(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("percent", sa.Float(), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("approved_by", sa.String(length=255), nullable=False),
        sa.Column("proposal", sa.String(length=36), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("percent >= 0 and percent <= 100", name=op.f("ck_policy_rollouts_percent")),
        sa.ForeignKeyConstraint(
            ["activation"], ["policy_activations.number"], name=op.f("fk_policy_rollouts_activation_policy_activations")
        ),
        sa.ForeignKeyConstraint(
            ["digest"], ["policy_revisions.digest"], name=op.f("fk_policy_rollouts_digest_policy_revisions")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_policy_rollouts")),
    )


def downgrade() -> None:
    op.drop_table("policy_rollouts")
