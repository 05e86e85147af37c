"""Mutual TLS: a caller without a certificate of our authorities does not get as far as HTTP.

With a name demanded, its certificate must carry that name too: an authority of a company signs for many services.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from model_server.settings import Settings, SettingsError


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


def carries(certificate: Mapping[str, Any] | None, name: str) -> bool:
    """Whether a verified certificate, as `ssl` gives it, has that DNS name or URI among its alternative names."""
    names = (certificate or {}).get("subjectAltName", ())
    return any(kind == "URI" and value == name for kind, value in names) or any(
        kind == "DNS" and value.lower() == name.lower() for kind, value in names
    )


def _word(error: Exception) -> str:
    """What went wrong in OpenSSL's or the system's own word; no path and no content."""
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__)
