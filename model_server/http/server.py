"""Sockets and their ends: where the application listens, over TLS or not, and how it stops."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from model_server.engine.engine import Engine
from model_server.http.app import create_app
from model_server.http.auth import TokenCheck
from model_server.http.connections import protocol_for
from model_server.http.probes import create_probes
from model_server.observe import Metrics, log
from model_server.settings import Settings

_STOP_SECONDS = 5.0

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn, telling where it listens, and the engine when the end begins."""

    def __init__(self, config: uvicorn.Config, engine: Engine, address: tuple[str, int]) -> None:
        super().__init__(config)
        self._engine = engine
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self._address
        log(logger, logging.INFO, "server.listening", host=host, port=port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._engine.drain()  # before the sockets close: a request on a kept connection is told, not cut
        super().handle_exit(sig, frame)


def serve(
    settings: Settings, secret: bytes | None, context: ssl.SSLContext | None, engine: Engine, metrics: Metrics
) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = create_app(
        engine,
        check=TokenCheck(secret, _utc_now),
        metrics=metrics,
        clock=_utc_now,
        bodies=settings.body_limits,
        drain_seconds=settings.drain_seconds,
        send_seconds=settings.send_seconds,
        deadline_seconds=settings.deadline_seconds,
    )
    options: dict[str, Any] = {"timeout_graceful_shutdown": max(1, round(settings.drain_seconds))}
    if context is not None:
        options["ssl_context_factory"] = lambda _config, _default: context
    with listening(settings.host, settings.port, settings.send_seconds) as listener:
        server = _Server(
            _config(app, settings, settings.tls_client_name, **options),
            engine,
            (settings.host, listener.getsockname()[1]),
        )
        with nullcontext() if settings.probe_port is None else _probes(settings, engine, metrics):
            server.run(sockets=[listener])


@contextmanager
def listening(host: str, port: int, send_seconds: float) -> Iterator[socket.socket]:
    """A bound socket. A caller that takes nothing for `send_seconds` is cut off by the kernel, where it can do that:
    what was written for such a one would else stay in memory as long as it likes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(send_seconds * 1000))
        listener.bind((host, port))
        yield listener


@contextmanager
def _probes(settings: Settings, engine: Engine, metrics: Metrics) -> Iterator[None]:
    """The probes on their own port, without TLS, from a thread of their own for as long as the block runs."""
    with listening(settings.host, settings.probe_port or 0, settings.send_seconds) as listener:
        log(logger, logging.INFO, "probes.listening", host=settings.host, port=listener.getsockname()[1])
        server = uvicorn.Server(_config(create_probes(engine, metrics), settings, "", timeout_graceful_shutdown=1))
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), name="probes", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(_STOP_SECONDS)


def _config(app: ASGIApp, settings: Settings, caller: str, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol_for(name=caller, head_seconds=settings.upload_idle_seconds),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        **options,
    )


def _utc_now() -> datetime:
    return datetime.now(UTC)
