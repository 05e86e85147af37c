"""Addresses that a wrapped key, or a token, may be sent to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def require_safe_address(url: str) -> str:
    """The address without a slash at its end. Raises ``ValueError``.

    TLS everywhere, plain HTTP to this machine only: a token on the wire is a key for whoever listens (CWE-319).
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError("expected https://HOST[:PORT]")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("keys and tokens leave this machine over TLS only: use https")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an address of a key service has no user, password, query or fragment")
    _ = parts.port  # ValueError for one that is no port
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
