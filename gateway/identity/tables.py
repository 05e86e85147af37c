"""Tables of identity: people, their sessions and their API keys. No secret stands in any of them."""

from __future__ import annotations

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table

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
    CheckConstraint("status in ('active', 'suspended')", name="status_known"),
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
    Index("ix_sessions_actor", "actor"),
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
    Index("ix_api_keys_actor", "actor"),
)
