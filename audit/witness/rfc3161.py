"""A time stamping authority as a witness (RFC 3161): it signs when a checkpoint's note existed.

It keeps nothing and compares nothing, so a fork shows only when two stamped notes are laid side by side; but its
signatures outlive everybody: a stamped note of last year can't be made this year. Checked with the authority's root
certificate alone, by ``openssl ts -verify`` as well as here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from audit.errors import WitnessRefused, WitnessUnavailable
from audit.note import NoteRefused
from audit.witness.port import Receipt, Submission
from audit.witness.post import TOTAL_SECONDS, Poster
from audit.witness.stamp import check_timestamp, read_certificates

_QUERY_TYPE: Final = "application/timestamp-query"  # RFC 3161, section 3.4
_REPLY_TYPE: Final = "application/timestamp-reply"


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
