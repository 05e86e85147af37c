"""The memorisation watch: prints of faces in finished pictures, for some days"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watched_faces",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("actor", sa.LargeBinary(length=8), nullable=False),
        sa.Column("sketch", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("source", sa.LargeBinary(length=32), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_watched_faces")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_watched_faces_seen_at", "watched_faces", ["seen_at"])


def downgrade() -> None:
    op.drop_index("ix_watched_faces_seen_at", table_name="watched_faces")
    op.drop_table("watched_faces")
