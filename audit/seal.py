"""Sealing: AES-256-GCM for the two secret parts of a record, blind tokens for what may be searched.

Each part of each record has its own key, derived from the day's data key: ``HMAC-SHA-256(DEK, (event id, phase,
part))``. The associated data repeats tenant, day, event id, phase, class, schema and part, so that a ciphertext moved
to another record, tenant, phase or column does not open.

Nonces are random and stored in front of the ciphertext although the key is used once: a commit that failed and is
tried again seals other bytes under the same derived key, and the first ciphertext may be on the disk. A fixed nonce
would then leak both plaintexts.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.canonical import encode, encode_plain
from audit.errors import StoreDamaged
from audit.keys.ring import DayKeys
from audit.record import ACTOR_TERM

NONCE_BYTES = 12
TOKEN_BYTES = 16
# Encodings can be joined: these are the first fields of what they label, made once.
_SEALED_V1 = encode("imprimatur/audit/sealed/v1")
_RECORD_KEY_V1 = encode("imprimatur/audit/record-key/v1")
_TERM_V1 = encode("imprimatur/audit/term/v1")


class Part(StrEnum):
    """A sealed part of a record."""

    SUBJECT = "subject"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class SealContext:
    """Which record a part belongs to: all of it is authenticated."""

    tenant: str
    day: date
    event_id: bytes
    phase: str
    class_: str
    schema: int

    def associated_data(self, part: Part) -> bytes:
        return b"".join(
            (
                _SEALED_V1,
                encode_plain(self.tenant, self.day.isoformat()),
                encode(self.event_id),
                encode_plain(self.phase, self.class_, self.schema, part.value),
            )
        )


def seal(keys: DayKeys, context: SealContext, part: Part, plaintext: bytes) -> bytes:
    """``nonce || ciphertext || tag`` of one part."""
    return _seal(keys, context, part, plaintext, os.urandom(NONCE_BYTES))


def seal_both(keys: DayKeys, context: SealContext, subject: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Both parts of a record, sealed; the system is asked for random bytes once."""
    nonces = os.urandom(2 * NONCE_BYTES)
    return (
        _seal(keys, context, Part.SUBJECT, subject, nonces[:NONCE_BYTES]),
        _seal(keys, context, Part.CONTENT, content, nonces[NONCE_BYTES:]),
    )


def _seal(keys: DayKeys, context: SealContext, part: Part, plaintext: bytes, nonce: bytes) -> bytes:
    return nonce + AESGCM(record_key(keys, context, part)).encrypt(nonce, plaintext, context.associated_data(part))


def unseal(keys: DayKeys, context: SealContext, part: Part, sealed: bytes) -> bytes:
    """Inverse of ``seal``. Raises ``StoreDamaged`` if the bytes, their place or the key are not what they were."""
    return unseal_with(record_key(keys, context, part), context, part, sealed)


def unseal_with(key: bytes, context: SealContext, part: Part, sealed: bytes) -> bytes:
    """The same with the key of this part of this record alone: what a hold keeps when the day's keys are destroyed."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.associated_data(part))
    except (InvalidTag, ValueError):
        raise StoreDamaged(f"sealed {part.value} of a record does not open: it was changed or moved") from None


def record_key(keys: DayKeys, context: SealContext, part: Part) -> bytes:
    """The key of one part of one record. Nothing can be told from it about any other."""
    label = _RECORD_KEY_V1 + encode(context.event_id) + encode_plain(context.phase, part.value)
    key = hmac.digest(keys.dek, label, "sha256")
    keys.require_live()
    return key


def blind_token(keys: DayKeys, kind: str, value: str) -> bytes:
    """Searchable pseudonym of a term for one day: HMAC-SHA-256 under the day's index key, 16 bytes.

    Tokens of two days, tenants or classes have nothing in common, and none can be guessed without the index key.
    """
    token = hmac.digest(keys.index_key, _TERM_V1 + encode(kind, value), "sha256")[:TOKEN_BYTES]
    keys.require_live()
    return token


def blind_terms(
    keys: DayKeys,
    actor: str,
    index: Mapping[str, tuple[str, ...]],
    known: MutableMapping[tuple[str, str], bytes] | None = None,
) -> tuple[bytes, ...]:
    """All tokens of a record, sorted and without repeats, so that their order tells nothing.

    ``known`` remembers tokens of these keys from one call to the next.
    """
    known = {} if known is None else known
    wanted = [(ACTOR_TERM, actor)]
    for kind, values in index.items():
        wanted += [(kind, value) for value in values if value]
    tokens = set()  # two terms never share a token but by a collision of half a hash, which then is found under both
    for term in wanted:
        token = known.get(term)
        if token is None:
            token = known[term] = blind_token(keys, *term)
        tokens.add(token)
    return tuple(sorted(tokens))
