"""Whose turn a request takes at the model server: a tenant, so that people share the device fairly, and a class."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from gateway.exchange import Actor
from gateway.vocabulary import Role
from model_server.wire import CLASS_HEADER, TENANT_HEADER

TENANT_CHARS: Final = 32


class Turns:
    """Makes the headers. `secret` stays in the gateway: the model server can tell tenants apart, and name none."""

    def __init__(self, secret: bytes) -> None:
        # A key of its own, so that a tenant's name can never meet another HMAC under the same secret.
        self._key = hmac.new(secret, b"upstream.tenant", hashlib.sha256).digest()

    def __repr__(self) -> str:
        return "Turns()"

    def headers(self, actor: Actor) -> dict[str, str]:
        """The tenant is the department, or the actor where there is none; services wait behind people."""
        whom = f"department\0{actor.department}" if actor.department else f"actor\0{actor.id}"
        tenant = hmac.new(self._key, whom.encode(), hashlib.sha256).hexdigest()[:TENANT_CHARS]
        # Somebody waits for a session and for a person's own key alike (an SDK in a notebook); a service's caller is
        # another program.
        return {TENANT_HEADER: tenant, CLASS_HEADER: "batch" if Role.SERVICE in actor.roles else "interactive"}
