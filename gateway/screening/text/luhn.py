"""The check of payment cards: ISO/IEC 7812-1, annex B.

On bytes: a row of a hundred thousand digits is a text that somebody may send.
"""

from __future__ import annotations

from typing import Final

_PLAIN: Final = bytes(max(0, code - 48) % 10 for code in range(256))
DOUBLED: Final = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)) + bytes(246)
"""A digit doubled, with the digits of the result added up: for `bytes.translate`."""


def values_of(digits: str) -> bytes:
    """The digits as numbers from 0 to 9."""
    return digits.encode("ascii").translate(_PLAIN)


def is_luhn(digits: str) -> bool:
    """Whether the last digit checks the others."""
    plain = values_of(digits)
    return (sum(plain[-1::-2]) + sum(plain[-2::-2].translate(DOUBLED))) % 10 == 0
