"""Replay: what the rules saw, sealed by day"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replay_pages",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decisions", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_replay_pages")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_replay_pages_first_at", "replay_pages", ["first_at"])
    op.create_index("ix_replay_pages_day", "replay_pages", ["day"])


def downgrade() -> None:
    op.drop_index("ix_replay_pages_day", table_name="replay_pages")
    op.drop_index("ix_replay_pages_first_at", table_name="replay_pages")
    op.drop_table("replay_pages")
