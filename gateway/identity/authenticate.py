"""Who is asking? A session cookie, an API key or an access token becomes an Actor, or the request ends here.

Precedence: there is none. A request shows one credential; one that shows a session cookie *and* an Authorization header
is refused, because the two may be two people and any choice between them could be the wrong one (RFC 6750, section 2).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import IdentityUnavailable, Unauthenticated
from gateway.exchange import Actor, ActorId, Mfa, Origin
from gateway.identity import cookies, mfa
from gateway.identity.api_keys import PREFIXES, ApiKeys, FoundKey
from gateway.identity.cookies import CookieNames
from gateway.identity.networks import contains
from gateway.identity.oidc import OidcProvider
from gateway.identity.people import People, Person
from gateway.identity.profile import describe
from gateway.identity.provisioned import Provisioned, Standing, directory_subject
from gateway.identity.recheck import Recheck
from gateway.identity.refusals import refused_credential
from gateway.identity.roles import RoleMap
from gateway.identity.service_accounts import ROLES as SERVICE_ROLES
from gateway.identity.service_accounts import Fault, ServiceAccount, ServiceAccounts, is_service
from gateway.identity.sessions import Session, Sessions
from gateway.identity.tokens import TokenRefused, Use, VerifiedToken, issuer_of
from gateway.settings import IdentitySettings
from gateway.vocabulary import Permission

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9\-._~+/]+=*)")
"""RFC 6750, section 2.1: one space, one b64token."""

KeyFault = Literal["key-revoked", "key-expired", "owner-suspended", "network-not-of-key"] | Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceToken:
    """A provider's access token for a service, good by itself. Whether it may be used is the next question."""

    credential_id: str
    owner: Person
    """The service's own row."""


OnRefusedKey = Callable[[KeyFault, FoundKey | ServiceToken, Origin], Awaitable[None]]
"""Told of a good key or a service's good token that may not be used. Must not raise: the refusal stands whatever
becomes of the telling."""

_KNOWN_SCOPES: Final = {permission.value: permission for permission in Permission}


class Authenticator:
    """Turns credentials into actors."""

    def __init__(
        self,
        *,
        settings: IdentitySettings,
        cookie_names: CookieNames,
        sessions: Sessions,
        api_keys: ApiKeys,
        people: People,
        providers: Mapping[str, OidcProvider],
        roles: RoleMap,
        services: ServiceAccounts,
        clock: Callable[[], datetime],
        on_refused_key: OnRefusedKey | None = None,
        provisioned: Provisioned | None = None,
        recheck: Recheck | None = None,
    ) -> None:
        self._recheck = recheck
        self._settings = settings
        self._provisioned = provisioned
        self._on_refused_key = on_refused_key
        self._cookie_names = cookie_names
        self._sessions = sessions
        self._api_keys = api_keys
        self._people = people
        self._by_issuer = {provider.provider.issuer: provider for provider in providers.values()}
        self._roles = roles
        self._services = services
        self._clock = clock

    async def from_headers(
        self, *, authorization: str | None, cookie: str | None, origin: Origin, is_leaving: bool = False
    ) -> Actor:
        """The actor. Raises Unauthenticated with one sentence whatever was wrong, IdentityUnavailable when it can't be
        known. `origin` is where the request came from: keys and services are held to networks by it. Somebody who
        `is_leaving` may do so whatever their provider says."""
        has_session = cookies.is_present(cookie, self._cookie_names.session)
        if authorization is None and not has_session:
            raise Unauthenticated(
                "This needs you to be signed in. In the browser: sign in. In a program: send an API key as "
                "`Authorization: Bearer …`.",
                code="missing_credentials",
            )
        async with answering():
            if authorization is not None and has_session:
                raise refused_credential("two-credentials")
            if authorization is None:
                session = await self.session(cookie)
                if self._recheck is not None and not is_leaving:
                    session = await self._recheck.confirm(session, origin)
                return actor_of_session(session)
            match = _BEARER.fullmatch(authorization)
            if match is None:
                raise refused_credential("scheme")
            if match[1].startswith(PREFIXES):
                return await self._from_key(match[1], origin)
            return await self._from_token(match[1], origin)

    async def session(self, cookie: str | None) -> Session:
        """The session of a Cookie header. Raises Unauthenticated."""
        secret = cookies.read(cookie, self._cookie_names.session)
        session = None if secret is None else await self._sessions.find(secret)
        if session is None:
            raise refused_credential("session")
        return session

    async def _from_key(self, secret: str, origin: Origin) -> Actor:
        found = await self._api_keys.find(secret)
        if found is None:
            raise refused_credential("key-unknown")
        service = await self._services.find(found.owner.id) if is_service(found.owner.id) else None
        fault = self._fault_of(found, service, origin)
        if fault is not None:
            raise await self._refused(fault, found, origin)
        await self._api_keys.used(found.info, origin.ip)
        if service is not None:
            return _service(service, "api-key", found.credential_id, found.info.scopes)
        return Actor(
            id=found.owner.id,
            display_name=found.owner.display_name,
            method="api-key",
            credential_id=found.credential_id,
            # The owner's roles of today, narrowed by the key's scopes: policy sees both.
            roles=self._roles.roles_of(found.owner.groups, who=found.owner.id),
            scopes=found.info.scopes,
            groups=found.owner.groups,
            department=found.owner.department,
            email=found.owner.email,
            mfa=found.info.mfa,
        )

    def _fault_of(self, found: FoundKey, service: ServiceAccount | None, origin: Origin) -> KeyFault | None:
        """Why a key whose secret is right may not be used; None when it may."""
        now = self._clock()
        if found.info.revoked_at is not None:
            return "key-revoked"
        if now >= found.info.expires_at:
            return "key-expired"
        if not contains(found.info.networks, origin.ip):
            return "network-not-of-key"
        if service is not None:
            return self._service_fault(service, origin)
        if not found.owner.is_active:
            return "owner-suspended"
        if now - found.owner.groups_at >= timedelta(days=self._settings.groups_max_age_days):
            return "owner-not-seen"
        return None

    def _service_fault(self, service: ServiceAccount, origin: Origin) -> KeyFault | None:
        """What stands in the way of a service whatever it shows: its owner, its own networks."""
        fault = service.fault(self._clock(), self._settings.groups_max_age_days)
        if fault is None and not contains(service.terms.networks, origin.ip):
            return "network-not-of-key"
        return fault

    async def _refused(self, fault: KeyFault, shown: FoundKey | ServiceToken, origin: Origin) -> Unauthenticated:
        """Whoever is here has the whole key: a leak, or a program that nobody told. Worth an auditor's look. Where
        from a key may be used is not told to them either."""
        if self._on_refused_key is not None:
            await self._on_refused_key(fault, shown, origin)
        return refused_credential(fault, shown.credential_id)

    async def _from_token(self, token: str, origin: Origin) -> Actor:
        provider = self._by_issuer.get(issuer_of(token))
        if provider is None or not provider.provider.access_token_audience:
            raise refused_credential("token-issuer")
        try:
            verified = await provider.verifier.verify(
                token,
                Use.ACCESS_TOKEN,
                audience=provider.provider.access_token_audience,
                client_id=provider.provider.client_id,
            )
        except TokenRefused as fault:
            raise refused_credential(f"token-{fault.fault}") from None
        id = ActorId(f"{provider.provider.name}|{verified.subject}")
        person = await self._people.find(id)
        service = await self._services.of_client(provider.provider.name, verified.subject)
        if service is not None:
            return await self._service_of_token(service, person, verified, origin)
        _check_owner(person, verified)
        standing = Standing()
        if self._provisioned is not None:
            standing = await self._provisioned.standing(id, directory_subject(provider.provider, verified.claims))
        if standing.fault is not None:
            raise refused_credential(f"owner-{standing.fault.value.partition('.')[2]}")
        described = describe(provider.provider.profile, verified.claims, verified.subject)
        # Groups in the token are younger than ours; a token without any leaves those of the last sign-in.
        names_groups = provider.provider.profile.groups_claim in verified.claims
        groups = described.groups if names_groups or person is None else person.groups
        groups = tuple(dict.fromkeys((*groups, *standing.groups)))
        return Actor(
            id=id,
            display_name=described.display_name if person is None else person.display_name,
            method="access-token",
            credential_id=f"token-{verified.claims['jti'][:64]}",
            roles=self._roles.roles_of(groups, who=id),
            scopes=_scopes(verified.claims),
            groups=groups,
            department=described.department if person is None else person.department,
            email=described.email if person is None else person.email,
            mfa=self._mfa_of(provider, verified),
        )

    async def _service_of_token(
        self, service: ServiceAccount, person: Person | None, verified: VerifiedToken, origin: Origin
    ) -> Actor:
        """A service that shows its provider's token, made for its own client. A subject that is also a person's is
        neither: their token must not act as a service, nor a client's as them (RFC 9068, section 5)."""
        if person is not None:
            raise refused_credential("token-ambiguous")
        credential = f"token-{verified.claims['jti'][:64]}"
        fault = self._service_fault(service, origin)
        if fault is not None:
            raise await self._refused(fault, ServiceToken(credential_id=credential, owner=service.person), origin)
        _check_owner(service.person, verified)
        return _service(service, "access-token", credential, _scopes(verified.claims))

    def _mfa_of(self, provider: OidcProvider, verified: VerifiedToken) -> Mfa:
        return mfa.evidence(
            provider.provider.profile,
            verified.claims,
            now=self._clock(),
            callback=False,
            leeway_seconds=self._settings.clock_leeway_seconds,
        )


def actor_of_session(session: Session) -> Actor:
    """The actor of a good session."""
    person = session.person
    return Actor(
        id=person.id,
        display_name=person.display_name,
        method="session",
        credential_id=session.credential_id,
        roles=session.roles,
        groups=person.groups,
        department=person.department,
        email=person.email,
        mfa=session.mfa,
    )


def _service(
    service: ServiceAccount,
    method: Literal["api-key", "access-token"],
    credential_id: str,
    scopes: frozenset[Permission],
) -> Actor:
    """A service acts within what its credential carries and what it may have today. No groups, no second factor."""
    return Actor(
        id=service.id,
        display_name=service.person.display_name,
        method=method,
        credential_id=credential_id,
        roles=SERVICE_ROLES,
        scopes=scopes & service.terms.scopes,
    )


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """A database that does not answer means: we can't know who this is. So nobody comes in, and it says why."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:  # asyncpg lets a refused connection through as it is
        raise IdentityUnavailable(
            "Imprimatur can't look up who you are right now. Nothing was done. Try again in a moment.",
            retry_after_seconds=5,
        ) from error


def _check_owner(person: Person | None, verified: VerifiedToken) -> None:
    if person is None:
        return
    if not person.is_active:
        raise refused_credential("owner-suspended")
    if person.revoked_at is not None and verified.issued_at <= person.revoked_at:
        raise refused_credential("token-revoked")


def _scopes(claims: Mapping[str, Any]) -> frozenset[Permission]:
    """Permissions named in `scope` (RFC 9068, 2.2.3). None named: the token may do nothing here."""
    scope = claims.get("scope")
    words = scope.split() if isinstance(scope, str) else ()
    return frozenset(_KNOWN_SCOPES[word] for word in words if word in _KNOWN_SCOPES)
