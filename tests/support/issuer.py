"""A small OpenID provider on loopback that can be told to lie. It keeps the rules that it is not told to break: codes
work once, PKCE is checked, the client authenticates."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support import forge

CLIENT_SECRET = "an issuer's secret for tests"


@dataclass
class Lies:
    """What it says instead of the truth. Empty: it is honest."""

    discovery: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    sign: str = "rsa-1"
    token_answer: Callable[[], Response] | None = None
    refreshed_claims: dict[str, Any] = field(default_factory=dict)
    revocation_status: int = 200
    is_down: bool = False


class Issuer:
    """One issuer at `url`. `person` is who signs in next; `asked` counts requests by path."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.forget()
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo),
                Route("/revoke", self._revoke, methods=["POST"]),
            ]
        )

    def forget(self) -> None:
        """Honest again, with alice at the door and nothing counted."""
        self.lies = Lies()
        self.asked: dict[str, int] = {}
        self.person: dict[str, Any] = {"sub": "alice", "name": "Alice", "groups": ["staff"], "amr": ["pwd", "otp"]}
        self.auth_time: float | None = None
        self.userinfo: dict[str, Any] = {}
        self.gives_refresh_tokens = False
        self.refreshes_with_id_token = True
        self.no_longer: str | None = None
        """The error that every refresh is answered with."""
        self.seconds_to_refresh = 0.0
        self.refresh_tokens: dict[str, dict[str, Any]] = {}
        """Live ones, each good once."""
        self.revoked: list[str] = []
        self.now: Callable[[], float] = time.time
        self._codes: dict[str, dict[str, str]] = {}

    def approve(self, authorization_url: str) -> dict[str, str]:
        """The person says yes: the parameters that the browser brings back to the callback."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(authorization_url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(24)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url}

    async def _discovery(self, request: Request) -> Response:
        if self._count(request):
            return Response(status_code=503)
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/end?realm=a",
            "revocation_endpoint": f"{self.url}/revoke",
            "authorization_response_iss_parameter_supported": True,
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
        }
        return JSONResponse({k: v for k, v in (document | self.lies.discovery).items() if v is not None})

    async def _jwks(self, request: Request) -> Response:
        return Response(status_code=503) if self._count(request) else JSONResponse(forge.jwks())

    async def _token(self, request: Request) -> Response:
        if self._count(request):
            return Response(status_code=503)
        if self.lies.token_answer is not None:
            return self.lies.token_answer()
        if not self._is_client(request):
            return JSONResponse({"error": "invalid_client"}, 401)
        form = await request.form()
        if form.get("grant_type") == "refresh_token":
            return await self._refresh(str(form.get("refresh_token")))
        asked = self._codes.pop(str(form.get("code")), None)
        verifier = str(form.get("code_verifier", ""))
        if (
            asked is None
            or form.get("redirect_uri") != asked["redirect_uri"]
            or forge.b64(hashlib.sha256(verifier.encode()).digest()) != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = self.person | {"nonce": asked["nonce"]}
        claims["auth_time"] = int(self.now()) if self.auth_time is None else self.auth_time
        answer = self._tokens(claims | self.lies.claims)
        if self.gives_refresh_tokens:
            answer["refresh_token"] = self._refresh_token(claims)
        return JSONResponse(answer)

    async def _refresh(self, token: str) -> Response:
        await asyncio.sleep(self.seconds_to_refresh)
        before = self.refresh_tokens.pop(token, None)
        if before is None or self.no_longer is not None:
            return JSONResponse({"error": self.no_longer or "invalid_grant"}, 400)
        claims = before | self.person | {"nonce": None} | self.lies.refreshed_claims
        answer = self._tokens(claims) | {"refresh_token": self._refresh_token(before)}
        if not self.refreshes_with_id_token:
            del answer["id_token"]
        return JSONResponse(answer)

    def _tokens(self, claims: dict[str, Any]) -> dict[str, Any]:
        claims = forge.good_claims("id-token", int(self.now()), self.url) | claims
        header = {k: v for k, v in (forge.good_header("id-token") | self.lies.header).items() if v is not None}
        token = forge.token(header, {k: v for k, v in claims.items() if v is not None}, self.lies.sign)
        return {"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 300, "id_token": token}

    def _refresh_token(self, claims: dict[str, Any]) -> str:
        token = "refresh-" + secrets.token_urlsafe(24)
        self.refresh_tokens[token] = claims
        return token

    async def _revoke(self, request: Request) -> Response:
        if self._count(request):
            return Response(status_code=503)
        if not self._is_client(request):
            return JSONResponse({"error": "invalid_client"}, 401)
        form = await request.form()
        self.refresh_tokens.pop(str(form.get("token")), None)
        self.revoked.append(str(form.get("token")))
        return Response(status_code=self.lies.revocation_status)

    def _is_client(self, request: Request) -> bool:
        good = {
            base64.b64encode(f"{forge.CLIENT_ID}:{secret}".encode()).decode()
            for secret in (CLIENT_SECRET, CLIENT_SECRET.replace(" ", "+"))
        }
        return request.headers.get("authorization") in {f"Basic {pair}" for pair in good}

    async def _userinfo(self, request: Request) -> Response:
        if self._count(request) or request.headers.get("authorization") != "Bearer an-access-token":
            return Response(status_code=503)
        return JSONResponse({"sub": self.person["sub"]} | self.userinfo | self.lies.userinfo)

    def _count(self, request: Request) -> bool:
        self.asked[request.url.path] = self.asked.get(request.url.path, 0) + 1
        return self.lies.is_down


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer that listens while the block runs, in a thread and loop of its own, so that many tests can share it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        issuer = Issuer(listening.getsockname()[1])
        server = uvicorn.Server(
            uvicorn.Config(issuer.app, log_level="error", lifespan="off", access_log=False, timeout_graceful_shutdown=1)
        )
        serving = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listening]),), daemon=True)
        serving.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield issuer
        finally:
            server.should_exit = True
            serving.join()
