"""Private keys in PEM armour (RFC 7468, sections 10 and 11), OpenSSH, PuTTY and age form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.patterns import compile_pattern

_FOOT: Final = compile_pattern(r"END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,8}-{3,}")
MAX_BODY_CHARS: Final = 8_192
"""More than an RSA key of 8,192 bits takes."""


def private_key(candidate: Candidate) -> Sequence[Accepted]:
    """From the head to the foot; where the foot is missing, to the end of what could be its body."""
    tail = candidate.text[candidate.end : candidate.end + MAX_BODY_CHARS]
    foot = _FOOT.search(tail)
    end = candidate.end + (foot.end() if foot else 0)
    return (Accepted(candidate.start, end, " ".join(candidate.text[candidate.start : end].split())),)
