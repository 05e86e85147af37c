"""Mutual TLS: a caller without a certificate of our authorities does not get as far as HTTP.

With a name demanded, its certificate must carry that name too: an authority of a company signs for many services.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from model_server.observe import log
from model_server.settings import Settings, SettingsError

logger = logging.getLogger(__name__)


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS 1.2 or later, callers' certificates required; None when it is not asked for. Raises SettingsError."""
    certificate, key, authorities = (
        settings.tls_certificate_path,
        settings.tls_key_path,
        settings.tls_client_ca_path,
    )
    if certificate is None or key is None or authorities is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # Not the library's own choice, which knows nothing of RFC 5280's finer rules until Python 3.13.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        # The passphrase is given, empty: OpenSSL would else ask for one on the terminal and wait.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"tls_certificate_path and tls_key_path are no certificate and its key ({_word(error)})"
        ) from error
    try:
        context.load_verify_locations(authorities)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"tls_client_ca_path holds no certificates ({_word(error)})") from error
    return context


def protocol_for(name: str) -> type[HttpToolsProtocol]:
    """uvicorn's HTTP, for callers whose certificate carries that name; empty: for all that TLS let in."""

    class NamedCallers(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            if name and not carries(transport.get_extra_info("peercert"), name):
                log(logger, logging.WARNING, "tls.another_caller")
                transport.abort()  # before a byte of it is read
                self._is_refused = True
                return
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            if not self._is_refused:
                super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            if not self._is_refused:
                super().connection_lost(exc)

        def eof_received(self) -> None:
            if not self._is_refused:
                super().eof_received()

        _is_refused = False

    return NamedCallers


def carries(certificate: Mapping[str, Any] | None, name: str) -> bool:
    """Whether a verified certificate, as `ssl` gives it, has that DNS name or URI among its alternative names."""
    names = (certificate or {}).get("subjectAltName", ())
    return any(kind == "URI" and value == name for kind, value in names) or any(
        kind == "DNS" and value.lower() == name.lower() for kind, value in names
    )


def _word(error: Exception) -> str:
    """What went wrong in OpenSSL's or the system's own word; no path and no content."""
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__)
