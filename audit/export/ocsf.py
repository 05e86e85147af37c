"""Records as OCSF events: class 6003, API Activity, of schema 1.9.0 (https://schema.ocsf.io/1.9.0/classes/api_activity).

Profiles: ``ai_operation`` (which model was asked), ``security_control`` (what the gate decided) and
``record_integrity`` (the event's own fingerprint). The event is the gateway's call to the model on a person's behalf:
the source endpoint is the gateway's node, the actor's application is the gateway, the actor's user is the person, if
that may be told. Where a person's device was stays sealed in the record's content, so no event names it.

The fingerprint in ``attestation_list`` is SHA-256 over the event in JCS (RFC 8785), without the fingerprint itself: it
tells whether the event was changed on its way, not that the log wrote it. That is told by ``unmapped.imprimatur``: the
leaf and its index, whose inclusion proof the log gives out (``python -m audit proof``).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from audit.canonical import JSON
from audit.export.record import ExportRecord
from audit.export.text import milliseconds, whole_characters
from audit.record import Effect, Envelope, Phase, Subject

OCSF_VERSION: Final = "1.9.0"
CLASS_UID: Final = 6003
CATEGORY_UID: Final = 6
PROFILES: Final = ("ai_operation", "record_integrity", "security_control")
PRODUCT: Final = "Imprimatur"

_OTHER: Final = 99
_SHA_256: Final = 3  # fingerprint.algorithm_id
_HUMAN: Final = 1  # message_context.ai_role_id: "User", who initiates a request
_ACTIVITY_NAMES: Final = {1: "Create", 2: "Read", 3: "Update", 4: "Delete"}
# The last word of an action says which of the four it is; any other word is the activity's own name ("Other").
_ACTIVITIES: Final = {
    **dict.fromkeys(("generate", "create", "vary", "upload", "request", "place", "mint", "draft", "add"), 1),
    **dict.fromkeys(("read", "show", "search", "open", "export", "follow", "list", "view", "download"), 2),
    **dict.fromkeys(("edit", "update", "change", "approve", "reject", "activate", "rewrap", "close", "release"), 3),
    **dict.fromkeys(("delete", "purge", "erase", "prune", "revoke", "remove"), 4),
}
# effect: (severity_id, status_id, action_id, disposition_id), all of them closed lists of the schema.
_OUTCOMES: Final = {
    "": (1, 0, 0, 0),
    Effect.ALLOW: (1, 1, 1, 1),
    Effect.MASK: (2, 1, 4, 11),
    Effect.REVIEW: (2, _OTHER, 3, 14),
    Effect.DENY: (3, 2, 2, 2),
    Effect.CANCELLED: (1, _OTHER, 0, 16),
    Effect.FAILED: (3, 2, 0, 27),
    Effect.UNKNOWN: (3, 0, 0, 0),
}
_SEVERITIES: Final = {1: "Informational", 2: "Low", 3: "Medium"}
_STATUSES: Final = {0: "Unknown", 1: "Success", 2: "Failure"}
_ACTIONS: Final = {0: "Unknown", 1: "Allowed", 2: "Denied", 3: "Observed", 4: "Modified"}
_DISPOSITIONS: Final = {
    0: "Unknown",
    1: "Allowed",
    2: "Blocked",
    11: "Corrected",
    14: "Delayed",
    16: "No Action",
    27: "Error",
}


def ocsf_event(record: ExportRecord) -> dict[str, JSON]:
    """The event of one record. Equal records give equal events, byte for byte once written: no time of sending is in
    it. (Sent again later, a record may name a later checkpoint, or a person whose keys are destroyed no more.)"""
    envelope = record.envelope
    activity_id = _ACTIVITIES.get(envelope.action.rpartition(":")[2], _OTHER)
    severity_id, status_id, action_id, disposition_id = _OUTCOMES[envelope.effect]
    event: dict[str, Any] = {
        "activity_id": activity_id,
        "activity_name": _ACTIVITY_NAMES.get(activity_id, envelope.action),
        "category_uid": CATEGORY_UID,
        "category_name": "Application Activity",
        "class_uid": CLASS_UID,
        "class_name": "API Activity",
        "type_uid": CLASS_UID * 100 + activity_id,
        "time": milliseconds(envelope.recorded_at),
        "severity_id": severity_id,
        "severity": _SEVERITIES[severity_id],
        "status_id": status_id,
        "status": _STATUSES.get(status_id, envelope.effect),
        "action_id": action_id,
        "action": _ACTIONS[action_id],
        "disposition_id": disposition_id,
        "disposition": _DISPOSITIONS[disposition_id],
        "message": _message(envelope),
        "metadata": _metadata(record),
        "actor": _actor(record.subject),
        "api": {"operation": envelope.action, "service": {"name": PRODUCT}},
        "src_endpoint": {"name": envelope.node, "svc_name": PRODUCT},
        "unmapped": {"imprimatur": _unmapped(record)},
    }
    if envelope.reasons:
        event["status_detail"] = " ".join(envelope.reasons)
    if envelope.bundle_revision:
        event["policy"] = {"uid": envelope.bundle_revision, "name": "policy bundle", "is_applied": True}
    if envelope.model:
        event["ai_model"] = _model(envelope)
        event["message_context"] = {"uid": envelope.event_id, "ai_role_id": _HUMAN, "service": {"name": PRODUCT}}
    if envelope.about:
        event["resources"] = [{"uid": envelope.about, "type": "audit record"}]
    # Attested last: everything above is under the fingerprint, and so are the names of the chain and its authority.
    attestation: dict[str, Any] = {"chain_uid": record.origin, "authority_uid": record.origin, "uid": record.uid}
    event["attestation_list"] = [attestation]
    attestation["fingerprint"] = {"algorithm_id": _SHA_256, "algorithm": "SHA-256", "value": fingerprint_of(event)}
    return event


def fingerprint_of(event: dict[str, Any]) -> str:
    """SHA-256, in hex, of an event's canonical form without the fingerprints and signatures of its attestations."""
    bare = [
        {name: value for name, value in attestation.items() if name not in ("fingerprint", "signatures")}
        for attestation in event["attestation_list"]
    ]
    return hashlib.sha256(canonical({**event, "attestation_list": bare})).hexdigest()


def canonical(event: dict[str, Any]) -> bytes:
    """JCS (RFC 8785). Its rules for numbers and for sorting by UTF-16 are not needed: these events hold whole numbers
    below 2^53 only, and their names are ASCII."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _message(envelope: Envelope) -> str:
    what = f"{envelope.action} {envelope.effect or 'begun'}"
    return f"{what}: {' '.join(envelope.reasons)}" if envelope.reasons else what


def _metadata(record: ExportRecord) -> dict[str, Any]:
    envelope = record.envelope
    return {
        "version": OCSF_VERSION,
        "profiles": list(PROFILES),
        "product": {"name": PRODUCT, "vendor_name": PRODUCT},
        "uid": record.uid,
        "correlation_uid": envelope.event_id,  # joins the halves of a request
        "sequence": envelope.seq,
        "log_name": record.origin,
        "log_provider": PRODUCT,
        "log_version": str(envelope.schema),
        "event_code": envelope.action,
        "tenant_uid": envelope.tenant,
        "labels": [f"phase:{envelope.phase.value}", f"class:{envelope.class_}"],
    }


def _actor(subject: Subject | None) -> dict[str, Any]:
    actor: dict[str, Any] = {"app_name": PRODUCT}
    if subject is None:  # no invented user: a rule that counts by user must not see everybody as one person
        return actor
    user: dict[str, Any] = {"uid": whole_characters(subject.actor), "name": whole_characters(subject.actor)}
    if subject.display:
        user["display_name"] = whole_characters(subject.display)
    if subject.groups:
        user["groups"] = [{"name": whole_characters(group)} for group in subject.groups]
    if subject.department:
        department = whole_characters(subject.department)
        user["org"] = {"name": department, "ou_name": department}
    return {**actor, "user": user}


def _model(envelope: Envelope) -> dict[str, Any]:
    model = {"name": envelope.model, "ai_provider": "Internal"}
    return {**model, "uid": envelope.model_digest} if envelope.model_digest else model


def _unmapped(record: ExportRecord) -> dict[str, Any]:
    envelope = record.envelope
    return {
        "phase": envelope.phase.value,
        "class": envelope.class_,
        "day": envelope.day.isoformat(),
        "effect": envelope.effect,
        "reasons": list(envelope.reasons),
        "credits": envelope.credits,
        "latency_bucket_ms": envelope.latency_bucket_ms,
        "head_sequence": envelope.head_seq if envelope.phase is Phase.OUTCOME else envelope.seq,
        "boot": envelope.boot,
        "counter": envelope.counter,
        "leaf_index": envelope.seq,
        "leaf_hash": record.leaf.hex(),
        "checkpoint_size": record.covered_by_size,
    }
