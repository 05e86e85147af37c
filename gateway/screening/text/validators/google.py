"""Google API keys, OAuth access tokens and client secrets (Google Cloud, "Manage API keys")."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.validators.guard import secret


def google(candidate: Candidate) -> Sequence[Accepted]:
    """A key with both letters' cases or digits after its prefix."""
    body = candidate.value[6:]
    if body.isalpha() and (body.islower() or body.isupper()):
        return ()
    return secret(candidate)
