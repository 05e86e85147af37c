"""Policy: revisions, drafts, checks, and what is in force"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_contents",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_policy_contents")),
    )
    op.create_table(
        "policy_revisions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("author", sa.String(length=255), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.String(length=255), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("approved_by is null or approved_by <> author", name=op.f("ck_policy_revisions_two_people")),
        sa.ForeignKeyConstraint(
            ["parent"], ["policy_revisions.digest"], name=op.f("fk_policy_revisions_parent_policy_revisions")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_policy_revisions")),
    )
    op.create_table(
        "policy_activations",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposal", sa.String(length=36), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("returns_to", sa.String(length=64), nullable=True),
        sa.CheckConstraint(
            "(expires_at is null) = (returns_to is null)", name=op.f("ck_policy_activations_expiry_returns")
        ),
        sa.ForeignKeyConstraint(
            ["digest"], ["policy_revisions.digest"], name=op.f("fk_policy_activations_digest_policy_revisions")
        ),
        sa.ForeignKeyConstraint(
            ["returns_to"], ["policy_revisions.digest"], name=op.f("fk_policy_activations_returns_to_policy_revisions")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_policy_activations")),
    )
    op.create_table(
        "policy_drafts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("opened_by", sa.String(length=255), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_drafts")),
    )
    op.create_table(
        "policy_draft_versions",
        sa.Column("draft", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("base", sa.String(length=64), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("saved_by", sa.String(length=255), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(
            ["base"], ["policy_revisions.digest"], name=op.f("fk_policy_draft_versions_base_policy_revisions")
        ),
        sa.ForeignKeyConstraint(
            ["draft"], ["policy_drafts.id"], name=op.f("fk_policy_draft_versions_draft_policy_drafts")
        ),
        sa.PrimaryKeyConstraint("draft", "number", name=op.f("pk_policy_draft_versions")),
    )
    op.create_table(
        "policy_draft_comments",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("draft", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=255), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["draft"], ["policy_drafts.id"], name=op.f("fk_policy_draft_comments_draft_policy_drafts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_draft_comments")),
    )
    op.create_index("ix_policy_draft_comments_draft", "policy_draft_comments", ["draft"])
    op.create_table(
        "policy_checks",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("checker", sa.String(length=100), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", "checker", name=op.f("pk_policy_checks")),
    )


def downgrade() -> None:
    op.drop_table("policy_checks")
    op.drop_index("ix_policy_draft_comments_draft", table_name="policy_draft_comments")
    for name in ("draft_comments", "draft_versions", "drafts", "activations", "revisions", "contents"):
        op.drop_table(f"policy_{name}")
