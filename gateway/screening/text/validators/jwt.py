"""JSON Web Tokens: three parts, the first a JOSE header (RFC 7519, section 3; RFC 7515, section 4)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from gateway.screening.text.candidate import Accepted, Candidate


def jwt(candidate: Candidate) -> Sequence[Accepted]:
    """A token whose header is a JSON object that names an algorithm."""
    head = candidate.value.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return ()
    if not isinstance(header, dict) or not ({"alg", "enc", "typ"} & header.keys()):
        return ()
    return (Accepted(candidate.start, candidate.end, candidate.value),)
