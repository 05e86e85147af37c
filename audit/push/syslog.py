"""Syslog over TLS: messages of RFC 5424, octet counting (RFC 6587, section 3.4.1), TLS as RFC 5425 has it.

Syslog has no receipts. A batch counts as taken when the receiver's machine has acknowledged every byte of it and the
connection still stands. If the connection breaks later, what was sent in the seconds before is sent again over the
next one, under the same ``uid``. What a receiver loses beyond that, nobody tells us: where that is not enough, use a
webhook. Messages are US-ASCII or UTF-8 without a byte order mark (MSG-ANY): parsers of JSON and CEF stumble over one.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from audit.errors import SinkUnavailable
from audit.export.cef import product_version
from audit.export.formats import RENDERINGS, FeedFormat
from audit.export.record import ExportRecord
from audit.export.text import utc_text
from audit.push.sink import is_loopback
from audit.push.unacknowledged import unacknowledged_bytes
from audit.record import Effect, Envelope

APP_NAME: Final = "imprimatur"
DEFAULT_TLS_PORT: Final = 6514  # RFC 5425, section 4.1
_FACILITY_AUDIT: Final = 13  # "log audit", RFC 5424, table 1
_SEVERITY_WARNING, _SEVERITY_NOTICE, _SEVERITY_INFORMATIONAL = 4, 5, 6
_SEVERITIES: Final = {
    Effect.DENY: _SEVERITY_WARNING,
    Effect.FAILED: _SEVERITY_WARNING,
    Effect.UNKNOWN: _SEVERITY_WARNING,
    Effect.REVIEW: _SEVERITY_NOTICE,
    Effect.MASK: _SEVERITY_NOTICE,
}
_SEQUENCE_ID_LIMIT: Final = 2_147_483_647  # RFC 5424, section 7.3.1: it begins again at 1 after this
_HOSTNAME_CHARACTERS, _PROCID_CHARACTERS = 255, 128
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_CONNECT_SECONDS, _SEND_SECONDS = 10.0, 30.0
_POLL_SECONDS: Final = 0.005
_LINGER_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 1.0  # a server's refusal needs one way over the network
_RESEND_SECONDS: Final = 5.0
_RESEND_BYTES: Final = 16 * 1024 * 1024
_VERSION: Final = product_version()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogTarget:
    """Where to send, and whom to trust there."""

    host: str
    port: int
    ca_file: Path | None = None  # None: the system's authorities
    certificate_file: Path | None = None  # ours, with its key, where the receiver asks for one
    key_file: Path | None = None
    is_plain: bool = False  # no TLS; loopback only

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
        allow_plain_loopback: bool = False,
    ) -> SyslogTarget:
        """Read ``syslog+tls://host:port`` or ``syslog+tcp://127.0.0.1:port``. Raises ``ValueError``."""
        parts = urlsplit(url)
        is_plain = parts.scheme == "syslog+tcp"
        if parts.scheme not in ("syslog+tls", "syslog+tcp") or not parts.hostname or parts.path.strip("/"):
            raise ValueError("expected syslog+tls://HOST:PORT")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("a syslog address has a host and a port, and nothing else")
        if is_plain and not (allow_plain_loopback and is_loopback(parts.hostname)):
            raise ValueError("records leave this machine over TLS only: use syslog+tls, or allow plain loopback")
        if is_plain and parts.port is None:
            raise ValueError("syslog+tcp needs a port")
        if (certificate_file is None) != (key_file is None):
            raise ValueError("a client certificate needs its key, and a key its certificate")
        return cls(
            host=parts.hostname,
            port=parts.port or DEFAULT_TLS_PORT,
            ca_file=ca_file,
            certificate_file=certificate_file,
            key_file=key_file,
            is_plain=is_plain,
        )


def syslog_message(record: ExportRecord, text: str) -> bytes:
    """One message of RFC 5424, section 6, without its frame."""
    envelope = record.envelope
    priority = _FACILITY_AUDIT * 8 + _severity(envelope)
    header = " ".join(
        (
            f"<{priority}>1",
            utc_text(envelope.recorded_at),
            _word(envelope.node, _HOSTNAME_CHARACTERS),
            APP_NAME,
            _word(envelope.boot, _PROCID_CHARACTERS),
            envelope.phase.value,  # MSGID
        )
    )
    sequence_id = envelope.seq % _SEQUENCE_ID_LIMIT + 1
    data = f'[origin software="{APP_NAME}" swVersion="{_VERSION}"][meta sequenceId="{sequence_id}"]'
    return f"{header} {data} {text}".encode()


def frame(message: bytes) -> bytes:
    """Octet counting: a record with a line break in it could not end its own frame."""
    return b"%d %s" % (len(message), message)


class SyslogSink:
    """Sends to one syslog server over one connection, which is made when it is needed."""

    def __init__(
        self,
        target: SyslogTarget,
        feed_format: FeedFormat,
        *,
        connect_seconds: float = _CONNECT_SECONDS,
        send_seconds: float = _SEND_SECONDS,
        settle_seconds: float = _SETTLE_SECONDS,
    ) -> None:
        """Reads the certificate files. Raises ``OSError`` or ``ssl.SSLError`` if they cannot be used."""
        self._target = target
        self._rendering = RENDERINGS[feed_format]
        self._connect_seconds = connect_seconds
        self._send_seconds = send_seconds
        self._settle_seconds = settle_seconds
        self._context = None if target.is_plain else _tls_context(target)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._recent = Recent(_RESEND_SECONDS, _RESEND_BYTES)

    async def send(self, records: Sequence[ExportRecord]) -> None:
        frames = b"".join(frame(syslog_message(record, self._rendering.message(record))) for record in records)
        try:
            reader, writer = await self._connection()
            async with asyncio.timeout(self._send_seconds):
                writer.write(frames)
                await writer.drain()
                await self._taken(reader, writer)
        except TimeoutError:
            await self._drop()
            raise SinkUnavailable(f"{self._name} did not take the records in time") from None
        except ssl.SSLCertVerificationError as error:
            await self._drop()
            reason = error.verify_message
            raise SinkUnavailable(f"{self._name} shows a certificate that is not trusted: {reason}") from None
        except (OSError, EOFError) as error:
            await self._drop()
            raise SinkUnavailable(f"{self._name} cannot be reached: {type(error).__name__}") from None
        self._recent.add(frames, time.monotonic())

    async def aclose(self) -> None:
        await self._drop()

    @property
    def _name(self) -> str:
        return f"syslog server {self._target.host}:{self._target.port}"

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # A server that went away while we were idle has told us so: what we wrote now would be lost without an error.
        if self._streams is not None and _is_gone(*self._streams):
            await self._drop()
        if self._streams is None:
            target = self._target
            async with asyncio.timeout(self._connect_seconds):
                name = None if target.is_plain else target.host  # the name that the certificate must be for
                self._streams = await asyncio.open_connection(
                    target.host, target.port, ssl=self._context, server_hostname=name
                )
            await self._settle(*self._streams)
        return self._streams

    async def _settle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wait whether the server hangs up on a fresh connection; then send again what the last one may have lost.

        In TLS 1.3 a server refuses our certificate after our side of the handshake is done (RFC 8446, section 4.4.2.4):
        what we sent meanwhile would be acknowledged by its machine and read by nobody.
        """
        deadline = time.monotonic() + self._settle_seconds
        while time.monotonic() < deadline:
            if _is_gone(reader, writer):
                raise reader.exception() or EOFError()
            await asyncio.sleep(_POLL_SECONDS)
        async with asyncio.timeout(self._send_seconds):
            for frames in self._recent.frames():
                writer.write(frames)
                await writer.drain()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wait until nothing is left to send on our side and the connection still stands."""
        is_empty = False
        while not _is_gone(reader, writer):
            if is_empty:
                return
            # A connection that was reset has an empty queue too: the loop must look at it once more to be told.
            connection = writer.get_extra_info("socket")
            is_empty = writer.transport.get_write_buffer_size() == 0 and unacknowledged_bytes(connection) == 0
            await asyncio.sleep(_POLL_SECONDS)
        raise reader.exception() or EOFError()

    async def _drop(self) -> None:
        if self._streams is None:
            return
        writer = self._streams[1]
        self._streams = None
        writer.close()
        with suppress(OSError, TimeoutError, ssl.SSLError):
            await asyncio.wait_for(writer.wait_closed(), _LINGER_SECONDS)


class Recent:
    """What was sent in the last seconds before a connection broke, at most so many bytes of it."""

    def __init__(self, seconds: float, limit_bytes: int) -> None:
        self._seconds = seconds
        self._limit_bytes = limit_bytes
        self._sent: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def add(self, frames: bytes, at: float) -> None:
        """Remember frames that a connection took at this moment of a monotonic clock, and forget old ones."""
        self._sent.append((at, frames))
        self._bytes += len(frames)
        while self._sent[0][0] < at - self._seconds or self._bytes > self._limit_bytes:
            self._bytes -= len(self._sent.popleft()[1])
            if not self._sent:
                break

    def frames(self) -> list[bytes]:
        return [frames for _, frames in self._sent]


def _is_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    return reader.at_eof() or reader.exception() is not None or writer.is_closing()


def _tls_context(target: SyslogTarget) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if target.ca_file is None else str(target.ca_file))
    # RFC 9662 (2024) updates RFC 5425: TLS 1.2 at least. Names are checked as RFC 9525 has it, by the context.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if target.certificate_file is not None:
        context.load_cert_chain(target.certificate_file, target.key_file)
    return context


def _severity(envelope: Envelope) -> int:
    if not envelope.effect:  # an intent
        return _SEVERITY_INFORMATIONAL
    return _SEVERITIES.get(Effect(envelope.effect), _SEVERITY_INFORMATIONAL)


def _word(text: str, longest: int) -> str:
    """A header field: printable ASCII without spaces, or the nil value."""
    return _NOT_PRINTABLE.sub("_", text)[:longest] or "-"
