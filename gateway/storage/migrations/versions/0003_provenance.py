"""Provenance: which pictures left, by watermark and fingerprint"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "released_pictures",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("handle", sa.BigInteger(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_released_pictures")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_released_pictures_record_id", "released_pictures", ["record_id"])
    op.create_index("ix_released_pictures_handle", "released_pictures", ["handle"])
    op.create_index("ix_released_pictures_released_at", "released_pictures", ["released_at"])


def downgrade() -> None:
    op.drop_index("ix_released_pictures_released_at", table_name="released_pictures")
    op.drop_index("ix_released_pictures_handle", table_name="released_pictures")
    op.drop_index("ix_released_pictures_record_id", table_name="released_pictures")
    op.drop_table("released_pictures")
