"""One sign-in at a provider, to see what it sends: by browser with a loopback redirect (RFC 8252, 7.3), or by device
code (RFC 8628). For `imprimatur doctor idp`. Tokens live as long as the call and are shown to nobody.

The ID token is verified as the gateway would; one that it would refuse is not looked into.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from gateway.errors import IdentityUnavailable
from gateway.identity.discovery import fetch_object
from gateway.identity.jwks import KeyCache
from gateway.identity.tokens import TokenRefused, TokenVerifier, Use

PINNED: Final = ("RS256", "ES256", "Ed25519")
"""What the setting `algorithms` can name."""
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
LEEWAY_SECONDS: Final = 30
MAX_REQUEST_BYTES: Final = 16_384
SHORTEST_INTERVAL_SECONDS: Final = 5.0
"""RFC 8628, 3.2: where the provider names none."""
SLOWER_SECONDS: Final = 5.0
"""RFC 8628, 3.5: added at each `slow_down`."""

Say = Callable[[str], None]


class TrialStopped(Exception):
    """The sign-in did not come to its end. The text says where and what to do; it holds nothing secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks, and for what."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    acr_values: str = ""
    port: int = 0
    patience_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What came back: claims, never tokens."""

    id_token: Mapping[str, Any]
    userinfo: Mapping[str, Any]
    algorithm: str
    gives_refresh_token: bool
    access_token: Mapping[str, Any] | None
    """Claims of the access token where it is a JWT for an API of ours to read; None: opaque."""


class Trial:
    """One sign-in at the issuer whose discovery document is `metadata`."""

    def __init__(self, metadata: Mapping[str, Any], asked: Asked, http: httpx2.AsyncClient, say: Say) -> None:
        self._metadata = metadata
        self._asked = asked
        self._http = http
        self._say = say
        self._posts_secret = "client_secret_basic" not in metadata.get(
            "token_endpoint_auth_methods_supported", ["client_secret_basic"]
        )

    async def by_browser(self) -> Shown:
        """Print an address, wait for the browser to come back to 127.0.0.1. Raises TrialStopped."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        came_back: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        door = await asyncio.start_server(
            _callback(state, came_back), "127.0.0.1", self._asked.port, limit=MAX_REQUEST_BYTES
        )
        async with door:
            redirect = f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}/callback"
            self._say("Open this address in a browser, and sign in with an account that has a second factor:\n")
            self._say(self._authorization(redirect, state, nonce, verifier) + "\n")
            try:
                answer = await asyncio.wait_for(came_back, self._asked.patience_seconds)
            except TimeoutError:
                raise TrialStopped(
                    "Nobody came back in time. If the provider showed an error, it says why: usually the client is not "
                    "known, or may not come back to http://127.0.0.1/callback."
                ) from None
        self._check(answer)
        form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": redirect}
        return await self._shown(await self._token({**form, "code_verifier": verifier}), nonce)

    async def by_device(self) -> Shown:
        """Print a code to type at the provider, and wait until that is done. Raises TrialStopped."""
        address = self._metadata.get("device_authorization_endpoint")
        if not isinstance(address, str):
            raise TrialStopped("This provider offers no device flow. Leave --device out.")
        status, begun = await self._post(address, {"scope": " ".join(self._asked.scopes)})
        if status != 200 or "device_code" not in begun:
            raise TrialStopped(f"The provider began no device sign-in: {_word(begun.get('error'))}.")
        where = begun.get("verification_uri_complete") or begun.get("verification_uri")
        self._say(f"Open {_word(where)} in any browser,")
        self._say(f"and make sure that the code there is {_word(begun.get('user_code'))}.\n")
        interval = max(1.0, float(begun.get("interval") or SHORTEST_INTERVAL_SECONDS))
        deadline = time.monotonic() + min(float(begun.get("expires_in") or 600), self._asked.patience_seconds)
        while time.monotonic() < deadline:
            await asyncio.sleep(interval)
            status, answer = await self._post(
                str(self._metadata["token_endpoint"]), {"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]}
            )
            if status == 200:
                return await self._shown(answer, None)
            error = answer.get("error")
            if error == "slow_down":
                interval += SLOWER_SECONDS
            elif error != "authorization_pending":
                raise TrialStopped(f"The provider ended the device sign-in: {_word(error)}.")
        raise TrialStopped("Nobody typed the code in in time. Begin again.")

    def _authorization(self, redirect: str, state: str, nonce: str, verifier: str) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._asked.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(self._asked.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "prompt": "login",  # an old session would show an old sign-in
            **({"acr_values": self._asked.acr_values} if self._asked.acr_values else {}),
        }
        address = str(self._metadata["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"

    def _check(self, answer: Mapping[str, str]) -> None:
        promised = self._metadata.get("authorization_response_iss_parameter_supported") is True
        if (promised or "iss" in answer) and answer.get("iss") != self._metadata["issuer"]:
            raise TrialStopped("The answer names another issuer (RFC 9207), so it is not used.")
        if "error" in answer or "code" not in answer:
            raise TrialStopped(f"The provider did not sign you in: {_word(answer.get('error'))}.")

    async def _token(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        status, answer = await self._post(str(self._metadata["token_endpoint"]), form)
        if status != 200:
            raise TrialStopped(
                f"The provider gave no tokens for the code: {_word(answer.get('error'))}. With invalid_client, the "
                "client id or its secret is not right, or the client is not public: see --client-secret-file."
            )
        return answer

    async def _post(self, address: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        data, headers = dict(form), {"accept": "application/json"}
        secret, id = self._asked.client_secret, self._asked.client_id
        if secret is not None and not self._posts_secret:
            # Written as the gateway's own sign-in writes it, so that what works here works there.
            headers["authorization"] = "Basic " + base64.b64encode(f"{id}:{secret}".encode()).decode()
        else:
            data |= {"client_id": id, **({"client_secret": secret} if secret is not None else {})}
        try:
            response = await self._http.post(address, data=data, headers=headers)
            answer = response.json() if response.content else {}
        except (httpx2.HTTPError, ValueError):
            raise TrialStopped(f"{address} does not answer as it should.") from None
        return response.status_code, answer if isinstance(answer, dict) else {}

    async def _shown(self, answer: Mapping[str, Any], nonce: str | None) -> Shown:
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise TrialStopped("No ID token came back. The scope `openid` has to be allowed for this client.")
        header = _unverified(token, 0)
        claims = await self._verified(token, nonce)
        bearer = answer.get("access_token")
        return Shown(
            id_token=claims,
            userinfo=await self._userinfo(bearer, claims),
            algorithm=str(header.get("alg")),
            gives_refresh_token="refresh_token" in answer,
            access_token=_unverified(bearer, 1) or None if isinstance(bearer, str) else None,
        )

    async def _verified(self, token: str, nonce: str | None) -> Mapping[str, Any]:
        async def keys() -> Mapping[str, Any]:
            return await fetch_object(self._http, str(self._metadata["jwks_uri"]))

        def clock() -> datetime:
            return datetime.now(UTC)

        verifier = TokenVerifier(
            issuer=str(self._metadata["issuer"]),
            algorithms=PINNED,
            keys=KeyCache(keys, ttl_seconds=600, floor_seconds=30, clock=clock),
            leeway_seconds=LEEWAY_SECONDS,
            clock=clock,
        )
        # The device flow has no nonce to send; nothing of ours is in the browser there that one could be bound to.
        use = Use.ID_TOKEN if nonce else Use.REFRESHED_ID_TOKEN
        client_id = self._asked.client_id
        try:
            return (await verifier.verify(token, use, audience=client_id, client_id=client_id, nonce=nonce)).claims
        except TokenRefused as refused:
            raise TrialStopped(
                f"The gateway would refuse the ID token at the step '{refused.fault}', so its claims are not looked at."
            ) from None
        except IdentityUnavailable:
            raise TrialStopped("The provider's signing keys can't be fetched from its jwks_uri.") from None

    async def _userinfo(self, bearer: Any, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        address = self._metadata.get("userinfo_endpoint")
        if not isinstance(address, str) or not isinstance(bearer, str) or not bearer.isprintable():
            return {}
        try:
            found = await fetch_object(self._http, address, headers={"authorization": f"Bearer {bearer}"})
        except IdentityUnavailable:
            return {}  # an access token for something else is not for userinfo
        return found if found.get("sub") == claims["sub"] else {}


def _callback(state: str, came_back: asyncio.Future[dict[str, str]]) -> Callable[..., Awaitable[None]]:
    """Answers the one request that matters; all others (icons, a neighbour's guess of the port) get a 404."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).split(b"\r\n", 1)[0].decode("ascii")
            target = urlsplit(line.split(" ")[1])
            given = {n: v[0] for n, v in parse_qs(target.query, max_num_fields=20).items() if len(v) == 1}
            is_right = hmac.compare_digest(given.get("state", "").encode(), state.encode())
            is_ours = target.path == "/callback" and is_right
        except (ValueError, IndexError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            is_ours = False
        said = "You may close this page: the rest is in the terminal." if is_ours else "Nothing here."
        status = "200 OK" if is_ours else "404 Not Found"
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\n"
            f"connection: close\r\ncontent-length: {len(said)}\r\n\r\n{said}".encode()
        )
        await writer.drain()
        writer.close()
        if is_ours and not came_back.done():
            came_back.set_result(given)

    return answer


def _unverified(token: str, part: int) -> dict[str, Any]:
    """A segment of a JWT, read and not believed; empty for anything else."""
    try:
        segment = token.split(".")[part] if token.count(".") == 2 else ""
        found = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _word(value: Any) -> str:
    """A short text of the provider's, harmless on a terminal."""
    return "".join(c for c in str(value) if c.isprintable())[:200] if value else "without saying why"
