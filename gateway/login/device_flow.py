"""The device flow (RFC 8628): the terminal shows a code, the person approves in any browser, the terminal gets tokens.

Where to go is asked of the gateway (RFC 9728) and of its issuer (RFC 8414, OpenID Connect Discovery 1.0). Both have to
name themselves exactly as they were asked, so that neither speaks for another; nothing is followed anywhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
MAX_ANSWER_BYTES: Final = 512 * 1024
DEFAULT_INTERVAL_SECONDS: Final = 5
"""RFC 8628, 3.2: between two questions, where the issuer names nothing."""
SLOW_DOWN_SECONDS: Final = 5
"""RFC 8628, 3.5: longer after each `slow_down`."""
LONGEST_INTERVAL_SECONDS: Final = 60
LONGEST_WAIT_SECONDS: Final = 1800
MAX_TROUBLES: Final = 5
"""So many questions without any answer, one after the other, and we give up."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_ALWAYS: Final = ("openid", "offline_access")
"""Asked for beside what the gateway can be asked for: who this is, and a refresh token."""


class LoginFailed(Exception):
    """It did not work. The message says what, and what to do; it carries no token."""


class SignedOut(LoginFailed):
    """What we hold is worth nothing any more: only a new login helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A gateway and the issuer that lets people in there."""

    gateway: str
    issuer: str
    client_id: str
    scope: str
    device_endpoint: str
    token_endpoint: str
    revocation_endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What the person is shown, and what we ask with."""

    device_code: str = field(repr=False)
    user_code: str
    address: str
    address_with_code: str
    interval_seconds: float
    lifetime_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What we may act with. `expires_at` is seconds since 1970."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: float


class DeviceFlow:
    """Speaks with gateway and issuer. `sleep` and `now` are the machine's."""

    def __init__(
        self,
        http: httpx.Client,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._sleep = sleep
        self._now = now

    def find(self, gateway: str, issuer: str = "", scope: str = "") -> Door:
        """Where to sign in for this gateway. `issuer` chooses one of several. Raises LoginFailed."""
        gateway = gateway.rstrip("/")
        resource = self._object(f"{gateway}/.well-known/oauth-protected-resource", "the gateway")
        # RFC 9728, 3.3: or a false gateway could have us fetch tokens for the real one and send them to itself.
        if str(resource.get("resource", "")).rstrip("/") != gateway:
            raise LoginFailed(
                f"The gateway at {gateway} calls itself {resource.get('resource')}. Use that address, if you trust it."
            )
        clients = resource.get("imprimatur_device_client_ids")
        clients = clients if isinstance(clients, dict) else {}
        if not clients:
            raise LoginFailed(
                "This gateway lets nobody sign in from a terminal. Ask its administrators to set device_client_id for "
                "your provider, or make an API key in the browser instead."
            )
        if not issuer and len(clients) > 1:
            raise LoginFailed("Choose your provider with --provider, one of: " + ", ".join(sorted(clients)))
        issuer = issuer or next(iter(clients))
        client_id = clients.get(issuer)
        if not isinstance(client_id, str) or not client_id:
            raise LoginFailed(f"There is no provider {issuer} here. Choose one of: " + ", ".join(sorted(clients)))
        metadata = self._object(f"{issuer.rstrip('/')}/.well-known/openid-configuration", "the sign-in provider")
        if metadata.get("issuer") != issuer:
            raise LoginFailed(f"The sign-in provider at {issuer} names itself otherwise, so it is not trusted.")
        offered = resource.get("scopes_supported")
        words = [word for word in offered if isinstance(word, str)] if isinstance(offered, list) else []
        return Door(
            gateway=gateway,
            issuer=issuer,
            client_id=client_id,
            scope=scope or " ".join([*_ALWAYS, *words]),
            device_endpoint=_address(metadata, "device_authorization_endpoint", "no sign-in from a terminal"),
            token_endpoint=_address(metadata, "token_endpoint", "no tokens"),
            revocation_endpoint=_address(metadata, "revocation_endpoint") if "revocation_endpoint" in metadata else "",
        )

    def invite(self, door: Door) -> Invitation:
        """Ask for a code (RFC 8628, 3.1). `resource` says which gateway the token shall be for (RFC 8707)."""
        asked = {"client_id": door.client_id, "scope": door.scope, "resource": door.gateway}
        status, answer = self._post(door.device_endpoint, asked)
        if status != 200:
            raise LoginFailed(f"The sign-in provider refuses to begin: {_error(answer)}.")
        try:
            invitation = Invitation(
                device_code=str(answer["device_code"]),
                user_code=str(answer["user_code"]),
                address=str(answer["verification_uri"]),
                address_with_code=str(answer.get("verification_uri_complete") or ""),
                interval_seconds=float(answer.get("interval") or DEFAULT_INTERVAL_SECONDS),
                lifetime_seconds=float(answer["expires_in"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LoginFailed("The sign-in provider's answer can't be read.") from error
        for address in filter(None, (invitation.address, invitation.address_with_code)):
            if not is_safe(address) or not address.isascii() or not address.isprintable():
                raise LoginFailed("The sign-in provider sends you to an address that is not safe.")
        if not all(code.isascii() and code.isprintable() for code in (invitation.user_code, invitation.device_code)):
            raise LoginFailed("The sign-in provider's code can't be read.")
        return invitation

    def wait(self, door: Door, invitation: Invitation) -> Tokens:
        """Ask until the person has decided (RFC 8628, 3.4 and 3.5). Raises LoginFailed."""
        interval = min(max(invitation.interval_seconds, 1.0), LONGEST_INTERVAL_SECONDS)
        deadline = self._now() + min(invitation.lifetime_seconds, LONGEST_WAIT_SECONDS)
        asked = {"grant_type": GRANT, "device_code": invitation.device_code, "client_id": door.client_id}
        troubles = 0
        while True:
            self._sleep(interval)
            if self._now() >= deadline:
                raise LoginFailed("The code is too old: nobody approved it in time. Run the command again.")
            try:
                status, answer = self._post(door.token_endpoint, asked)
            except LoginFailed:
                troubles += 1
                if troubles >= MAX_TROUBLES:
                    raise
                interval = min(interval * 2, LONGEST_INTERVAL_SECONDS)  # RFC 8628, 3.5: exponential backoff
                continue
            troubles = 0
            if status == 200:
                return self._tokens(answer)
            match answer.get("error"):
                case "authorization_pending":
                    continue
                case "slow_down":
                    interval = min(interval + SLOW_DOWN_SECONDS, LONGEST_INTERVAL_SECONDS)
                case "access_denied":
                    raise LoginFailed("The sign-in was refused in the browser. Nothing was kept.")
                case "expired_token":
                    raise LoginFailed("The code is too old: nobody approved it in time. Run the command again.")
                case _:
                    raise LoginFailed(f"The sign-in provider gives no token: {_error(answer)}.")

    def refresh(self, door: Door, refresh_token: str) -> Tokens:
        """New tokens (RFC 6749, section 6). Raises SignedOut when only a new login helps, LoginFailed else."""
        if not refresh_token:
            raise SignedOut("The access token is over, and the provider gave nothing to renew it with.")
        asked = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": door.client_id}
        status, answer = self._post(door.token_endpoint, asked | {"resource": door.gateway})
        if status == 200:
            found = self._tokens(answer)
            kept = found.refresh_token or refresh_token
            return Tokens(access_token=found.access_token, refresh_token=kept, expires_at=found.expires_at)
        if answer.get("error") == "invalid_grant":
            raise SignedOut("Your sign-in has ended at the provider.")
        raise LoginFailed(f"The sign-in provider gives no new token: {_error(answer)}.")

    def revoke(self, door: Door, refresh_token: str) -> bool:
        """Give the refresh token back (RFC 7009). Whether the provider took it."""
        if not refresh_token or not door.revocation_endpoint:
            return False
        asked = {"token": refresh_token, "token_type_hint": "refresh_token", "client_id": door.client_id}
        try:
            return self._post(door.revocation_endpoint, asked)[0] == 200
        except LoginFailed:
            return False

    def is_accepted(self, gateway: str, access_token: str) -> bool | None:
        """Whether the gateway takes this token; None when it does not say."""
        try:
            answer = self._http.get(f"{gateway}/v1/session", headers={"authorization": f"Bearer {access_token}"})
        except httpx.HTTPError:
            return None
        return {200: True, 401: False}.get(answer.status_code)

    def _tokens(self, answer: Mapping[str, Any]) -> Tokens:
        access, refresh = answer.get("access_token"), answer.get("refresh_token")
        if not isinstance(access, str) or not access.isascii() or not access.isprintable() or not access:
            raise LoginFailed("The sign-in provider's answer has no access token in it.")
        lifetime = answer.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, int | float) and not isinstance(lifetime, bool) else 0.0
        return Tokens(
            access_token=access,
            refresh_token=refresh if isinstance(refresh, str) else "",
            expires_at=self._now() + seconds,
        )

    def _object(self, address: str, whose: str) -> Mapping[str, Any]:
        if not is_safe(address):
            raise LoginFailed(f"{address} is not https, so what it says can't be trusted. Use https://…")
        try:
            answer = self._http.get(address, headers={"accept": "application/json"})
            found = _json(answer) if answer.status_code == 200 else None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LoginFailed(f"{whose[0].upper()}{whose[1:]} does not answer at {address}.") from error
        if found is None:
            raise LoginFailed(f"There is nothing of {whose} at {address} (status {answer.status_code}).")
        return found

    def _post(self, address: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        try:
            answer = self._http.post(address, data=dict(form), headers={"accept": "application/json"})
        except httpx.HTTPError as error:
            raise LoginFailed("The sign-in provider does not answer. Try again in a moment.") from error
        if answer.status_code >= 500:
            raise LoginFailed("The sign-in provider is down. Try again in a moment.")
        return answer.status_code, _json(answer) or {}


def client() -> httpx.Client:
    """HTTP that follows nothing: an answer that sends elsewhere could send a token there."""
    return httpx.Client(timeout=httpx.Timeout(10.0), follow_redirects=False)


def is_safe(address: str) -> bool:
    """https, or plain http on this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )


def _address(metadata: Mapping[str, Any], name: str, without: str = "") -> str:
    value = metadata.get(name)
    if value is None:
        raise LoginFailed(f"This sign-in provider offers {without} ({name} is missing). Make an API key instead.")
    if not isinstance(value, str) or not is_safe(value):
        raise LoginFailed(f"The sign-in provider names an address that is not safe ({name}).")
    return value


def _json(answer: httpx.Response) -> Mapping[str, Any] | None:
    if len(answer.content) > MAX_ANSWER_BYTES:
        return None
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _error(answer: Mapping[str, Any]) -> str:
    """The error's code alone: descriptions may repeat what was sent."""
    code = answer.get("error")
    return code[:64] if isinstance(code, str) and code.isascii() and code.isprintable() else "without saying why"
