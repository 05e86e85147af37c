"""Which directory is asking: each provider with `scim` settings has one client with a bearer token of its own.

The token is all that these routes accept: no cookie, no API key, no access token of ours opens them, and it opens
nothing else. It is compared as a digest, in constant time, against every client's, so that neither the answer nor how
long it took tells which providers there are.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.settings import Provider, ScimSettings

MIN_CHARACTERS: Final = 32
MIN_DISTINCT: Final = 12
"""`aaaa…` is long too. 32 characters of base 64 with fewer different ones than this do not come from a generator."""
MAX_TOKENS: Final = 2
"""The token of now and the next: a directory changes it without a gap."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750, section 2.1."""
_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9\-._~+/]+=*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One provider's directory. What it provisions are people of that provider and no other."""

    provider: str
    settings: ScimSettings
    digests: tuple[bytes, ...] = field(repr=False)

    def accepts(self, token: str) -> bool:
        """Whether this is its token. Takes as long whatever is wrong."""
        shown = hashlib.sha256(token.encode()).digest()
        return sum(hmac.compare_digest(shown, kept) for kept in self.digests) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """A client that showed its token, and what it asks for, relative to its base."""

    client: Client
    base: str
    path: str


class Clients:
    """All of them. Raises ValueError when a token file would be unsafe: the gateway then does not start."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._clients = {
            p.name: Client(provider=p.name, settings=p.scim, digests=_digests(p.name, p.scim))
            for p in providers
            if p.scim is not None
        }
        digests = [digest for client in self._clients.values() for digest in client.digests]
        if len(digests) != len(set(digests)):
            raise ValueError("identity.providers: each provider's scim.token_path needs a token of its own")

    def __bool__(self) -> bool:
        return bool(self._clients)

    def find(self, path: str, authorization: str | None) -> Addressed | None:
        """Who asks, for `path` below /scim/v2. None: nobody we know, or not with the right token."""
        match = _BEARER.fullmatch(authorization or "")
        token = match[1] if match else ""
        accepted = [client for client in self._clients.values() if client.accepts(token)]
        name, _, rest = path.strip("/").partition("/")
        if name in self._clients:
            named, base, path = self._clients[name], f"/{name}", rest
        elif len(self._clients) == 1:
            named, base = next(iter(self._clients.values())), ""
        else:
            return None
        return Addressed(client=named, base=base, path=f"/{path.strip('/')}") if named in accepted else None


def _digests(provider: str, settings: ScimSettings) -> tuple[bytes, ...]:
    where = f"identity.providers[{provider}].scim.token_path ({settings.token_path})"
    tokens = settings.token_path.read_text("utf-8").split()
    if not 1 <= len(tokens) <= MAX_TOKENS:
        raise ValueError(f"{where} must hold one token, or two while it is being changed; it holds {len(tokens)}")
    for token in tokens:
        if _TOKEN.fullmatch(token) is None:
            raise ValueError(f"{where}: a bearer token has letters, digits and -._~+/= only (RFC 6750)")
        if len(token) < MIN_CHARACTERS or len(set(token)) < MIN_DISTINCT:
            raise ValueError(
                f"{where}: a token needs {MIN_CHARACTERS} random characters or more; "
                "make one with `openssl rand -base64 48 | tr -d '\\n'`"
            )
    return tuple(hashlib.sha256(token.encode()).digest() for token in tokens)
