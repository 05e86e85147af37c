"""GitHub tokens.

Prefixes and checksum: GitHub Engineering, "Behind GitHub's new authentication token formats", 2021.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.validators.guard import secret

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECKSUM_CHARS: Final = 6
CLASSIC_CHARS: Final = 40
UNCHECKED_SCORE: Final = 0.8
"""A token without its checksum may be of a newer form, or mistyped; it is still nobody's business."""


def checksum(body: str) -> str:
    """CRC-32 of `body` in base 62, padded to six characters."""
    number = zlib.crc32(body.encode("ascii"))
    letters = ""
    while number:
        number, rest = divmod(number, 62)
        letters = _BASE62[rest] + letters
    return letters.rjust(CHECKSUM_CHARS, "0")


def github(candidate: Candidate) -> Sequence[Accepted]:
    """A token; certain when its checksum holds."""
    found = secret(candidate)
    value = candidate.value
    if not found or not value.isascii():
        return ()
    body = value[4:-CHECKSUM_CHARS]
    is_certain = len(value) == CLASSIC_CHARS and checksum(body) == value[-CHECKSUM_CHARS:]
    return (Accepted(candidate.start, candidate.end, value, 1.0 if is_certain else UNCHECKED_SCORE),)
