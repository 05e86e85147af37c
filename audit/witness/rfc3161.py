"""A time stamping authority as a witness (RFC 3161): it signs when a checkpoint's note existed.

It keeps nothing and compares nothing, so a fork shows only when two stamped notes are laid side by side; but its
signatures outlive everybody: a stamped note of last year can't be made this year. Checked with the authority's root
certificate alone, by ``openssl ts -verify`` as well as here.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from audit.errors import WitnessRefused, WitnessUnavailable
from audit.note import NoteRefused
from audit.witness.port import Receipt, Submission
from audit.witness.post import TOTAL_SECONDS, Poster

_QUERY_TYPE: Final = "application/timestamp-query"  # RFC 3161, section 3.4
_REPLY_TYPE: Final = "application/timestamp-reply"
MAX_TOKEN_BYTES: Final = 64 * 1024


class TimestampWitness:
    """Has notes stamped by one authority."""

    def __init__(
        self,
        name: str,
        url: str,
        roots: Path,
        *,
        ca_file: Path | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """``roots``: PEM file of the certificates that its stamps must lead to; ``ca_file``: authorities for TLS.

        Raises ``ValueError`` for a wrong address or a file without certificates, ``OSError`` if it cannot be read.
        """
        self._name = name
        self._roots = read_certificates(roots)
        self._poster = Poster(url, ca_file=ca_file, total_seconds=total_seconds)

    @property
    def name(self) -> str:
        return self._name

    def submit(self, submission: Submission) -> Receipt:
        note = submission.note.encode()
        request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
        answer = self._poster.post("", request.as_bytes(), _QUERY_TYPE)
        if answer.status in (408, 425, 429) or answer.status >= 500:
            raise WitnessUnavailable(
                f"time stamping authority {self._name} answered {answer.status}", answer.retry_after_seconds
            )
        if answer.status != 200 or answer.content_type != _REPLY_TYPE or answer.body is None:
            raise WitnessRefused(f"time stamping authority {self._name} answered {answer.status} without a time stamp")
        try:
            check_timestamp(note, answer.body, self._roots, nonce=request.nonce)
        except NoteRefused as error:
            raise WitnessRefused(f"time stamping authority {self._name}: {error}") from None
        return Receipt(token=answer.body)

    def close(self) -> None:
        self._poster.close()


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
