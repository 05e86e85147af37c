"""Amazon Web Services access key ids and secret access keys (IAM User Guide, "Unique identifiers")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.validators.guard import MIN_BITS_A_CHARACTER, entropy_bits, is_stand_in

_BASE32: Final = re.compile(r"[A-Z]{4}[A-Z2-7]{16}")
SECRET_CHARS: Final = 40
MIN_SECRET_BITS: Final = 3.5
_HEX: Final = re.compile(r"[0-9a-fA-F]+")


def aws_key_id(candidate: Candidate) -> Sequence[Accepted]:
    """A key id; certain when it is base 32, as real ones are. The vendor's own sample is taken too: no prompt
    needs it."""
    value = candidate.value
    if is_stand_in(value) or entropy_bits(value[4:]) < MIN_BITS_A_CHARACTER:
        return ()
    return (Accepted(candidate.start, candidate.end, value, 1.0 if _BASE32.fullmatch(value) else 0.8),)


def aws_secret(candidate: Candidate) -> Sequence[Accepted]:
    """Forty characters of base 64 that are not a hexadecimal digest and not words."""
    value = candidate.value
    if len(value) != SECRET_CHARS or _HEX.fullmatch(value) or is_stand_in(value):
        return ()
    if entropy_bits(value) < MIN_SECRET_BITS:
        return ()
    return (Accepted(candidate.start, candidate.end, value),)
