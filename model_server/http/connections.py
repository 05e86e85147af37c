"""One caller's connection, before there is a request to look at: whose certificate it is, and how long and how much it
may send until the head of a request is whole.

uvicorn itself waits for ever for a head, and takes one of any length; anyone who reaches the port could fill the
memory and the table of open files without ever showing a token.
"""

from __future__ import annotations

import asyncio
import logging

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from model_server.http.tls import carries
from model_server.observe import log

MAX_HEAD_BYTES = 32 << 10
"""Of a request's first line and headers: a token and a dozen short headers take one or two thousand."""

logger = logging.getLogger(__name__)


def protocol_for(*, name: str, head_seconds: float) -> type[HttpToolsProtocol]:
    """uvicorn's HTTP for callers whose certificate carries that name; empty: for all that TLS, if any, let in."""

    class Connection(HttpToolsProtocol):
        _is_refused = False
        _head_bytes = 0  # of the head that is coming
        _head_timer: asyncio.TimerHandle | None = None  # runs while a head is awaited

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            if name and not carries(transport.get_extra_info("peercert"), name):
                self._refuse("tls.another_caller")  # before a byte of it is read
            else:
                self._await_head()

        def data_received(self, data: bytes) -> None:
            if self._is_refused:
                return
            awaited = self._head_timer is not None
            super().data_received(data)
            if self._head_timer is None:
                self._head_bytes = 0
            elif awaited:  # else the piece was the end of a body and the beginning of the next head
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refuse("http.head_too_long")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._head_timer is None:
                self._await_head()

        def on_headers_complete(self) -> None:
            self._stop_timer()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _await_head(self) -> None:
            self._head_timer = self.loop.call_later(head_seconds, self._refuse, "http.no_head")

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _refuse(self, event: str) -> None:
            self._is_refused = True
            self._stop_timer()
            log(logger, logging.WARNING, event)
            self.transport.abort()

    return Connection
