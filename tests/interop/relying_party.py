"""A small application of its own at a provider: asks for tokens and hands them over unjudged, so that tests can say
what a provider really sends."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.support.providers import RunningProvider, follow
from tests.support.providers.base import BROWSER_CLIENT, CLI_CLIENT, ROBOT_CLIENT

NOBODY: Final = "http://nobody.invalid"
"""Not the gateway: `follow` then stops in front of its callback."""
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class RelyingParty:
    """The gateway's client at `idp`, in a test's hands. `browser` is the person's."""

    idp: RunningProvider
    browser: httpx.AsyncClient

    async def discovery(self) -> dict[str, Any]:
        address = self.idp.issuer.rstrip("/") + "/.well-known/openid-configuration"
        return dict((await self.browser.get(address)).raise_for_status().json())

    async def answer(self, who: str, **asked: str) -> tuple[dict[str, str], str]:
        """The parameters that `who` brings back from the provider, and the PKCE verifier for them."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": BROWSER_CLIENT,
            "redirect_uri": self.idp.redirect_uri,
            "scope": " ".join(self.idp.provider()["scopes"]),
            "state": secrets.token_urlsafe(16),
            "nonce": secrets.token_urlsafe(16),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        } | asked
        address = f"{(await self.discovery())['authorization_endpoint']}?{urlencode(query)}"
        back = await follow(self.browser, self.idp, NOBODY, address, self.idp.people[who])
        return {n: v[0] for n, v in parse_qs(urlsplit(back.headers["location"]).query).items()}, verifier

    async def tokens(self, who: str, **asked: str) -> dict[str, Any]:
        """The token response after `who` signed in."""
        back, verifier = await self.answer(who, **asked)
        return await self.ask(
            "authorization_code", code=back["code"], code_verifier=verifier, redirect_uri=self.idp.redirect_uri
        )

    async def claims(self, who: str, **asked: str) -> dict[str, Any]:
        """The ID token's claims after `who` signed in."""
        return payload((await self.tokens(who, **asked))["id_token"])

    async def ask(self, grant_type: str, *, client: str = BROWSER_CLIENT, **form: str) -> dict[str, Any]:
        """The token endpoint's answer, good or not."""
        data = {"grant_type": grant_type, **form}
        secret = (BROWSER_CLIENT, self.idp.client_secret) if client == BROWSER_CLIENT else httpx.USE_CLIENT_DEFAULT
        if client == CLI_CLIENT:
            data["client_id"] = CLI_CLIENT
        address = (await self.discovery())["token_endpoint"]
        # A client of its own: glewlwyd reads `auth_time` from the cookies of whoever shows the code, if there are any.
        async with httpx.AsyncClient(trust_env=False, timeout=20) as server:
            answer = await server.post(address, data=data, auth=secret)
        # glewlwyd refuses with a status and no more.
        return dict(answer.json()) if answer.content else {"error": f"HTTP {answer.status_code}"}

    async def robot_token(self) -> dict[str, Any]:
        """A token for a program: client credentials with a signed assertion (RFC 7523, 2.2)."""
        discovery = await self.discovery()
        key = ECKey.import_key(json.loads(self.idp.robot_key_path.read_text()))
        now = int(time.time())
        claims = {
            "iss": ROBOT_CLIENT,
            "sub": ROBOT_CLIENT,
            "aud": discovery["token_endpoint"],
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + 60,
        }
        header = {"alg": "ES256", "kid": key.kid, "typ": "JWT"}
        form = {
            "grant_type": "client_credentials",
            "client_id": ROBOT_CLIENT,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode(header, claims, key),
            "resource": self.idp.resource,
            "scope": self.idp.robot_scope,
        }
        async with httpx.AsyncClient(trust_env=False, timeout=20) as server:
            return dict((await server.post(discovery["token_endpoint"], data=form)).json())

    async def device_tokens(self, who: str) -> dict[str, Any]:
        """Tokens of the command line's client, after `who` typed the code in (RFC 8628)."""
        discovery = await self.discovery()
        form = {"client_id": CLI_CLIENT, "scope": self.idp.device_scope, "resource": self.idp.resource}
        begun = (await self.browser.post(discovery["device_authorization_endpoint"], data=form)).json()
        waiting = await self.ask(DEVICE_GRANT, client=CLI_CLIENT, device_code=begun["device_code"])
        assert waiting["error"] == "authorization_pending"
        await follow(self.browser, self.idp, NOBODY, begun["verification_uri_complete"], self.idp.people[who])
        for _ in range(10):
            answer = await self.ask(DEVICE_GRANT, client=CLI_CLIENT, device_code=begun["device_code"])
            if answer.get("error") not in ("authorization_pending", "slow_down"):
                break
            time.sleep(1)
        return answer


def payload(token: str) -> dict[str, Any]:
    """What a signed token says. Unverified: for tests that look, not for code that trusts."""
    return dict(json.loads(_bytes(token.split(".")[1])))


def header(token: str) -> dict[str, Any]:
    return dict(json.loads(_bytes(token.split(".")[0])))


def _bytes(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
