"""Signing in at one provider: authorization code with PKCE (OpenID Connect Core 3.1; RFC 7636; RFC 9700).

Authlib writes the requests. What comes back is judged here and in `tokens.py`.
"""

from __future__ import annotations

import logging
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError

from gateway.errors import IdentityUnavailable
from gateway.exchange import Mfa
from gateway.identity import mfa
from gateway.identity.discovery import TIMEOUT, Discovery, ProviderMetadata, fetch_object, unreachable
from gateway.identity.jwks import KeyCache
from gateway.identity.profile import Described, describe
from gateway.identity.provisioned import directory_subject
from gateway.identity.refusals import SignInRefused, invalid_sign_in
from gateway.identity.sealing import ProviderTokens
from gateway.identity.tokens import MAX_SESSION, TokenRefused, TokenVerifier, Use, VerifiedToken, nonce_of
from gateway.identity.transactions import Transaction
from gateway.settings import IdentitySettings, Provider
from gateway.vocabulary import Code

log = logging.getLogger(__name__)

MAX_HINT: Final = 3072
"""Longest ID token that goes into an address: the usual limit of servers for a request's line is 8 KiB."""
_NO_LONGER: Final = frozenset(
    {"invalid_grant", "access_denied", "login_required", "interaction_required", "consent_required"}
)
"""Errors that speak of the person and their grant, not of our client or the moment (RFC 6749, 5.2; Core 3.1.2.6)."""


class Puzzling(IdentityUnavailable):
    """It answered, and nothing that we understand: about this question, so it says nothing of the next."""

    def __init__(self) -> None:
        error = unreachable()
        super().__init__(error.message, retry_after_seconds=error.retry_after_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Someone whom the provider vouched for just now."""

    subject: str
    described: Described
    mfa: Mfa
    tokens: ProviderTokens
    directory_subject: str = ""
    """By what their directory (SCIM) knows them, where that is another claim than `sub`."""


class Lapsed(Exception):
    """The provider was asked again and does not vouch for the person any more. `cause` is for log and record."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class OidcProvider:
    """One issuer, its verifier, the two halves of a sign-in, and what is asked of it later."""

    def __init__(
        self,
        provider: Provider,
        settings: IdentitySettings,
        *,
        redirect_uri: str,
        http: httpx2.AsyncClient,
        tls: ssl.SSLContext,
        clock: Callable[[], datetime],
    ) -> None:
        self.provider = provider
        self._redirect_uri = redirect_uri
        self._http = http
        self._tls = tls
        self._clock = clock
        self._leeway = settings.clock_leeway_seconds
        self._secret = _client_secret(provider)
        self._discovery = Discovery(provider.issuer, http, clock)
        keys = KeyCache(
            self._discovery.keys,
            ttl_seconds=settings.jwks_ttl_seconds,
            floor_seconds=settings.jwks_refresh_floor_seconds,
            clock=clock,
        )
        self.verifier = TokenVerifier(
            issuer=provider.issuer,
            algorithms=provider.algorithms,
            keys=keys,
            leeway_seconds=settings.clock_leeway_seconds,
            clock=clock,
            plain_logout_typ=provider.profile.logout_token_typ_jwt,
        )

    async def authorization_url(self, transaction: Transaction) -> str:
        """Where to send the person. Raises IdentityUnavailable."""
        asked: dict[str, Any] = {"nonce": transaction.nonce}
        if transaction.max_age_seconds is not None:
            # `prompt=login`: the provider's own session may be fresh enough for it, and the point is a present person.
            # Not `max_age=0`: canaille goes in circles then; an age of one second asks for the same.
            asked |= {"prompt": "login", "max_age": str(max(1, transaction.max_age_seconds))}
        if self.provider.acr_values:
            asked["acr_values"] = self.provider.acr_values
        metadata = await self._discovery.metadata()
        async with self._client(metadata) as client:
            url, _ = client.create_authorization_url(
                metadata.authorization_endpoint, state=transaction.state, code_verifier=transaction.verifier, **asked
            )
        return str(url)

    async def finish(self, transaction: Transaction, parameters: Mapping[str, str]) -> Identified:
        """Who came back. Raises SignInRefused when the answer is not good, IdentityUnavailable when the provider
        does not answer. The caller has tied `transaction` to this browser and compared `state`."""
        metadata = await self._discovery.metadata()
        self._check_response_issuer(metadata, parameters.get("iss"))
        if "error" in parameters:
            log.info("sign-in.provider-refused", extra={"fields": {"provider": self.provider.name}})
            raise SignInRefused(
                Code.SUBJECT_SIGN_IN_REFUSED,
                f"{self.provider.label} did not sign you in. Try again; if it goes on, ask your IT support whether "
                "your account may use Imprimatur.",
            )
        answer = await self._exchange(metadata, transaction, parameters.get("code") or "")
        token = await self._id_token(answer, transaction.nonce)
        profile = self.provider.profile
        needed = {profile.groups_claim, profile.mfa_by_userinfo_claim} - {""}
        claims = {**await self._userinfo(metadata, token.subject, token.claims, answer, needed), **token.claims}
        return Identified(
            subject=token.subject,
            described=describe(self.provider.profile, claims, token.subject),
            directory_subject=directory_subject(self.provider, token.claims),
            mfa=mfa.evidence(
                self.provider.profile, claims, now=self._clock(), callback=True, leeway_seconds=self._leeway
            ),
            tokens=ProviderTokens(
                refresh_token=_word(answer.get("refresh_token")),
                id_token=_word(answer.get("id_token")),
                session=_session(token.claims),
            ),
        )

    async def refresh(self, refresh_token: str) -> Mapping[str, Any]:
        """Ask by refresh token (RFC 6749, section 6); the answer is for `confirmed`, once the new token in it is kept.

        Raises Lapsed when the provider says no, IdentityUnavailable when it says nothing that we understand."""
        metadata = await self._discovery.metadata()
        try:
            async with self._client(metadata) as client:
                # No scope: that asks for what was granted before, and can't be too much (RFC 6749, section 6).
                answer = await client.refresh_token(metadata.token_endpoint, refresh_token=refresh_token, scope=None)
        except OAuthError as error:
            if error.error in _NO_LONGER:
                raise Lapsed(error.error) from None
            log.error(
                "recheck.refused", extra={"fields": {"provider": self.provider.name, "error": _word(error.error)}}
            )
            raise Puzzling from None
        except (httpx2.HTTPError, ValueError):
            raise unreachable() from None
        if not _word(answer.get("access_token")):
            raise Puzzling  # 200, and neither a token nor an error: not an answer of RFC 6749
        return dict(answer)

    async def confirmed(self, answer: Mapping[str, Any], subject: str, first_id_token: str) -> Mapping[str, Any] | None:
        """What the provider says of the person now: claims, or None when it only let them go on.

        Never a second factor: nobody was asked for one. Raises Lapsed when the answer is about somebody else or not
        signed as it must be (OpenID Connect Core 12.2), IdentityUnavailable when it can't be judged now."""
        metadata = await self._discovery.metadata()
        claims: Mapping[str, Any] = {}
        token = answer.get("id_token")
        client_id = self.provider.client_id
        try:
            if token is not None:
                verified = await self.verifier.verify(
                    _word(token),
                    Use.REFRESHED_ID_TOKEN,
                    audience=client_id,
                    client_id=client_id,
                    nonce=nonce_of(first_id_token),
                )
                if verified.subject != subject:
                    raise Lapsed("other-subject")
                claims = verified.claims
            found = await self._userinfo(metadata, subject, claims, answer, {self.provider.profile.groups_claim})
        except TokenRefused as fault:
            raise Lapsed(f"id-token-{fault.fault}") from None
        except SignInRefused:
            raise Lapsed("userinfo") from None
        return {**found, **claims} or None

    async def revoke(self, refresh_token: str) -> None:
        """Give a refresh token back (RFC 7009), where the provider offers that. Never raises: ours is over already."""
        try:
            metadata = await self._discovery.metadata()
            if not metadata.revocation_endpoint:
                return
            async with self._client(metadata) as client:
                answer = await client.revoke_token(
                    metadata.revocation_endpoint,
                    token=refresh_token,
                    token_type_hint="refresh_token",  # noqa: S106 a word
                )
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
        except (IdentityUnavailable, OAuthError, httpx2.HTTPError, ValueError):
            log.warning("sign-out.token-not-given-back", extra={"fields": {"provider": self.provider.name}})

    async def logout_url(self, return_to: str, id_token: str = "") -> str | None:
        """Where the provider ends its own session (OpenID Connect RP-Initiated Logout 1.0), if it offers that.

        `id_token` says which session is meant, so that it need not ask the person. One too long for an address is left
        out: then `client_id` says at least who asks. The state comes back and is not looked at: coming back does
        nothing."""
        try:
            metadata = await self._discovery.metadata()
        except IdentityUnavailable:
            return None  # our own session is over either way
        if not metadata.end_session_endpoint:
            return None
        asked = urlencode(
            {
                **({"id_token_hint": id_token} if 0 < len(id_token) <= MAX_HINT else {}),
                "client_id": self.provider.client_id,
                "post_logout_redirect_uri": return_to,
                "state": secrets.token_urlsafe(16),
            }
        )
        separator = "&" if "?" in metadata.end_session_endpoint else "?"
        return f"{metadata.end_session_endpoint}{separator}{asked}"

    def _client(self, metadata: ProviderMetadata) -> Any:
        # A client each time: Authlib's keeps the last token it saw, and two sign-ins must never share one.
        posts = "client_secret_basic" not in metadata.token_auth_methods
        return AsyncOAuth2Client(
            client_id=self.provider.client_id,
            client_secret=self._secret,
            token_endpoint_auth_method=("client_secret_post" if posts else "client_secret_basic")
            if self._secret
            else "none",
            scope=" ".join(self.provider.scopes),
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            verify=self._tls,
        )

    def _check_response_issuer(self, metadata: ProviderMetadata, issuer: str | None) -> None:
        # RFC 9207: stops the mix-up attack, where another provider's answer is brought to this callback.
        if (metadata.sends_iss or issuer is not None) and issuer != self.provider.issuer:
            raise self._invalid("response-issuer")

    async def _exchange(self, metadata: ProviderMetadata, transaction: Transaction, code: str) -> Mapping[str, Any]:
        if not code or len(code) > 4096:
            raise self._invalid("code")
        try:
            async with self._client(metadata) as client:
                answer = await client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=transaction.verifier,
                    redirect_uri=self._redirect_uri,
                )
        except OAuthError as error:
            if error.error == "invalid_client":
                log.error("sign-in.client-refused", extra={"fields": {"provider": self.provider.name}})
                raise unreachable() from None
            raise self._invalid("exchange") from None  # used before, too old, wrong verifier
        except (httpx2.HTTPError, ValueError):
            raise unreachable() from None
        return dict(answer)

    async def _id_token(self, answer: Mapping[str, Any], nonce: str) -> VerifiedToken:
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise self._invalid("no-id-token")
        client_id = self.provider.client_id
        try:
            return await self.verifier.verify(token, Use.ID_TOKEN, audience=client_id, client_id=client_id, nonce=nonce)
        except TokenRefused as fault:
            raise self._invalid(f"id-token-{fault.fault}") from None

    async def _userinfo(
        self,
        metadata: ProviderMetadata,
        subject: str,
        known: Mapping[str, Any],
        answer: Mapping[str, Any],
        needed: set[str],
    ) -> Mapping[str, Any]:
        """Claims that are needed and not known from the ID token. Never `acr`, `amr` or `auth_time`: those describe a
        sign-in, and only the ID token is about this one."""
        profile = self.provider.profile
        if not metadata.userinfo_endpoint or needed <= known.keys():
            return {}
        bearer = _word(answer.get("access_token"))
        if not bearer:
            raise self._invalid("no-access-token")
        headers = {"authorization": f"Bearer {bearer}"}
        found = await fetch_object(self._http, metadata.userinfo_endpoint, headers=headers)
        if found.get("sub") != subject:
            raise self._invalid("userinfo-subject")  # Core 5.3.2: stops a swapped access token
        wanted = needed | {profile.department_claim, "email", *profile.name_claims}
        return {name: value for name, value in found.items() if name in wanted}

    def _invalid(self, fault: str) -> SignInRefused:
        return invalid_sign_in(fault, self.provider.name)


def _word(value: Any) -> str:
    """A token as it may travel; empty for anything else."""
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else ""


def _session(claims: Mapping[str, Any]) -> str:
    session = claims.get("sid")
    return session if isinstance(session, str) and len(session) <= MAX_SESSION and session.isprintable() else ""


def _client_secret(provider: Provider) -> str | None:
    """Raises ValueError when the file that the settings name can't be read: the gateway then does not start."""
    if provider.client_secret_path is None:
        return None
    try:
        return provider.client_secret_path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"identity.providers.{provider.name}.client_secret_path: {error}") from error
