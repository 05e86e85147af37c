"""Why one person did what two do otherwise: a sentence that everybody will read."""

from __future__ import annotations

from typing import Final

from gateway.errors import InvalidRequest

MIN_REASON: Final = 10
MAX_REASON: Final = 500


def reason_of(text: str) -> str:
    """`text` with its spaces put right. Raises InvalidRequest for what says nothing."""
    text = " ".join(text.split())
    if not MIN_REASON <= len(text) <= MAX_REASON or not text.isprintable():
        raise InvalidRequest(
            f"Say why, in {MIN_REASON} to {MAX_REASON} characters: everybody will read it.", param="reason"
        )
    return text
