"""What a check found, as programs and people read it: OpenAI's shape, with a sentence for each mark.

A day and a model is all that anybody is told of a picture. The record's id and the exact time are for whoever may
search the records; who asked and what for stands in the record alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gateway.prints.fingerprint import BITS, LEAST_QUALITY
from gateway.provenance.check import PROBLEMS, Checked, Known, Verdict
from gateway.provenance.credentials import Manifest, State

DETECTED: Final = "detected"
NOT_DETECTED: Final = "not_detected"

VALIDATION: Final[Mapping[State, str]] = {
    State.TRUSTED: "trusted",
    State.UNTRUSTED: "valid",
    State.EXPIRED: "invalid",
    State.INVALID: "invalid",
    State.ABSENT: "not_present",
}
"""Our states in OpenAI's four words, whose `valid` says that it holds, not who signed. `state` beside it is exact."""

CREDENTIALS: Final[Mapping[State, str]] = {
    State.TRUSTED: "The file’s statement is about exactly these pixels, and its signer is trusted here.",
    State.UNTRUSTED: "The file’s statement holds, but nobody that we know signed it. Anybody can write one.",
    State.EXPIRED: "The file’s statement belongs to this picture, but its certificate has ended since.",
    State.INVALID: "The file’s statement does not hold: the picture or the statement was changed, or the file is torn.",
    State.ABSENT: "The file has no statement. Saving again, screenshots and most upload forms remove it.",
}
UNSEEN: Final = "The picture could not be looked at, so this mark was not looked for."


def answer(checked: Checked, created: datetime, *, is_auditor: bool) -> dict[str, Any]:
    """The whole answer. `is_auditor`: whoever asks may search the records."""
    return {
        "object": "content_provenance_check",
        "created_at": int(created.timestamp()),
        "verdict": checked.verdict.value,
        "message": _message(checked, is_auditor),
        "problem": checked.problem or None,
        "file": {
            "sha256": checked.sha256,
            "bytes": checked.size_bytes,
            "media_type": checked.media_type or None,
            "width": checked.width or None,
            "height": checked.height or None,
        },
        "results": [
            _credentials(checked, is_auditor),
            _watermark(checked, is_auditor),
            _fingerprint(checked, is_auditor),
        ],
    }


def records_of(checked: Checked) -> tuple[str, ...]:
    """The ids of all records that were found, each once."""
    found = (*checked.by_manifest, *checked.by_watermark, *checked.by_fingerprint)
    return tuple(dict.fromkeys(known.record_id for known in found))


def _credentials(checked: Checked, is_auditor: bool) -> dict[str, Any]:
    manifest = checked.manifest or Manifest(state=State.ABSENT)
    is_ours = manifest.state is State.TRUSTED
    told = _told("c2pa", checked.by_manifest, is_auditor, is_detected=is_ours, message=CREDENTIALS[manifest.state])
    # The words of a manifest that nobody we know signed are anybody's: not one of them is passed on.
    return told | {
        "validation_state": VALIDATION[manifest.state],
        "state": manifest.state.value,
        "issuer": (manifest.signer or None) if is_ours else None,
        "model": told["model"] or ((manifest.model or None) if is_ours else None),
    }


def _watermark(checked: Checked, is_auditor: bool) -> dict[str, Any]:
    if checked.watermark is None:
        is_seen = checked.fingerprint is not None
        message = "None was found. Strong changes remove it, and small pictures have none." if is_seen else UNSEEN
        return _told("watermark", (), is_auditor, is_detected=False, message=message)
    message = "Ours was read from the pixels."
    if not checked.by_watermark and checked.problem != "lookup":
        message += " The picture that it stands for is not remembered any more."
    return _told("watermark", checked.by_watermark, is_auditor, is_detected=True, message=message) | {
        "confidence": round(checked.watermark.confidence, 3)
    }


def _fingerprint(checked: Checked, is_auditor: bool) -> dict[str, Any]:
    found = checked.by_fingerprint
    if found:
        message = f"{BITS - found[0].distance} of {BITS} bits are those of a picture made here. A likeness is no proof."
    elif checked.fingerprint is None:
        message = UNSEEN
    elif checked.fingerprint.quality < LEAST_QUALITY:
        message = "There is too little in the picture to compare it with others."
    else:
        message = "It looks like no picture that is remembered here."
    told = _told("fingerprint", found, is_auditor, is_detected=bool(found), message=message)
    return told | {"distance": found[0].distance if found else None}


def _told(kind: str, found: Sequence[Known], is_auditor: bool, *, is_detected: bool, message: str) -> dict[str, Any]:
    pictures = list(dict.fromkeys((_when(known, is_auditor), known.model) for known in found))
    told: dict[str, Any] = {
        "type": kind,
        "outcome": DETECTED if is_detected else NOT_DETECTED,
        "generated_at": pictures[0][0] if pictures else None,
        "model": pictures[0][1] if pictures else None,
        "message": message,
        "pictures": [{"generated_at": when, "model": model} for when, model in pictures],
    }
    if is_auditor:
        told["record_ids"] = list(dict.fromkeys(known.record_id for known in found))
    return told


def _when(known: Known, is_auditor: bool) -> str:
    """RFC 3339: the date for everybody, the time too for whoever may see it in the records anyway."""
    created = known.created.astimezone(UTC)
    return f"{created:%Y-%m-%dT%H:%M:%SZ}" if is_auditor else f"{created:%Y-%m-%d}"


def _message(checked: Checked, is_auditor: bool) -> str:
    more = "Its record is named below." if is_auditor else "Ask an auditor for more."
    match checked.verdict:
        case Verdict.MADE_HERE if checked.by_manifest:
            said = f"Made here on {_origin(checked.by_manifest)}, and not changed since. {more}"
        case Verdict.MADE_HERE:
            said = f"Made here on {_origin(checked.by_watermark)}, and saved again or changed since. {more}"
        case Verdict.LOOKS_LIKE_OURS:
            said = f"It looks like a picture made here on {_origin(checked.by_fingerprint)}. That is no proof. {more}"
        case Verdict.GENERATED_ELSEWHERE:
            said = "Its statement says that an algorithm made it, and no record of ours knows it."
        case Verdict.UNREADABLE:
            return f"Nothing of ours was found, and not everything could be looked at: {PROBLEMS[checked.problem]}."
        case Verdict.UNKNOWN if checked.watermark is not None:
            said = "It has our watermark, but what that stands for is not remembered any more."
        case _:
            said = "Nothing of ours was found. That is no proof: marks can be lost, and other makers leave none."
    return said if not checked.problem else f"{said} But {PROBLEMS[checked.problem]}."


def _origin(found: Sequence[Known]) -> str:
    return f"{found[0].created.astimezone(UTC):%-d %B %Y} by {found[0].model}"
