"""The memorisation watch: fingerprints of finished pictures, for some days"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watched_pictures",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("actor", sa.LargeBinary(length=8), nullable=False),
        sa.Column("sketch", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("source", sa.LargeBinary(length=32), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_watched_pictures")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_watched_pictures_seen_at", "watched_pictures", ["seen_at"])


def downgrade() -> None:
    op.drop_index("ix_watched_pictures_seen_at", table_name="watched_pictures")
    op.drop_table("watched_pictures")
