"""Signing what a webhook sends, and checking it on the other side.

::

    Imprimatur-Signature: t=1764115200,v1=<hex>[,v1=<hex>]
    v1 = HMAC-SHA-256(secret, t || "." || body)

The time is under the signature, so a captured delivery cannot be played back later (CWE-294). While a secret is
replaced there are two, and a signature by each: a receiver that knows either accepts.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit.errors import KeyRefused
from audit.keys.files import read_private

SIGNATURE_HEADER: Final = "Imprimatur-Signature"
TOLERANCE_SECONDS: Final = 300
_MIN_SECRET_BYTES: Final = 32  # NIST SP 800-107r1, section 5.3.4: at least as long as the hash is strong
_MAX_SECRETS: Final = 2
_TIME = re.compile(r"0|[1-9][0-9]{0,11}")
_MAX_HEADER_CHARACTERS: Final = 1024


def read_secrets(path: Path) -> tuple[bytes, ...]:
    """The secrets in a private file (mode 0600), one a line, the newest first. Raises ``KeyRefused``."""
    secrets = tuple(line.strip() for line in read_private(path, "webhook secret").splitlines() if line.strip())
    if not 1 <= len(secrets) <= _MAX_SECRETS:
        raise KeyRefused(f"webhook secret {path}: expected one secret, or two while it is replaced, got {len(secrets)}")
    if any(len(secret) < _MIN_SECRET_BYTES for secret in secrets):
        raise KeyRefused(f"webhook secret {path}: expected at least {_MIN_SECRET_BYTES} characters in each line")
    return secrets


def sign(body: bytes, secrets: Sequence[bytes], at_seconds: int) -> str:
    """The header's value."""
    return ",".join((f"t={at_seconds}", *(f"v1={_mac(body, secret, at_seconds)}" for secret in secrets)))


def is_signed(
    header: str, body: bytes, secrets: Sequence[bytes], now_seconds: float, tolerance_seconds: int = TOLERANCE_SECONDS
) -> bool:
    """Did somebody who knows one of the secrets sign this body just now? For receivers; takes constant time in them.

    ``body`` is what arrived, byte for byte, before anything parsed it.
    """
    if len(header) > _MAX_HEADER_CHARACTERS:
        return False
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        return False
    at_seconds = int(times[0])
    if abs(now_seconds - at_seconds) > tolerance_seconds:
        return False
    given = [value.encode() for name, _, value in pairs if name == "v1"]
    expected = [_mac(body, secret, at_seconds).encode() for secret in secrets]
    # Every pair is compared, so that the time taken does not tell which one held.
    held = [hmac.compare_digest(one, other) for one in given for other in expected]
    return True in held


def _mac(body: bytes, secret: bytes, at_seconds: int) -> str:
    return hmac.new(secret, b"%d.%s" % (at_seconds, body), hashlib.sha256).hexdigest()
