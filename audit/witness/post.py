"""One careful HTTP request to somebody outside: over TLS, to that address only, short in time and in what is read."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from audit.errors import WitnessUnavailable
from audit.push.sink import is_loopback

MAX_ANSWER_BYTES: Final = 64 * 1024  # a time stamp with its certificates has about 6 KiB, a cosignature 150 bytes
_CONNECT_SECONDS, _IDLE_SECONDS, TOTAL_SECONDS = 5.0, 10.0, 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``body`` is ``None`` if it was longer than anything that is expected."""

    status: int
    content_type: str
    body: bytes | None
    retry_after_seconds: float | None


class Poster:
    """Sends to one address. Used by one thread at a time; the connection is kept between requests."""

    def __init__(self, url: str, *, ca_file: Path | None = None, total_seconds: float = TOTAL_SECONDS) -> None:
        """Raises ``ValueError`` for an address that must not be used, ``OSError`` if the authorities cannot be read."""
        self.url = url.rstrip("/")
        self.host = check_url(url)
        self._total_seconds = total_seconds
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._client = httpx.Client(
            verify=context,
            follow_redirects=False,  # whoever answers elsewhere is not the witness that was chosen
            trust_env=False,
            timeout=httpx.Timeout(min(_IDLE_SECONDS, total_seconds), connect=min(_CONNECT_SECONDS, total_seconds)),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )

    def post(self, path: str, body: bytes, content_type: str) -> Answer:
        """Raises ``WitnessUnavailable`` if there is no answer, or it comes too slowly."""
        deadline = time.monotonic() + self._total_seconds
        try:
            with self._client.stream(
                "POST", self.url + path, content=body, headers={"Content-Type": content_type}
            ) as response:
                pieces: list[bytes] = []
                length = 0
                for piece in response.iter_raw():
                    pieces.append(piece)
                    length += len(piece)
                    if length > MAX_ANSWER_BYTES:
                        break
                    if time.monotonic() > deadline:  # a drop at a time would outlast every idle limit
                        raise WitnessUnavailable(f"{self.host} did not answer in time")
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                whole = b"".join(pieces) if length <= MAX_ANSWER_BYTES else None
                return Answer(response.status_code, kind, whole, _seconds(response.headers.get("Retry-After", "")))
        except httpx.TimeoutException:
            raise WitnessUnavailable(f"{self.host} did not answer in time") from None
        except httpx.HTTPError as error:  # its message may quote the answer
            raise WitnessUnavailable(f"{self.host} cannot be reached: {_cause(error)}") from None

    def close(self) -> None:
        self._client.close()


def check_url(url: str) -> str:
    """The host of an address that may be used. Raises ``ValueError`` otherwise."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError("expected https://HOST/PATH")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("a witness outside this machine is asked over TLS only: use https")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a witness's address has no user, password, query or fragment")
    return host


def _seconds(text: str) -> float | None:
    text = text.strip()[:16]
    return float(text) if text.isascii() and text.isdigit() else None


def _cause(error: BaseException) -> str:
    """The kind of an error, and for a certificate what is wrong with it; never its message."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {seen.verify_message}"
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
