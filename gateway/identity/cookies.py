"""Names, flags and reading of our cookies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """A cookie to set; an empty value with `max_age_seconds` 0 deletes it. Always HttpOnly, SameSite=Lax, Path=/.

    Lax, not Strict: coming back from the provider is a navigation from another site, and has to find its cookie.
    """

    name: str
    value: str = field(repr=False)
    max_age_seconds: int
    secure: bool


class CookieNames:
    """`__Host-` names: the browser then refuses them without Secure, with a Domain, or from a subdomain, so that a
    neighbour can't plant one (RFC 6265bis, 4.1.3.2)."""

    def __init__(self, *, secure: bool, public_url: str) -> None:
        parts = urlsplit(public_url)
        if not secure and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError(
                "identity.cookie_secure is off, and server.public_url is not plain http on loopback: session cookies "
                f"would travel in the clear. Switch it on (public_url is {parts.scheme}://{parts.hostname})."
            )
        self.secure = secure
        prefix = "__Host-" if secure else ""
        self.session = f"{prefix}imprimatur-session"
        self.browser = f"{prefix}imprimatur-browser"
        self.draft = f"{prefix}imprimatur-draft"
        self.emergency = f"{prefix}imprimatur-emergency"
        self._sign_in = f"{prefix}imprimatur-sign-in-"

    def sign_in(self, state: str) -> str:
        """One cookie for each sign-in under way, so that two tabs do not spoil each other."""
        return self._sign_in + state[:16]


def read(header: str | None, name: str) -> str | None:
    """The value of a cookie. None when it is missing, and when it is there twice with different values: one of the
    two was planted, and we can't tell which (cookie tossing)."""
    if not header:
        return None
    values = {
        value.strip().strip('"')
        for key, separator, value in (part.partition("=") for part in header.split(";"))
        if separator and key.strip() == name
    }
    return values.pop() if len(values) == 1 else None


def is_present(header: str | None, name: str) -> bool:
    """Whether any cookie of that name came, readable or not."""
    return any(part.partition("=")[0].strip() == name for part in (header or "").split(";"))
