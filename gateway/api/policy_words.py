"""Revisions, drafts and what is in force, as programs see them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gateway.lifecycle.content import Difference
from gateway.lifecycle.drafts import Comment, Draft, Version
from gateway.lifecycle.rollouts import Step
from gateway.lifecycle.store import Activation, Revision


def revision_json(found: Revision) -> dict[str, Any]:
    """A revision as programs see it."""
    return {
        "object": "policy.revision",
        "id": found.digest,
        "parent": found.parent,
        "author": found.author,
        "message": found.message,
        "created_at": found.created_at.isoformat(),
        "approved_by": found.approved_by,
        "approved_at": None if found.approved_at is None else found.approved_at.isoformat(),
    }


def activation_json(found: Activation) -> dict[str, Any]:
    """What came into force, as programs see it."""
    return {
        "object": "policy.activation",
        "number": found.number,
        "revision": found.digest,
        "kind": found.kind.value,
        "actor": found.actor,
        "reason": found.reason,
        "at": found.at.isoformat(),
        "proposal": found.proposal,
        "expires_at": None if found.expires_at is None else found.expires_at.isoformat(),
        "returns_to": found.returns_to,
    }


def step_json(found: Step) -> dict[str, Any]:
    """What was done to a rollout, as programs see it."""
    return {
        "object": "policy.rollout.step",
        "number": found.number,
        "kind": found.kind.value,
        "rollout": found.rollout,
        "revision": found.digest,
        "activation": found.activation,
        **found.stage.as_json(),
        "may_finish": found.stage.may_finish,
        "approved_by": found.approved_by,
        "proposal": found.proposal,
        "actor": found.actor,
        "reason": found.reason,
        "at": found.at.isoformat(),
    }


def draft_json(found: Draft) -> dict[str, Any]:
    """A draft as programs see it."""
    return {
        "object": "policy.draft",
        "id": found.id,
        "title": found.title,
        "state": found.state,
        "opened_by": found.opened_by,
        "opened_at": found.opened_at.isoformat(),
        "version": version_json(found.version),
    }


def version_json(found: Version) -> dict[str, Any]:
    """A version of a draft as programs see it."""
    return {
        "object": "policy.draft.version",
        "number": found.number,
        "base": found.base,
        "revision": found.digest,
        "files": dict(sorted(found.changes.items())),
        "saved_by": found.saved_by,
        "saved_at": found.saved_at.isoformat(),
        "note": found.note,
    }


def comment_json(found: Comment) -> dict[str, Any]:
    """A comment as programs see it."""
    return {"object": "policy.draft.comment", **asdict(found), "at": found.at.isoformat()}


def difference_json(found: Difference) -> dict[str, Any]:
    """One file's difference as programs see it."""
    return {"object": "policy.difference", **asdict(found)}
