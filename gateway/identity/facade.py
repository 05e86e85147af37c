"""`Identity`: everything the rest of the gateway asks about who someone is."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import Denied, Unauthenticated
from gateway.exchange import Actor, Credentials, Origin
from gateway.identity import cookies, discovery
from gateway.identity.access_review import AccessReview
from gateway.identity.api_keys import GRANTABLE, ApiKeys
from gateway.identity.authenticate import Authenticator, OnRefusedKey, answering
from gateway.identity.backchannel import BackChannel, OnRefusedLogout
from gateway.identity.cookies import Cookie, CookieNames
from gateway.identity.csrf import CsrfGuard
from gateway.identity.derived import DerivedKeys
from gateway.identity.door import Door, OnWait
from gateway.identity.drafts import Drafts
from gateway.identity.emergency import Emergencies
from gateway.identity.leaving import Leaving
from gateway.identity.mapping_desk import MappingDesk
from gateway.identity.minting import Minting
from gateway.identity.notices import Notices
from gateway.identity.oidc import OidcProvider
from gateway.identity.own_sessions import OwnSessions
from gateway.identity.people import People
from gateway.identity.proposal_kinds import ProposalKinds
from gateway.identity.proposals import Proposals
from gateway.identity.provisioned import Provisioned
from gateway.identity.recheck import OnLapse, Recheck
from gateway.identity.roles import RoleMap
from gateway.identity.roster import Roster
from gateway.identity.sealing import Sealer
from gateway.identity.seals import Seals
from gateway.identity.service_accounts import ServiceAccounts
from gateway.identity.service_desk import ServiceDesk
from gateway.identity.sessions import Sessions
from gateway.identity.sign_in import Arrival, Departure, SignIn
from gateway.identity.transactions import TransactionBox
from gateway.settings import IdentitySettings
from gateway.storage.database import Database

OnForeignForm = Callable[[Credentials, Origin], Awaitable[None]]
"""Told of an unsafe request with a session's cookie that no page of ours sent. Must not raise."""


class Identity:
    """Composes the parts of this folder. Its tables have to exist; it opens no connection before it is asked."""

    def __init__(
        self,
        settings: IdentitySettings,
        public_url: str,
        db: Database,
        clock: Callable[[], datetime],
        on_refused_key: OnRefusedKey | None = None,
        on_foreign_form: OnForeignForm | None = None,
        on_wait: OnWait | None = None,
        on_lapse: OnLapse | None = None,
        on_refused_logout: OnRefusedLogout | None = None,
    ) -> None:
        """Raises ValueError when a setting would be unsafe: the gateway then does not start. The last five are told
        of what is turned away here, and must not raise."""
        self._on_foreign_form = on_foreign_form
        public_url = public_url.rstrip("/")
        derived = DerivedKeys.from_file(settings.secret_path)
        self._public_url = public_url
        self._cookie_names = CookieNames(secure=settings.cookie_secure, public_url=public_url)
        tls = ssl.create_default_context()
        self._http = discovery.client(tls)
        self._roles = RoleMap(settings.roles)
        self._providers = {
            provider.name: OidcProvider(
                provider,
                settings,
                redirect_uri=f"{public_url}/auth/callback/{provider.name}",
                http=self._http,
                tls=tls,
                clock=clock,
            )
            for provider in settings.providers
        }
        self.door = Door(settings.throttle, self._cookie_names, derived.known_browser, clock, on_wait)
        self.drafts = Drafts(derived.form_draft, self._cookie_names, clock)
        self.notices = Notices(db, clock)
        self._csrf = CsrfGuard(derived.csrf, _origin_of(public_url))
        self.provisioned = Provisioned(settings.providers, db, self._roles, clock)
        self.people = People(db, self._roles, clock, self.provisioned)
        sealer = Sealer(derived.provider_tokens)
        self._sessions = Sessions(db, settings, self._roles, clock, sealer)
        self.leaving = Leaving(db, self._providers, sealer, clock)
        self.own_sessions = OwnSessions(db, self.leaving, clock)
        self.back_channel = BackChannel(
            self._providers, self.leaving, settings.clock_leeway_seconds, clock, on_refused_logout
        )
        recheck = Recheck(
            database=db,
            sessions=self._sessions,
            people=self.people,
            providers=self._providers,
            sealer=sealer,
            clock=clock,
            on_lapse=on_lapse,
        )
        api_keys = ApiKeys(db, derived.api_key_pepper, clock)
        self.keys = Minting(api_keys, self.notices, settings, clock)
        self.proposals = Proposals(db, clock, lifetime=timedelta(days=settings.proposal_days))
        self.services = ServiceDesk(
            database=db,
            settings=settings,
            accounts=ServiceAccounts(db, clock),
            api_keys=api_keys,
            persons=self.people,
            proposals=self.proposals,
            notices=self.notices,
            clock=clock,
        )
        self.mapping = MappingDesk(
            database=db, roles=self._roles, notices=self.notices, proposals=self.proposals, clock=clock
        )
        self.roster = Roster(
            database=db, roles=self._roles, leaving=self.leaving, keys=api_keys, notices=self.notices, clock=clock
        )
        self.access_review = AccessReview(
            database=db,
            settings=settings,
            roles=self._roles,
            roster=self.roster,
            accounts=self.services.accounts,
            keys=api_keys,
            clock=clock,
            version=lambda: self.mapping.live.version,
        )
        self.emergency = Emergencies(
            database=db,
            settings=settings.emergency,
            seals=Seals(db, derived.emergency_code, derived.emergency_totp, clock),
            ticket_key=derived.emergency_ticket,
            cookie_names=self._cookie_names,
            csrf=self._csrf,
            started=self._sessions,
            notices=self.notices,
            clock=clock,
        )
        self.proposal_kinds: ProposalKinds = {kind.name: kind for kind in (*self.services.kinds, self.mapping.kind)}
        self.authenticator = Authenticator(
            settings=settings,
            cookie_names=self._cookie_names,
            sessions=self._sessions,
            api_keys=api_keys,
            people=self.people,
            providers=self._providers,
            roles=self._roles,
            services=self.services.accounts,
            clock=clock,
            on_refused_key=on_refused_key,
            provisioned=self.provisioned,
            recheck=recheck,
        )
        self._sign_in = SignIn(
            providers=self._providers,
            cookie_names=self._cookie_names,
            box=TransactionBox(derived.sign_in, clock),
            database=db,
            people=self.people,
            sessions=self._sessions,
            sealer=sealer,
            roles=self._roles,
            clock=clock,
            provisioned=self.provisioned,
        )

    async def aclose(self) -> None:
        """Close the connections to the providers."""
        await self._http.aclose()

    @property
    def providers(self) -> Mapping[str, str]:
        """Name -> label of each sign-in provider, for the sign-in page."""
        return {name: provider.provider.label for name, provider in self._providers.items()}

    async def authenticate(self, credentials: Credentials, origin: Origin, *, is_leaving: bool = False) -> Actor:
        """Who is asking. Raises Unauthenticated, or RateLimited instead when too many were refused from there;
        IdentityUnavailable; and Denied when a session cookie comes with an unsafe method and without proof that one of
        our own pages sent it."""
        if not self._is_sent_by_us(credentials):
            if self._on_foreign_form is not None:
                await self._on_foreign_form(credentials, origin)
            raise Denied(
                "This request did not come from a page of Imprimatur, so it was not carried out. "
                "Reload the page and try again.",
                code="csrf_refused",
            )
        try:
            return await self.authenticator.from_headers(
                authorization=credentials.authorization,
                cookie=credentials.cookie,
                origin=origin,
                is_leaving=is_leaving,
            )
        except Unauthenticated:
            if credentials.authorization is not None:  # a session's cookie ends by itself, and is no attempt then
                await self.door.credential_refused(origin)
            raise

    def csrf_token(self, credentials: Credentials) -> str:
        """What our pages send back in `x-csrf-token` or the field `csrf_token`. Empty without a session cookie."""
        secret = cookies.read(credentials.cookie, self._cookie_names.session)
        return "" if secret is None else self._csrf.token(secret)

    def _is_sent_by_us(self, credentials: Credentials) -> bool:
        """Stops another site from acting through somebody's browser (CSRF). Before the database is asked: the answer
        must not depend on whether the session is good."""
        if not cookies.is_present(credentials.cookie, self._cookie_names.session):
            return True
        return self._csrf.is_ours(
            method=credentials.method,
            session_id=cookies.read(credentials.cookie, self._cookie_names.session) or "",
            origin=credentials.site_origin,
            fetch_site=credentials.fetch_site,
            token=credentials.csrf_token,
        )

    async def begin_sign_in(self, provider: str | None, return_to: str | None) -> Departure:
        """Send someone to their provider. Raises InvalidRequest, IdentityUnavailable."""
        return await self._sign_in.depart(provider, return_to)

    async def begin_step_up(self, credentials: Credentials, max_age_seconds: int, return_to: str | None) -> Departure:
        """Send someone back to their provider for a fresh second factor. Raises Unauthenticated without a session."""
        async with answering():
            session = await self.authenticator.session(credentials.cookie)
        provider = session.person.id.partition("|")[0]
        return await self._sign_in.depart(provider, return_to, session=session, max_age_seconds=max_age_seconds)

    async def identify(self, provider: str, parameters: Mapping[str, str], cookie: str | None) -> Arrival:
        """Judge an answer of a provider; stores nothing. Record the arrival's event, then `admit` it."""
        return await self._sign_in.identify(provider, parameters, cookie)

    async def admit(self, arrival: Arrival, origin: Origin | None = None) -> tuple[Cookie, ...]:
        """Let a recorded arrival in. Returns the cookies to set."""
        return await self._sign_in.admit(arrival, origin)

    async def sign_out(self, actor: Actor) -> tuple[Cookie, str | None]:
        """End all sessions of the actor, on every device. Returns the cookie that clears this browser, and where the
        provider's own session ends, if it offers that. Raises Unauthenticated for anything but a session."""
        if actor.method != "session":
            raise Unauthenticated("Only a browser session can sign out. To end a key, revoke it under /v1/keys.")
        async with answering():
            ended = await self.leaving.everywhere(actor.id)
        await self.leaving.give_back(ended)
        provider = self._providers.get(actor.id.partition("|")[0])
        hint = next((one.id_token for one in ended if one.credential_id == actor.credential_id), "")
        url = await provider.logout_url(f"{self._public_url}/signed-out", hint) if provider else None
        return self._sign_in.forget_cookie(), url

    def protected_resource(self) -> dict[str, Any]:
        """RFC 9728 metadata: where a program gets access tokens for us."""
        givers = [p.provider for p in self._providers.values() if p.provider.access_token_audience]
        devices = {giver.issuer: giver.device_client_id for giver in givers if giver.device_client_id}
        return {
            "resource": self._public_url,
            "resource_name": "Imprimatur",
            "bearer_methods_supported": ["header"],
            "scopes_supported": sorted(GRANTABLE),
            # Zero-element members are left out (RFC 9728, section 3.2).
            **({"authorization_servers": [giver.issuer for giver in givers]} if givers else {}),
            # Ours: the public client with which `imprimatur login` signs people in at each issuer (RFC 8628).
            **({"imprimatur_device_client_ids": devices} if devices else {}),
        }


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
