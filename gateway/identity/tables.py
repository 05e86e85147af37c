"""Tables of identity. No secret stands in any of them as it is: digests, MACs, and what is sealed under our own key."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from gateway.storage.schema import UtcDateTime, metadata

people = Table(
    "people",
    metadata,
    Column("id", String(255), primary_key=True, doc="ActorId: `<provider>|<sub>`"),
    Column("display_name", String(255), nullable=False),
    Column("email", String(320), nullable=False),
    Column("department", String(255), nullable=False),
    Column("groups", JSON, nullable=False, doc="The provider's groups, as of `groups_at`"),
    Column("groups_at", UtcDateTime, nullable=False, doc="When the provider last told us"),
    Column("status", String(10), nullable=False, default="active"),
    Column("epoch", Integer, nullable=False, default=1, doc="Revocation epoch: a session of an older one is over"),
    Column("revoked_at", UtcDateTime, nullable=True, doc="Access tokens issued before this are over"),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False, doc="Last sign-in"),
    Column("deprovisioned_at", UtcDateTime, nullable=True, doc="The provider's directory took them out (SCIM)"),
    Column("directory_subject", String(255), nullable=True, doc="The claim by which SCIM knows them, where not `sub`"),
    Column("scim_groups", JSON, nullable=False, default=list, server_default="[]", doc="Groups that SCIM put them in"),
    CheckConstraint("status in ('active', 'suspended')", name="status_known"),
    Index("ix_people_directory_subject", "directory_subject"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id_sha256", String(64), primary_key=True, doc="Of the random id; the id itself is only in the browser"),
    Column("actor", String(255), ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, doc="Absolute end; a step-up does not move it"),
    Column("mfa_at", UtcDateTime, nullable=True),
    Column("amr", JSON, nullable=False),
    Column("acr", String(255), nullable=False),
    Column("provider_session", String(255), nullable=False, server_default="", doc="The ID token's `sid`"),
    Column("sealed_refresh_token", LargeBinary, nullable=True),
    Column("sealed_id_token", LargeBinary, nullable=True, doc="For `id_token_hint` when signing out"),
    Column("checked_at", UtcDateTime, nullable=True, doc="When the provider last confirmed the person"),
    Column("rechecking_since", UtcDateTime, nullable=True, doc="A gateway is asking it now: only one may at a time"),
    Column("network", String(64), nullable=False, server_default="", doc="Where it was started from"),
    Column("device", String(120), nullable=False, server_default="", doc="Browser and system, in words"),
    Index("ix_sessions_actor", "actor"),
    Index("ix_sessions_provider_session", "provider_session"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(12), primary_key=True, doc="The part of the key that names it; public"),
    Column("actor", String(255), ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(80), nullable=False),
    Column("mac", String(64), nullable=False, doc="HMAC-SHA-256 of the whole key under the pepper"),
    Column("scopes", JSON, nullable=False, doc="Permissions; an empty list permits nothing"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime, nullable=True),
    Column("used_at", UtcDateTime, nullable=True, doc="Last use, to the minute"),
    Column("mfa_at", UtcDateTime, nullable=True, doc="The owner's evidence when the key was minted"),
    Column("amr", JSON, nullable=False),
    Column("acr", String(255), nullable=False),
    Column("networks", JSON, nullable=False, server_default="[]", doc="CIDRs it may be used from; empty = any"),
    Column("used_from", String(64), nullable=False, server_default="", doc="Address of the last use"),
    Column("minted_by", String(255), nullable=True, doc="Who asked for a service's key; null: the owner"),
    Column("proposal", String(36), nullable=True, doc="What two people agreed to, for a service's key: it makes one"),
    Index("ix_api_keys_actor", "actor"),
    Index("ix_api_keys_proposal", "proposal", unique=True),
)

service_accounts = Table(
    "service_accounts",
    metadata,
    Column("id", String(255), ForeignKey("people.id", ondelete="CASCADE"), primary_key=True, doc="`service|<name>`"),
    Column("description", String(500), nullable=False),
    Column("owner", String(255), ForeignKey("people.id"), nullable=False, doc="The person who answers for it"),
    Column("scopes", JSON, nullable=False, doc="The most that its keys and tokens may carry"),
    Column("networks", JSON, nullable=False, doc="CIDRs it may come from; empty = any"),
    Column("client_provider", String(31), nullable=False, server_default="", doc="Whose client it is, if any"),
    Column("client_subject", String(220), nullable=False, server_default="", doc="`sub` of that client's tokens"),
    Column("created_by", String(255), nullable=False),
    Column("approved_by", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_service_accounts_owner", "owner"),
    Index("ix_service_accounts_client", "client_provider", "client_subject"),
)
"""A service is a row of `people` too, with its status and epoch; it has no sign-in, but an owner."""

proposals = Table(
    "proposals",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("payload", JSON, nullable=False, doc="What would be done; no secret"),
    Column("digest", String(64), nullable=False, doc="SHA-256 of kind and payload: what the second person agrees to"),
    Column("note", String(500), nullable=False, doc="Why, in the words of who proposed it"),
    Column("proposed_by", String(255), nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("status", String(10), nullable=False),
    Column("decided_by", String(255), nullable=True),
    Column("decided_at", UtcDateTime, nullable=True),
    CheckConstraint("status in ('open', 'approved', 'rejected', 'withdrawn')", name="status_known"),
    CheckConstraint("decided_by is null or status = 'withdrawn' or decided_by <> proposed_by", name="two_people"),
    Index("ix_proposals_status", "status", "kind"),
)

role_mappings = Table(
    "role_mappings",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("mapping", JSON, nullable=False, doc="Group -> roles"),
    Column("proposal", String(36), ForeignKey("proposals.id"), nullable=True, doc="Null: one person narrowed it"),
    Column("activated_by", String(255), nullable=False),
    Column("activated_at", UtcDateTime, nullable=False),
)
"""The newest version is in force; without one, the settings' mapping is."""

emergency_seals = Table(
    "emergency_seals",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(255), nullable=False, doc="Who keeps the envelope, in words"),
    Column("code_mac", String(64), nullable=False, doc="HMAC-SHA-256 of the sealed code under the pepper"),
    Column("sealed_totp", LargeBinary, nullable=False),
    Column("last_step", Integer, nullable=False, server_default="0", doc="TOTP step last used: each works once"),
    Column("sealed_by", String(255), nullable=False),
    Column("sealed_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=True, doc="In the audit log since; before that it opens nothing"),
    Column("tried_at", UtcDateTime, nullable=True, doc="Last drill or use"),
    Column("spent_at", UtcDateTime, nullable=True, doc="Opened: must be sealed anew"),
)

emergencies = Table(
    "emergencies",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("reason", String(500), nullable=False),
    Column("asked_by", String(40), nullable=False, doc="Name of the first seal"),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("agreed_by", String(40), nullable=True, doc="Name of the second seal"),
    Column("opened_at", UtcDateTime, nullable=True),
    Column("ends_at", UtcDateTime, nullable=True),
    Column("closed_at", UtcDateTime, nullable=True, doc="Its end is in the audit log since"),
    Column("is_drill", Boolean, nullable=False),
    CheckConstraint("agreed_by is null or agreed_by <> asked_by", name="two_seals"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("actor", String(255), ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("facts", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=True),
    Index("ix_notices_actor", "actor", "at"),
)
"""What a person is told about their own account."""

scim_users = Table(
    "scim_users",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("provider", String(31), nullable=False),
    Column(
        "user_name", String(255), nullable=False, doc="As compared: unique without regard to case (RFC 7643, 4.1.1)"
    ),
    Column("external_id", String(255), nullable=True),
    Column("subject", String(255), nullable=True, doc="Value of the attribute that `subject_from` names"),
    Column("actor", String(255), nullable=True, doc="ActorId: from `subject`, or at their sign-in where not `sub`"),
    Column("is_active", Boolean, nullable=False),
    Column("resource", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    UniqueConstraint("provider", "user_name"),
    UniqueConstraint("provider", "subject", name="uq_scim_users_subject"),
    UniqueConstraint("actor"),
    Index("ix_scim_users_external_id", "provider", "external_id"),
)

scim_groups = Table(
    "scim_groups",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("provider", String(31), nullable=False),
    Column(
        "display_name",
        String(255),
        nullable=False,
        doc="As compared: without regard to case; `resource` has it as sent",
    ),
    Column("external_id", String(255), nullable=True),
    Column("resource", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    Index("ix_scim_groups_provider", "provider", "display_name"),
)

scim_members = Table(
    "scim_members",
    metadata,
    Column("group_id", String(36), ForeignKey("scim_groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(36), ForeignKey("scim_users.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_scim_members_user_id", "user_id"),
)
