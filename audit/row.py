"""A record as it is stored, and the leaf that binds it into the tree.

::

    envelope_commitment = HMAC-SHA-256(envelope_salt, envelope fields)
    index_commitment    = HMAC-SHA-256(index_salt, sorted blind tokens)
    leaf                = SHA-256(0x00 || (version, seq, tenant, day, SHA-256(subject ciphertext),
                                           SHA-256(content ciphertext), envelope_commitment, index_commitment))

Ciphertexts, tokens and the index salt can be destroyed later while the digest and the commitment stay: every proof
still verifies, and nobody can confirm a guess of what was there. The salts are what stops guessing: actions, effects
and actors are few, so an unsalted hash of them could be looked up.

``authenticator`` is a MAC of the leaf under a key of the day. The tree's checkpoints protect a record from the moment
they cover it; the authenticator covers the moments before, so that the log never signs a row that it did not write.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from audit.canonical import encode, encode_plain
from audit.record import Envelope, Phase, from_micros
from audit.seal import TOKEN_BYTES, SealContext

SCHEMA: Final = 1
LEAF_VERSION: Final = 1
SALT_BYTES: Final = 16
AUTHENTICATOR_BYTES: Final = 16
# Encodings can be joined: these are the first fields of what they label, made once.
_LEAF_V1: Final = encode("imprimatur/audit/leaf", LEAF_VERSION)
_ENVELOPE_V1: Final = encode("imprimatur/audit/envelope/v1")
_INDEX_V1: Final = encode("imprimatur/audit/index/v1")


class Row(NamedTuple):
    """One record as columns. Times are Unix microseconds; ids are 16 raw bytes; reasons are joined by spaces."""

    seq: int
    head_seq: int
    event_id: bytes
    phase: str
    tenant: str
    day: str
    class_: str
    recorded_at: int
    action: str
    effect: str
    reasons: str
    about: str
    bundle_revision: str
    model: str
    model_digest: str
    credits: int
    latency_bucket_ms: int | None
    schema: int
    key_id: str
    node: str
    boot: str
    counter: int
    envelope_salt: bytes
    subject_digest: bytes
    content_digest: bytes
    index_commitment: bytes
    leaf: bytes
    index_salt: bytes | None  # None once purged, like the three below
    terms: bytes | None
    authenticator: bytes | None
    subject: bytes | None
    content: bytes | None

    @property
    def context(self) -> SealContext:
        day = date.fromisoformat(self.day)
        return SealContext(self.tenant, day, self.event_id, self.phase, self.class_, self.schema)

    def tokens(self) -> tuple[bytes, ...]:
        """The blind tokens; none once purged."""
        terms = self.terms or b""
        return tuple(terms[at : at + TOKEN_BYTES] for at in range(0, len(terms), TOKEN_BYTES))

    def envelope(self) -> Envelope:
        """The plain part, for reading."""
        return Envelope(
            seq=self.seq,
            head_seq=self.head_seq,
            event_id=str(uuid.UUID(bytes=self.event_id)),
            phase=Phase(self.phase),
            tenant=self.tenant,
            day=date.fromisoformat(self.day),
            class_=self.class_,
            recorded_at=from_micros(self.recorded_at),
            action=self.action,
            effect=self.effect,
            reasons=tuple(self.reasons.split()),
            about=self.about,
            bundle_revision=self.bundle_revision,
            model=self.model,
            model_digest=self.model_digest,
            credits=self.credits,
            latency_bucket_ms=self.latency_bucket_ms,
            schema=self.schema,
            key_id=self.key_id,
            node=self.node,
            boot=self.boot,
            counter=self.counter,
        )


class Plain(NamedTuple):
    """The columns of a row that need no sealing, in its order."""

    seq: int
    head_seq: int
    event_id: bytes
    phase: str
    tenant: str
    day: str
    class_: str
    recorded_at: int
    action: str
    effect: str
    reasons: str
    about: str
    bundle_revision: str
    model: str
    model_digest: str
    credits: int
    latency_bucket_ms: int | None
    schema: int
    key_id: str
    node: str
    boot: str
    counter: int


COLUMNS: Final = Row._fields
_TENANT, _DAY, _CLASS, _ACTION, _COUNTER = (
    COLUMNS.index(name) for name in ("tenant", "day", "class_", "action", "counter")
)


def envelope_commitment(row: Row) -> bytes:
    """Commitment to the plain fields."""
    return commit_envelope(row.envelope_salt, row)


def commit_envelope(salt: bytes, plain: Sequence[Any]) -> bytes:
    """The same for ``Plain`` columns: all but ``seq``, tenant and day are bound, which the leaf names itself."""
    fields = (
        _ENVELOPE_V1,
        encode(*plain[1:_TENANT], *plain[_CLASS:_ACTION]),
        encode_plain(*plain[_ACTION:_COUNTER]),
        encode(plain[_COUNTER]),
    )
    return hmac.digest(salt, b"".join(fields), "sha256")


def index_commitment(salt: bytes, terms: bytes) -> bytes:
    """Commitment to the blind tokens of a record (sorted, joined)."""
    return hmac.digest(salt, _INDEX_V1 + encode(terms), "sha256")


def leaf_data(row: Row) -> bytes:
    """What the leaf hashes: enough to check a proof, and nothing that tells who or what."""
    return _leaf_data(row, row.subject_digest, row.content_digest, envelope_commitment(row), row.index_commitment)


def _leaf_data(plain: Sequence[Any], *bound: bytes) -> bytes:
    return b"".join((_LEAF_V1, encode(plain[0]), encode_plain(plain[_TENANT], plain[_DAY]), encode(*bound)))


def leaf_of(row: Row) -> bytes:
    """Leaf hash (RFC 6962, section 2.1) of a stored record."""
    return hashlib.sha256(b"\x00" + leaf_data(row)).digest()


def make_row(
    plain: Plain, salts: bytes, terms: bytes, subject: bytes, content: bytes, row_key: bytes | bytearray
) -> Row:
    """A whole row from its columns up to ``counter`` and its sealed parts: commitments, leaf and authenticator.

    ``salts`` are ``2 * SALT_BYTES`` fresh random bytes.
    """
    envelope_salt, index_salt = salts[:SALT_BYTES], salts[SALT_BYTES:]
    subject_digest, content_digest = hashlib.sha256(subject).digest(), hashlib.sha256(content).digest()
    index = index_commitment(index_salt, terms)
    bound = _leaf_data(plain, subject_digest, content_digest, commit_envelope(envelope_salt, plain), index)
    leaf = hashlib.sha256(b"\x00" + bound).digest()
    proofs = envelope_salt, subject_digest, content_digest, index, leaf
    return Row(*plain, *proofs, index_salt, terms, authenticator_of(row_key, leaf), subject, content)


def authenticator_of(row_key: bytes | bytearray, leaf: bytes) -> bytes:
    """MAC of a leaf under the day's row key."""
    return hmac.digest(row_key, leaf, "sha256")[:AUTHENTICATOR_BYTES]
