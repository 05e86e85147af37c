"""Identity: provider sessions, services, proposals, provisioning, emergencies, notices"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "emergencies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("asked_by", sa.String(length=40), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agreed_by", sa.String(length=40), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_drill", sa.Boolean(), nullable=False),
        sa.CheckConstraint("agreed_by is null or agreed_by <> asked_by", name=op.f("ck_emergencies_two_seals")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_emergencies")),
    )
    op.create_table(
        "emergency_seals",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("code_mac", sa.String(length=64), nullable=False),
        sa.Column("sealed_totp", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sealed_by", sa.String(length=255), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_emergency_seals")),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("proposed_by", sa.String(length=255), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("decided_by", sa.String(length=255), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "decided_by is null or status = 'withdrawn' or decided_by <> proposed_by",
            name=op.f("ck_proposals_two_people"),
        ),
        sa.CheckConstraint(
            "status in ('open', 'approved', 'rejected', 'withdrawn')", name=op.f("ck_proposals_status_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )
    with op.batch_alter_table("proposals", schema=None) as batch_op:
        batch_op.create_index("ix_proposals_status", ["status", "kind"], unique=False)

    op.create_table(
        "scim_groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("provider", sa.String(length=31), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("external_id", sa.String(length=255), nullable=True),
        sa.Column("resource", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_groups")),
    )
    with op.batch_alter_table("scim_groups", schema=None) as batch_op:
        batch_op.create_index("ix_scim_groups_provider", ["provider", "display_name"], unique=False)

    op.create_table(
        "scim_users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("provider", sa.String(length=31), nullable=False),
        sa.Column("user_name", sa.String(length=255), nullable=False),
        sa.Column("external_id", sa.String(length=255), nullable=True),
        sa.Column("subject", sa.String(length=255), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("resource", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_users")),
        sa.UniqueConstraint("actor", name=op.f("uq_scim_users_actor")),
        sa.UniqueConstraint("provider", "subject", name="uq_scim_users_subject"),
        sa.UniqueConstraint("provider", "user_name", name=op.f("uq_scim_users_provider")),
    )
    with op.batch_alter_table("scim_users", schema=None) as batch_op:
        batch_op.create_index("ix_scim_users_external_id", ["provider", "external_id"], unique=False)

    op.create_table(
        "notices",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["actor"], ["people.id"], name=op.f("fk_notices_actor_people"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.create_index("ix_notices_actor", ["actor", "at"], unique=False)

    op.create_table(
        "role_mappings",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mapping", sa.JSON(), nullable=False),
        sa.Column("proposal", sa.String(length=36), nullable=True),
        sa.Column("activated_by", sa.String(length=255), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["proposal"], ["proposals.id"], name=op.f("fk_role_mappings_proposal_proposals")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_role_mappings")),
    )
    op.create_table(
        "scim_members",
        sa.Column("group_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["scim_groups.id"], name=op.f("fk_scim_members_group_id_scim_groups"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["scim_users.id"], name=op.f("fk_scim_members_user_id_scim_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_scim_members")),
    )
    with op.batch_alter_table("scim_members", schema=None) as batch_op:
        batch_op.create_index("ix_scim_members_user_id", ["user_id"], unique=False)

    op.create_table(
        "service_accounts",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("networks", sa.JSON(), nullable=False),
        sa.Column("client_provider", sa.String(length=31), server_default="", nullable=False),
        sa.Column("client_subject", sa.String(length=220), server_default="", nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("approved_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["people.id"], name=op.f("fk_service_accounts_id_people"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["owner"], ["people.id"], name=op.f("fk_service_accounts_owner_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_accounts")),
    )
    with op.batch_alter_table("service_accounts", schema=None) as batch_op:
        batch_op.create_index("ix_service_accounts_client", ["client_provider", "client_subject"], unique=False)
        batch_op.create_index("ix_service_accounts_owner", ["owner"], unique=False)

    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("networks", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("used_from", sa.String(length=64), server_default="", nullable=False))
        batch_op.add_column(sa.Column("minted_by", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("proposal", sa.String(length=36), nullable=True))
        batch_op.create_index("ix_api_keys_proposal", ["proposal"], unique=True)

    with op.batch_alter_table("people", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deprovisioned_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("directory_subject", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("scim_groups", sa.JSON(), server_default="[]", nullable=False))
        batch_op.create_index("ix_people_directory_subject", ["directory_subject"], unique=False)

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("provider_session", sa.String(length=255), server_default="", nullable=False))
        batch_op.add_column(sa.Column("sealed_refresh_token", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("sealed_id_token", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("rechecking_since", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("network", sa.String(length=64), server_default="", nullable=False))
        batch_op.add_column(sa.Column("device", sa.String(length=120), server_default="", nullable=False))
        batch_op.create_index("ix_sessions_provider_session", ["provider_session"], unique=False)


def downgrade() -> None:
    # In place, not by `batch_alter_table`: a table made anew would take along what refers to it.
    op.drop_index("ix_sessions_provider_session", table_name="sessions")
    op.drop_column("sessions", "device")
    op.drop_column("sessions", "network")
    op.drop_column("sessions", "rechecking_since")
    op.drop_column("sessions", "checked_at")
    op.drop_column("sessions", "sealed_id_token")
    op.drop_column("sessions", "sealed_refresh_token")
    op.drop_column("sessions", "provider_session")
    op.drop_index("ix_people_directory_subject", table_name="people")
    op.drop_column("people", "scim_groups")
    op.drop_column("people", "directory_subject")
    op.drop_column("people", "deprovisioned_at")
    op.drop_index("ix_api_keys_proposal", table_name="api_keys")
    op.drop_column("api_keys", "proposal")
    op.drop_column("api_keys", "minted_by")
    op.drop_column("api_keys", "used_from")
    op.drop_column("api_keys", "networks")
    op.drop_index("ix_service_accounts_owner", table_name="service_accounts")
    op.drop_index("ix_service_accounts_client", table_name="service_accounts")
    op.drop_table("service_accounts")
    op.drop_index("ix_scim_members_user_id", table_name="scim_members")
    op.drop_table("scim_members")
    op.drop_table("role_mappings")
    op.drop_index("ix_notices_actor", table_name="notices")
    op.drop_table("notices")
    op.drop_index("ix_scim_users_external_id", table_name="scim_users")
    op.drop_table("scim_users")
    op.drop_index("ix_scim_groups_provider", table_name="scim_groups")
    op.drop_table("scim_groups")
    op.drop_index("ix_proposals_status", table_name="proposals")
    op.drop_table("proposals")
    op.drop_table("emergency_seals")
    op.drop_table("emergencies")
