"""Content Credentials (C2PA) on pictures: a signed statement in the file of what made it, and whether one holds.

The statement: created, by a trained algorithm (IPTC's `trainedAlgorithmicMedia`; what Article 50(2) of the EU AI Act
asks to be told), by which model and under which revision of the rules, and the record's id. No person, no prompt, no
thumbnail. Nothing here goes to the network: no time stamping, no fetched manifest, no revocation list.

A re-save strips it, so signing is the last thing that happens to a picture; watermark and fingerprint stay.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import c2pa

from gateway import __version__
from gateway.provenance.certificates import USAGES, SigningCertificate, newest

MEDIA_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp"})
TRAINED_ALGORITHM: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
GENERATOR: Final = "Imprimatur"
RECORD_LABEL: Final = "org.imprimatur.record"
"""Our own assertion (names in reverse domain order, as the C2PA specification asks)."""
MAX_WORD: Final = 200
"""Characters of one value taken over from a foreign manifest."""
_ENDED: Final = "signingCredential.expired"
_STRANGE: Final = "signingCredential.untrusted"

_OFFLINE: Final[dict[str, Any]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
    "trust": {"trust_config": "\n".join(sorted(usage.dotted_string for usage in USAGES))},
    "core": {"allowed_network_hosts": []},
}


class SigningFailed(Exception):
    """The picture was not signed. Says what failed, never what was in it."""


class State(StrEnum):
    """What a manifest in a file is worth."""

    ABSENT = "absent"
    """There is none, or nothing that can be read as one."""
    TRUSTED = "trusted"
    """It holds, and its signer's chain ends at a root that we trust."""
    UNTRUSTED = "untrusted"
    """It holds; who signed it is nobody we know."""
    EXPIRED = "expired"
    """It belongs to this picture, but its certificate has ended, and nothing shows that it was made before."""
    INVALID = "invalid"
    """It does not belong to this picture, was changed, or its signature is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is said of a picture."""

    record_id: str
    model: str
    policy_revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the file says of itself. Words of a manifest that is not trusted are anybody's."""

    state: State
    problems: tuple[str, ...] = ()
    """Status codes of the C2PA specification, at most ten."""
    generator: str = ""
    signer: str = ""
    """Whom the certificate was given to."""
    is_generated: bool = False
    """Whether it says that a trained algorithm made the picture."""
    record_id: str = ""
    model: str = ""
    policy_revision: str = ""


class Signer:
    """Signs pictures with the newest valid certificate. May be used by many threads; takes a few milliseconds each."""

    def __init__(self, certificates: Iterable[SigningCertificate], clock: Callable[[], datetime]) -> None:
        """Raises CertificateRefused when none is valid now: better at the start than at the first picture."""
        self._certificates = tuple(certificates)
        self._clock = clock
        self.current()

    def __repr__(self) -> str:
        return "Signer()"

    def current(self) -> SigningCertificate:
        """The certificate that signs now. Raises CertificateRefused when none is valid."""
        return newest(self._certificates, self._clock())

    def sign(self, data: bytes, media_type: str, statement: Statement) -> bytes:
        """The same picture with the statement in it; its pixels stay as they are.

        Raises SigningFailed, ValueError for another media type, and CertificateRefused when no certificate is valid.
        """
        if media_type not in MEDIA_TYPES:
            raise ValueError(f"expected a PNG, JPEG or WebP picture, got {media_type}")
        certificate = self.current()
        out = io.BytesIO()
        try:
            with (
                c2pa.Context(c2pa.Settings.from_dict(_OFFLINE)) as context,
                c2pa.Signer.from_info(
                    c2pa.C2paSignerInfo(certificate.algorithm.lower(), certificate.chain, certificate.key, None)
                ) as signer,
                c2pa.Builder(json.dumps(_definition(statement, media_type)), context) as builder,
            ):
                builder.sign(signer, media_type, io.BytesIO(data), out)
        except c2pa.C2paError as error:
            raise SigningFailed(f"Content Credentials could not be written: {type(error).__name__}") from None
        return out.getvalue()


class Verifier:
    """Reads manifests and says what they are worth. `anchors`: roots in PEM; without any nothing is trusted."""

    def __init__(self, anchors: bytes = b"") -> None:
        self._settings = {
            **_OFFLINE,
            "trust": {**_OFFLINE["trust"], **({"user_anchors": anchors.decode("ascii")} if anchors else {})},
            "verify": {**_OFFLINE["verify"], "verify_trust": True, "verify_after_reading": True},
        }
        c2pa.Settings.from_dict(self._settings).close()  # what can't be read shall fail here

    def read(self, data: bytes, media_type: str) -> Manifest:
        """Never raises for what is in `data`. Parses it natively: hostile files belong into a process of their own."""
        try:
            with (
                c2pa.Context(c2pa.Settings.from_dict(self._settings)) as context,
                c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader,
            ):
                told = json.loads(reader.json())
        except c2pa.C2paError.ManifestNotFound:
            return Manifest(state=State.ABSENT)
        except (c2pa.C2paError, ValueError, RecursionError):
            return Manifest(state=State.INVALID, problems=("unreadable",))
        return _manifest(told) if isinstance(told, dict) else Manifest(state=State.INVALID, problems=("unreadable",))


def _definition(statement: Statement, media_type: str) -> dict[str, Any]:
    agent = {"name": statement.model or "image model"}
    created = {"action": "c2pa.created", "digitalSourceType": TRAINED_ALGORITHM, "softwareAgent": agent}
    record = {
        "record_id": statement.record_id,
        "model": statement.model,
        "policy_revision": statement.policy_revision,
    }
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": __version__}],
        "format": media_type,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": RECORD_LABEL, "data": record, "kind": "Json"},
        ],
    }


def _manifest(told: dict[str, Any]) -> Manifest:
    """From the reader's own report, in which every value below the first level may be a stranger's."""
    codes = [_word(_dict(status).get("code")) for status in _list(told.get("validation_status"))]
    state = {"Trusted": State.TRUSTED, "Valid": State.UNTRUSTED}.get(str(told.get("validation_state")), State.INVALID)
    if _ENDED in codes and set(codes) <= {_ENDED, _STRANGE}:
        state = State.EXPIRED
    active = _dict(_dict(told.get("manifests")).get(_word(told.get("active_manifest"))))
    assertions = [_dict(assertion) for assertion in _list(active.get("assertions"))]
    actions = [
        _dict(action)
        for assertion in assertions
        if _word(assertion.get("label")).startswith("c2pa.actions")
        for action in _list(_dict(assertion.get("data")).get("actions"))
    ]
    records = (_dict(a.get("data")) for a in assertions if a.get("label") == RECORD_LABEL)
    record = next(records, {})
    generator = next((_dict(info) for info in _list(active.get("claim_generator_info"))), {})
    return Manifest(
        state=state,
        problems=tuple(dict.fromkeys(codes))[:10],
        generator=_word(generator.get("name")),
        signer=_word(_dict(active.get("signature_info")).get("issuer")),
        is_generated=any(action.get("digitalSourceType") == TRAINED_ALGORITHM for action in actions),
        record_id=_word(record.get("record_id")),
        model=_word(record.get("model")),
        policy_revision=_word(record.get("policy_revision")),
    )


def _word(value: object) -> str:
    return "".join(c for c in value[:MAX_WORD] if c.isprintable()) if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
