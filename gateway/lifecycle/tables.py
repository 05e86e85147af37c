"""The tables of the lifecycle. Nothing but drafts' states is ever changed; nothing at all is deleted."""

from __future__ import annotations

from sqlalchemy import JSON, CheckConstraint, Column, Float, ForeignKey, Integer, LargeBinary, String, Table, Text

from gateway.storage.schema import UtcDateTime, metadata

contents = Table(
    "policy_contents",
    metadata,
    # One file's bytes, by their own SHA-256: a revision that changes one file of a hundred stores one.
    Column("sha256", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

revisions = Table(
    "policy_revisions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("files", JSON, nullable=False),  # path -> sha256 of its content
    Column("parent", String(64), ForeignKey("policy_revisions.digest"), nullable=True),
    Column("author", String(255), nullable=False),
    Column("message", String(500), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("approved_by", String(255), nullable=True),
    Column("approved_at", UtcDateTime, nullable=True),
    # The two people rule where no code can forget it.
    CheckConstraint("approved_by is null or approved_by <> author", name="two_people"),
)

activations = Table(
    "policy_activations",
    metadata,
    # The greatest number is in force. Two that want to be next meet at this key, and one of them loses.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), ForeignKey("policy_revisions.digest"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("proposal", String(36), nullable=True),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("returns_to", String(64), ForeignKey("policy_revisions.digest"), nullable=True),
    CheckConstraint("(expires_at is null) = (returns_to is null)", name="expiry_returns"),
)

rollouts = Table(
    "policy_rollouts",
    metadata,
    # The greatest number says who is decided by other rules than everybody, if anybody is. As above, two that want to
    # be next meet at this key.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("rollout", String(36), nullable=False),  # names it, and chooses its people
    Column("digest", String(64), ForeignKey("policy_revisions.digest"), nullable=False),
    # The line in force that it stands beside, or the one that ended it: when others come into force, it is over.
    Column("activation", Integer, ForeignKey("policy_activations.number"), nullable=False),
    Column("groups", JSON, nullable=False),
    Column("percent", Float, nullable=False),
    Column("steps", JSON, nullable=False),  # what it may be widened to without another proposal
    Column("approved_by", String(255), nullable=False),
    Column("proposal", String(36), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    CheckConstraint("percent >= 0 and percent <= 100", name="percent"),
)

drafts = Table(
    "policy_drafts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_by", String(255), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
)

draft_versions = Table(
    "policy_draft_versions",
    metadata,
    Column("draft", String(36), ForeignKey("policy_drafts.id"), primary_key=True),
    # Two that save upon the same version meet at this key.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("base", String(64), ForeignKey("policy_revisions.digest"), nullable=False),
    Column("changes", JSON, nullable=False),  # path -> sha256, or null for a file that goes
    Column("digest", String(64), nullable=False),
    Column("saved_by", String(255), nullable=False),
    Column("saved_at", UtcDateTime, nullable=False),
    Column("note", String(500), nullable=False),
)

draft_comments = Table(
    "policy_draft_comments",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("draft", String(36), ForeignKey("policy_drafts.id"), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("path", String(500), nullable=False),
    Column("line", Integer, nullable=False),
    Column("author", String(255), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

checks = Table(
    "policy_checks",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("checker", String(100), primary_key=True),  # another version or another floor may find otherwise
    Column("passed", Integer, nullable=False),
    Column("report", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
