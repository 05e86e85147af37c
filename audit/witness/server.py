"""The reference witness over HTTP: ``POST /add-checkpoint``, and what it holds for people who look.

Small on purpose: one class of the standard library, bounded in body, time and number of connections. Behind it stand
``service.py`` (the rules) and ``ledger.py`` (the disk).
"""

from __future__ import annotations

import hashlib
import logging
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

from audit.consistency import MAX_BYTES
from audit.witness.ledger import Ledger
from audit.witness.service import TEXT_TYPE, Reply, WitnessService

_log = logging.getLogger("audit.witness.server")

MAX_BODY_BYTES: Final = MAX_BYTES
MAX_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 15.0
REQUEST_SECONDS: Final = 30.0  # waiting for one and reading it: a byte at a time would outlast every idle limit


class WitnessServer(ThreadingHTTPServer):
    """Serves one ledger until ``shutdown``. ``server_address`` tells the port that port 0 became."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        ledger: Ledger,
        host: str,
        port: int,
        *,
        certificate: Path | None = None,
        private_key: Path | None = None,
    ) -> None:
        """With ``certificate`` (and its key) it speaks TLS. Raises what ``WitnessService`` raises, ``OSError`` if the
        address is taken."""
        self.service = WitnessService(ledger)
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._tls: ssl.SSLContext | None = None
        self._ledger = ledger
        self._began: dict[socket.socket, float] = {}  # connections and when they began to wait for a request
        try:
            if certificate is not None:
                self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
                self._tls.load_cert_chain(certificate, private_key)
            super().__init__((host, port), _Handler)
        except BaseException:
            self.service.close()
            raise

    def origins(self) -> dict[str, str]:
        """Origin of each log by its hash, as addresses name it."""
        return {hashlib.sha256(log.origin.encode()).hexdigest(): log.origin for log in self._ledger.logs()}

    def server_close(self) -> None:
        super().server_close()
        self.service.close()
        self._hang_up(0.0)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)  # rather than a thread for each of ten thousand idle connections
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            request.settimeout(IDLE_SECONDS)
            if self._tls is not None:  # here, not in the thread that accepts: a handshake may take its time
                request = self._tls.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except (ssl.SSLError, OSError):
            self.shutdown_request(request)
        finally:
            self._places.release()

    def began(self, connection: socket.socket) -> None:
        self._began[connection] = time.monotonic()

    def ended(self, connection: socket.socket) -> None:
        self._began.pop(connection, None)

    def service_actions(self) -> None:
        """Called by ``serve_forever`` between polls: hang up on who takes too long."""
        self._hang_up(REQUEST_SECONDS)

    def _hang_up(self, after_seconds: float) -> None:
        now = time.monotonic()
        for connection, began in list(self._began.items()):
            if now - began >= after_seconds:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("audit.witness.server.connection", exc_info=True)  # whoever hangs up is no event


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: WitnessServer
    protocol_version = "HTTP/1.1"  # keep-alive, as the specification recommends
    server_version = "imprimatur-witness"
    sys_version = ""
    timeout = IDLE_SECONDS
    _ADD: ClassVar[str] = "/add-checkpoint"

    def handle_one_request(self) -> None:
        self.server.began(self.connection)
        try:
            super().handle_one_request()
        finally:
            self.server.ended(self.connection)

    def do_POST(self) -> None:
        if self.path != self._ADD:
            self._answer(Reply(404, "not found\n"), closes=True)
            return
        length = self._length()
        if length is None:
            return
        try:
            body = self.rfile.read(length)
        except TimeoutError:
            self.close_connection = True
            return
        if len(body) < length:  # hung up in the middle
            self.close_connection = True
            return
        self._answer(self.server.service.add_checkpoint(body))

    def do_GET(self) -> None:
        # The specification leaves open how people look at a witness; this is its editors' draft of 2026.
        prefix, _, rest = self.path[1:].partition("/")
        origin = self.server.origins().get(prefix) if rest == "checkpoint" else None
        note = self.server.service.latest(origin) if origin is not None else None
        self._answer(Reply(404, "not found\n") if note is None else Reply(200, note))

    def _length(self) -> int | None:
        """Length of the body; ``None`` once a request without a usable one was answered."""
        text = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not text.isascii() or not text.isdigit() or len(text) > 9:
            self._answer(Reply(411, "give the length of the body\n"), closes=True)
            return None
        if int(text) > MAX_BODY_BYTES:
            self._answer(Reply(413, f"expected at most {MAX_BODY_BYTES} bytes\n"), closes=True)
            return None
        return int(text)

    def _answer(self, reply: Reply, *, closes: bool = False) -> None:
        body = reply.body.encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if closes:  # the body was not read, so what follows on the connection is not a request
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        _log.debug("audit.witness.server.request", extra={"line": format % args})


__all__ = ["MAX_BODY_BYTES", "TEXT_TYPE", "WitnessServer"]
