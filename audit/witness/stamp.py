"""Checking a time stamp (RFC 3161) offline; asking for one is in ``rfc3161``. Needs no HTTP client."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from audit.note import NoteRefused

MAX_TOKEN_BYTES: Final = 64 * 1024


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Certificates of a PEM file. Raises ``ValueError`` if there is none, ``OSError`` if it cannot be read."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        found = []
    if not found:
        raise ValueError(f"{path} holds no certificate in PEM form")
    return found


def check_timestamp(note: bytes, token: bytes, roots: list[x509.Certificate], *, nonce: int | None = None) -> datetime:
    """When ``note`` existed, as an authority below one of ``roots`` says. Raises ``NoteRefused`` with the reason.

    Only SHA-256, SHA-384 and SHA-512 imprints count. The certificates must be valid at the stamped time, not now.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise NoteRefused("time stamp is too long")
    builder = VerifierBuilder(roots=list(roots), nonce=nonce)
    try:
        response = decode_timestamp_response(token)
        builder.build().verify_message(response, note)
    except (VerificationError, ValueError) as error:
        raise NoteRefused(f"time stamp does not hold: {error}") from None
    return response.tst_info.gen_time
