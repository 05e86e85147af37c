"""A webhook: batches of records as signed JSON over HTTPS, delivered when the receiver has answered 2xx.

======================  ===============================================================================
answer                  what follows
======================  ===============================================================================
2xx                     taken
408, 425, 429, 5xx      again later; ``Retry-After`` is honoured (RFC 9110, section 10.2.3)
413                     again at once with half as many records; with one record, refused
3xx                     refused: a redirect could carry records to somebody else (CWE-601)
any other 4xx           refused
no answer, or too slow  again later
======================  ===============================================================================

Nothing that the receiver says but its status and ``Retry-After`` is looked at or shown.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from audit.errors import KeyRefused, SinkRefused, SinkUnavailable
from audit.export.cef import product_version
from audit.export.formats import RENDERINGS, FeedFormat
from audit.export.record import ExportRecord
from audit.keys.files import read_private
from audit.push.signature import SIGNATURE_HEADER, read_secrets, sign
from audit.push.sink import is_loopback

BODY_FORMAT: Final = "imprimatur-audit-push/1"
DELIVERY_HEADER: Final = "Imprimatur-Delivery"
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_TOO_LARGE: Final = 413
_MAX_ANSWER_BYTES: Final = 64 * 1024
_CONNECT_SECONDS, _IDLE_SECONDS, _TOTAL_SECONDS = 10.0, 30.0, 60.0
_USER_AGENT: Final = f"imprimatur-audit/{product_version()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """Where to send, how to sign, whom to trust there."""

    url: str
    secret_file: Path  # see ``read_secrets``; read again for each batch, so that a new secret needs no restart
    ca_file: Path | None = None  # None: the system's authorities
    authorization_file: Path | None = None  # private file with the value of an Authorization header

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for an address that must not be used."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme not in ("https", "http") or not host:
            raise ValueError("expected https://HOST/PATH")
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError("records leave this machine over TLS only: use https")
        if parts.username is not None or parts.fragment:
            raise ValueError("a webhook's address has no user, password or fragment: give --authorization-file")


class WebhookSink:
    """Sends to one address. ``clock`` gives Unix seconds for the signature."""

    def __init__(
        self,
        target: WebhookTarget,
        feed_format: FeedFormat,
        *,
        clock: Callable[[], float] = time.time,
        total_seconds: float = _TOTAL_SECONDS,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        """Reads the secrets once. Raises ``KeyRefused`` or ``OSError`` if a file cannot be used."""
        self._target = target
        self._format = feed_format
        self._clock = clock
        self._total_seconds = total_seconds
        read_secrets(target.secret_file)  # a mistake in the settings is told at the start, not in a loop of failures
        self._headers()
        context = ssl.create_default_context(cafile=None if target.ca_file is None else str(target.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._client = httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            trust_env=False,  # no proxy and no .netrc of whoever started us gets to see or sign the records
            timeout=httpx.Timeout(idle_seconds, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )

    async def send(self, records: Sequence[ExportRecord]) -> None:
        body = self._body(records)
        try:
            secrets = read_secrets(self._target.secret_file)
            headers = {**self._headers(), DELIVERY_HEADER: f"{records[0].uid}/{len(records)}"}
        except KeyRefused as error:  # somebody is replacing the file, or broke it: the log's feed goes on after
            raise SinkUnavailable(str(error)) from None
        headers[SIGNATURE_HEADER] = sign(body, secrets, int(self._clock()))
        try:
            async with asyncio.timeout(self._total_seconds):  # a drop at a time would outlast every idle limit
                request = self._client.build_request("POST", self._target.url, content=body, headers=headers)
                response = await self._client.send(request, stream=True)
                status, wish = response.status_code, response.headers.get("Retry-After", "")
                await _throw_away_body(response)
        except TimeoutError:
            raise SinkUnavailable(f"{self._name} did not answer in time") from None
        except httpx.TimeoutException:
            raise SinkUnavailable(f"{self._name} did not answer in time") from None
        except httpx.HTTPError as error:  # its message may quote the answer
            raise SinkUnavailable(f"{self._name} cannot be reached: {_cause(error)}") from None
        self._judge(status, wish)

    async def aclose(self) -> None:
        await self._client.aclose()

    @property
    def _name(self) -> str:
        parts = urlsplit(self._target.url)
        return f"webhook {parts.hostname}"  # neither path nor query: some receivers put a token there

    def _judge(self, status: int, wish: str) -> None:
        if 200 <= status < 300:
            return
        message = f"{self._name} answered {status}"
        if status in _TRY_AGAIN or status >= 500 or status < 200:
            raise SinkUnavailable(message, _retry_after_seconds(wish, self._clock()))
        if 300 <= status < 400:
            raise SinkRefused(f"{message}: redirects are not followed; give its final address")
        raise SinkRefused(message, is_too_large=status == _TOO_LARGE)

    def _body(self, records: Sequence[ExportRecord]) -> bytes:
        rendering = RENDERINGS[self._format]
        items: list[Any] = [
            rendering.message(record) if rendering.to_object is None else rendering.to_object(record)
            for record in records
        ]
        body = {"format": BODY_FORMAT, "records_format": self._format.value, "origin": records[0].origin}
        return json.dumps({**body, "records": items}, separators=(",", ":")).encode()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": _USER_AGENT}
        if self._target.authorization_file is not None:
            text = read_private(self._target.authorization_file, "authorization").strip()
            if not text or not text.isascii() or not text.decode("ascii").isprintable():
                raise KeyRefused(f"authorization {self._target.authorization_file} is not one line of ASCII")
            headers["Authorization"] = text.decode("ascii")
        return headers


async def _throw_away_body(response: httpx.Response) -> None:
    """Read a short answer to its end, so that the connection can be used again; drop the connection of a long one."""
    seen_bytes = 0
    try:
        async for piece in response.aiter_raw():
            seen_bytes += len(piece)
            if seen_bytes > _MAX_ANSWER_BYTES:
                break
    finally:
        await response.aclose()


def _retry_after_seconds(text: str, now: float) -> float | None:
    """Seconds that a ``Retry-After`` asks for, as a number or as a date; ``None`` for what is neither."""
    text = text.strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return max((at - datetime.fromtimestamp(now, UTC)).total_seconds(), 0.0)


def _cause(error: BaseException) -> str:
    """The kind of an error, and for a certificate what is wrong with it; never its message."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {seen.verify_message}"
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
