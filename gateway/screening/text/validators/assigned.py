"""Secrets that a name gives away: `password = …`, and those inside connection strings and addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.validators.guard import entropy_bits, is_stand_in

MIN_CHARS: Final = 6
MIN_BITS: Final = 2.0
_WORDS_ONLY: Final = re.compile(r"[A-Za-z]+(?:[-_ ][A-Za-z]+)*")
_REFERENCE: Final = re.compile(
    r"\$[A-Z][A-Z0-9_]*|\$[{(].*|%\w+%|\w+\([^)]*\)|(?i:os|env|process|config|settings|self|vault)\b[.\[].*"
)
"""`$TOKEN`, `os.environ["TOKEN"]`: where a secret comes from, not the secret."""
_SAMPLES: Final = frozenset({"password", "passwort", "secret", "changeit", "letmein", "example", "sample", "hunter2"})
_CREDENTIAL: Final = re.compile(
    r"://[^\s:/@]*:([^\s/@]+)@|(?:password|pwd|accountkey|sharedaccesskey)=([^;\s\"']+)", re.I
)


def assigned_secret(candidate: Candidate) -> Sequence[Accepted]:
    """A value that somebody set for a secret's name: not a word of the language, a sample or a reference."""
    value = candidate.value.rstrip(".,;:!?)\"'")
    if len(value) < MIN_CHARS or value.lower() in _SAMPLES or is_stand_in(value) or _REFERENCE.fullmatch(value):
        return ()
    if _WORDS_ONLY.fullmatch(value) or entropy_bits(value) < MIN_BITS:
        return ()
    return (Accepted(candidate.start, candidate.start + len(value), value),)


def connection_string(candidate: Candidate) -> Sequence[Accepted]:
    """An address or driver string with a password in it that is no sample."""
    found = _CREDENTIAL.search(candidate.value)
    if found is None:
        return ()
    password = found.group(1) or found.group(2)
    if len(password) < 3 or password.lower() in _SAMPLES or is_stand_in(password) or _REFERENCE.fullmatch(password):
        return ()
    return (Accepted(candidate.start, candidate.end, candidate.value),)
