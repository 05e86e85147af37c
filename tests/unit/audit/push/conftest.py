"""Receivers that are real servers on this machine: syslog over TLS, and HTTP that does as it is told."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audit.export import ExportRecord
from audit.record import Envelope, Phase, Subject

SECRET = b"0123456789abcdef0123456789abcdef"


def make_records(count: int, first: int = 0, subject: Subject | None = None) -> tuple[ExportRecord, ...]:
    return tuple(
        ExportRecord(
            origin="example.com/audit",
            envelope=Envelope(
                seq=seq,
                head_seq=seq,
                event_id=str(uuid.UUID(int=(7 << 76) | (2 << 62) | seq)),
                phase=Phase.ADMIN,
                tenant="default",
                day=date(2026, 11, 22),
                class_="standard",
                recorded_at=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
                action="policy:change:approve",
                effect="allow",
                reasons=(),
                about="",
                bundle_revision="",
                model="",
                model_digest="",
                credits=0,
                latency_bucket_ms=None,
                schema=1,
                key_id="00",
                node="gateway-1",
                boot="b00t",
                counter=seq + 1,
            ),
            subject=subject,
            leaf=bytes(32),
            covered_by_size=first + count,
        )
        for seq in range(first, first + count)
    )


@pytest.fixture
def records() -> Callable[..., tuple[ExportRecord, ...]]:
    return make_records


class Authority:
    """A certificate authority for tests, and what it signs, as PEM files."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._builder(self._name, self._key.public_key(), days=1)
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = certificate.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, days: int = 1) -> tuple[Path, Path]:
        """Certificate and key files for a host name or address."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), days=days)
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        stem = f"{name.replace(':', '_')}{days}"
        certificate_file, key_file = self._folder / f"{stem}.crt", self._folder / f"{stem}.key"
        certificate_file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate_file, key_file

    def server_context(self, name: str, *, days: int = 1, clients_of: Authority | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, days=days))
        if clients_of is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients_of.file)
        return context

    def _builder(self, subject: x509.Name, public_key: Any, *, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", "authority")


@pytest.fixture
def other_authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "other", "other")


class SyslogServer:
    """Takes octet-counted frames (RFC 6587); keeps the messages. Can stop reading, or hang up."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self.peers: list[Any] = []
        self.hang_up_after: int | None = None  # messages, counted over a connection
        self.reads = asyncio.Event()
        self.reads.set()
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def running(self, context: ssl.SSLContext | None, port: int = 0) -> AsyncIterator[SyslogServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=context, limit=1024)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.reads.set()
            self.hang_up()
            await server.wait_closed()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        connection = writer.get_extra_info("ssl_object")
        self.peers.append(connection.getpeercert() if connection else None)
        taken = 0
        try:
            while True:
                await self.reads.wait()
                length = await reader.readuntil(b" ")
                self.messages.append(await reader.readexactly(int(length)))
                taken += 1
                if self.hang_up_after is not None and taken >= self.hang_up_after:
                    break
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()


@pytest.fixture
def syslog_server() -> SyslogServer:
    return SyslogServer()


@dataclass
class Delivery:
    headers: dict[str, str]
    body: bytes

    @property
    def records(self) -> list[Any]:
        return list(json.loads(self.body)["records"])

    @property
    def uids(self) -> list[str]:
        objects = [record for record in self.records if isinstance(record, dict)]  # lines of CSV and CEF have none
        return [record["uid"] if "uid" in record else record["metadata"]["uid"] for record in objects]


@dataclass
class Answer:
    """What the receiver does with one delivery."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    stall_seconds: float = 0.0  # before the status line
    drip: bool = False  # the header a byte at a time, for as long as somebody listens
    hang_up: bool = False  # without an answer
    endless: bool = False  # a body without an end


class WebhookServer:
    """Answers deliveries in the order of ``script``, then with 200. Keeps all of them."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.script: list[Answer] = []
        self.deliveries: list[Delivery] = []
        self.accepted: list[str] = []  # uids of deliveries answered 2xx, in order
        self.connections = 0
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                delivery = Delivery(dict(self.headers), body)
                outer.deliveries.append(delivery)
                outer._answer(self, delivery, outer.script.pop(0) if outer.script else Answer())

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError, ssl.SSLError):
                    self.close_connection = True

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, delivery: Delivery, answer: Answer) -> None:
        if answer.stall_seconds:
            self.closing.wait(answer.stall_seconds)
        if answer.hang_up:
            handler.close_connection = True
            return
        if answer.drip:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.closing.wait(0.02):
                handler.wfile.write(b"x")
            return
        if 200 <= answer.status < 300:
            self.accepted += delivery.uids
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.endless:
            handler.end_headers()
            while not self.closing.is_set():
                handler.wfile.write(b"x" * 65536)
            return
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)


@pytest.fixture
def webhook_server() -> Iterator[WebhookServer]:
    server = WebhookServer()
    yield server
    server.close()


@pytest.fixture
def tls_webhook_server() -> Iterator[Callable[[ssl.SSLContext], WebhookServer]]:
    servers: list[WebhookServer] = []

    def start(context: ssl.SSLContext) -> WebhookServer:
        servers.append(WebhookServer(context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "webhook.secret"
    path.touch(mode=0o600)
    path.write_bytes(SECRET + b"\n")
    return path
