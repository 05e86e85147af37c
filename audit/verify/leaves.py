"""Leaf hashes of many records: what ``audit.row.leaf_of`` gives, three times as fast.

The same few words (actions, models, key ids) stand in record after record, so their encodings are kept. Anything that
is not exactly of the type that a genuine record has is left to ``leaf_of``, which says what it thinks of it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from audit.canonical import encode
from audit.row import LEAF_VERSION, Row, leaf_of

_ENVELOPE_LABEL: Final = encode("imprimatur/audit/envelope/v1")
_LEAF_LABEL: Final = encode("imprimatur/audit/leaf", LEAF_VERSION)
_BYTES_16: Final = b"b\x00\x00\x00\x10"
_BYTES_32: Final = b"b\x00\x00\x00\x20"
_NOTHING: Final = encode(None)
_MAX_WORDS: Final = 50_000  # some MiB; words that come once (what a record is about) do not stay for ever
_EVENT_ID_BYTES, _DIGEST_BYTES = 16, 32


class _Words(dict[str, bytes]):
    """Encodings of strings, made when first asked for."""

    def __missing__(self, word: str) -> bytes:
        if type(word) is not str:
            raise TypeError
        if len(self) >= _MAX_WORDS:
            self.clear()
        self[word] = encoded = encode(word)
        return encoded


class _Numbers(dict[int, bytes]):
    """Encodings of small numbers that come again and again."""

    def __missing__(self, number: int) -> bytes:
        if type(number) is not int:
            raise TypeError
        if len(self) >= _MAX_WORDS:
            self.clear()
        self[number] = encoded = _number(number)
        return encoded


def _number(number: int) -> bytes:
    digits = b"%d" % number
    return b"i" + len(digits).to_bytes(4, "big") + digits


class LeafMaker:
    """Makes leaf hashes. Not safe for several threads."""

    def __init__(self) -> None:
        self._words = _Words()
        self._numbers = _Numbers()

    def __call__(self, row: Row) -> bytes:
        """``leaf_of(row)``. Raises ``TypeError`` as that does, for values that no record has."""
        if not _has_the_usual_types(row):
            return leaf_of(row)
        words, numbers = self._words, self._numbers
        latency = row.latency_bucket_ms
        envelope = b"".join(
            (
                _ENVELOPE_LABEL,
                _number(row.head_seq),
                _BYTES_16,
                row.event_id,
                words[row.phase],
                words[row.class_],
                _number(row.recorded_at),
                words[row.action],
                words[row.effect],
                words[row.reasons],
                words[row.about],
                words[row.bundle_revision],
                words[row.model],
                words[row.model_digest],
                numbers[row.credits],
                _NOTHING if latency is None else numbers[latency],
                numbers[row.schema],
                words[row.key_id],
                words[row.node],
                words[row.boot],
                _number(row.counter),
            )
        )
        return hashlib.sha256(
            b"".join(
                (
                    b"\x00",
                    _LEAF_LABEL,
                    _number(row.seq),
                    words[row.tenant],
                    words[row.day],
                    _BYTES_32,
                    row.subject_digest,
                    _BYTES_32,
                    row.content_digest,
                    _BYTES_32,
                    hmac.digest(row.envelope_salt, envelope, "sha256"),
                    _BYTES_32,
                    row.index_commitment,
                )
            )
        ).digest()


def _has_the_usual_types(row: Row) -> bool:
    """Is each value what the writer puts there? SQLite lets any type stand in any column, and ``1.0 == 1``."""
    return (
        type(row.seq)
        is type(row.head_seq)
        is type(row.recorded_at)
        is type(row.credits)
        is type(row.schema)
        is type(row.counter)
        is int
        and (row.latency_bucket_ms is None or type(row.latency_bucket_ms) is int)
        and type(row.event_id)
        is type(row.subject_digest)
        is type(row.content_digest)
        is type(row.index_commitment)
        is type(row.envelope_salt)
        is bytes
        and len(row.event_id) == _EVENT_ID_BYTES
        and len(row.subject_digest) == len(row.content_digest) == len(row.index_commitment) == _DIGEST_BYTES
    )
