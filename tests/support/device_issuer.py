"""An issuer with a device endpoint (RFC 8628) and a gateway's metadata in front of it, played in memory over httpx's
transport: what it answers is a list of what a real one could."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import httpx

GATEWAY = "https://images.example"
ISSUER = "https://login.example/tenant"
CLIENT_ID = "imprimatur-cli"
ACCESS = "eyJ.access-token-1.x"


class DeviceIssuer:
    """Answers by address. `polls` is what the token endpoint says, one after the other."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.resource: dict[str, Any] = {
            "resource": GATEWAY,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["image:generate", "model:list"],
            "imprimatur_device_client_ids": {ISSUER: CLIENT_ID},
        }
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "device_authorization_endpoint": f"{ISSUER}/device",
            "token_endpoint": f"{ISSUER}/token",
            "revocation_endpoint": f"{ISSUER}/revoke",
        }
        self.invitation: dict[str, Any] = {
            "device_code": "a-device-code",
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{ISSUER}/activate",
            "verification_uri_complete": f"{ISSUER}/activate?user_code=WDJB-MJHT",
            "expires_in": 300,
            "interval": 5,
        }
        self.polls: list[Callable[[], httpx.Response] | dict[str, Any]] = []
        self.session_status = 200

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def posts(self, name: str) -> list[dict[str, str]]:
        return [form for path, form in self.asked if path.endswith(name)]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        address = str(request.url)
        self.asked.append((request.url.path, dict(parse_qsl(request.content.decode()))))
        if address == f"{GATEWAY}/.well-known/oauth-protected-resource":
            return httpx.Response(200, json=self.resource)
        if address == f"{ISSUER}/.well-known/openid-configuration":
            return httpx.Response(200, json=self.metadata)
        if address == f"{ISSUER}/device":
            return httpx.Response(200 if "error" not in self.invitation else 400, json=self.invitation)
        if address == f"{ISSUER}/token":
            said = self.polls.pop(0)
            if callable(said):
                return said()
            return httpx.Response(400 if "error" in said else 200, content=json.dumps(said))
        if address == f"{ISSUER}/revoke":
            return httpx.Response(200)
        if address == f"{GATEWAY}/v1/session":
            return httpx.Response(self.session_status, json={})
        return httpx.Response(404)


def tokens(number: int = 1, **members: Any) -> dict[str, Any]:
    """A good answer of the token endpoint."""
    return {
        "access_token": f"eyJ.access-token-{number}.x",
        "refresh_token": f"refresh-{number}",
        "token_type": "Bearer",
        "expires_in": 300,
        **members,
    }


def error(code: str) -> dict[str, str]:
    return {"error": code, "error_description": "a description that may repeat a-device-code"}
