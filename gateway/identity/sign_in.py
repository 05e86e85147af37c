"""A person's way in: away to their provider, back with an answer, and only then a session.

1. `depart`   remember the sign-in in a sealed cookie, send the person to the provider
2. `identify` tie the answer to this browser, verify it, ask for a second factor; nothing is stored
3. (the route writes the sign-in into the audit log, or nothing further happens)
4. `admit`    write the person and the session down, hand out the cookie

Step-up is the same way with two more questions: the same person, and a second factor younger than asked.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from gateway.errors import InvalidRequest
from gateway.exchange import Actor, ActorId, Mfa, Origin
from gateway.identity import cookies
from gateway.identity.authenticate import answering
from gateway.identity.cookies import Cookie, CookieNames
from gateway.identity.mfa import is_fresh
from gateway.identity.oidc import Identified, OidcProvider
from gateway.identity.people import People, Person
from gateway.identity.profile import Described
from gateway.identity.provisioned import SENTENCES, Provisioned, Standing
from gateway.identity.refusals import SignInRefused, invalid_sign_in
from gateway.identity.return_to import local_path
from gateway.identity.roles import RoleMap
from gateway.identity.sealing import ProviderTokens, Purpose, Sealer
from gateway.identity.sessions import Session, SessionId, Sessions, credential_id, digest_of
from gateway.identity.transactions import LIFETIME_SECONDS, Transaction, TransactionBox
from gateway.storage.database import Database
from gateway.vocabulary import Code, Event

STEP_UP_MIN_SECONDS: Final = 60
"""A second factor has to be typed and travel: asking for a younger one than this would never be satisfied."""
STEP_UP_MAX_SECONDS: Final = 12 * 3600
_STATE_CHARACTERS: Final = 43


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Send the browser to `url`, with `cookie`."""

    url: str = field(repr=False)
    cookie: Cookie


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Someone who may come in as soon as that is recorded. `event` says what to record, `actor` who."""

    event: Event
    actor: Actor
    return_to: str
    described: Described
    directory_subject: str = ""
    session_id: SessionId
    replaces: tuple[str, ...] = ()
    """Digests of sessions of this browser that end with the new one."""
    expires_at: datetime | None = None
    tokens: ProviderTokens
    spent: Cookie
    """Deletes the sign-in cookie."""


class SignIn:
    """Both halves of a sign-in, over all providers."""

    def __init__(
        self,
        *,
        providers: Mapping[str, OidcProvider],
        cookie_names: CookieNames,
        box: TransactionBox,
        database: Database,
        people: People,
        sessions: Sessions,
        sealer: Sealer,
        roles: RoleMap,
        clock: Callable[[], datetime],
        provisioned: Provisioned | None = None,
    ) -> None:
        self._provisioned = provisioned
        self._providers = providers
        self._cookie_names = cookie_names
        self._box = box
        self._database = database
        self._people = people
        self._sessions = sessions
        self._sealer = sealer
        self._roles = roles
        self._clock = clock

    async def depart(
        self, provider: str | None, return_to: str | None, *, session: Session | None = None, max_age_seconds: int = 0
    ) -> Departure:
        """Begin a sign-in, or with `session` a step-up of it. Raises InvalidRequest, IdentityUnavailable."""
        name = provider or (next(iter(self._providers)) if len(self._providers) == 1 else "")
        if name not in self._providers:
            raise InvalidRequest(
                "There is no such sign-in provider here. Choose one of: "
                + (", ".join(self._providers) or "none set up"),
                param="provider",
            )
        transaction = Transaction(
            provider=name,
            return_to=local_path(return_to),
            step_up_of=session.digest if session else "",
            max_age_seconds=min(max(max_age_seconds, STEP_UP_MIN_SECONDS), STEP_UP_MAX_SECONDS) if session else None,
        )
        url = await self._providers[name].authorization_url(transaction)
        return Departure(
            url=url,
            cookie=Cookie(
                name=self._cookie_names.sign_in(transaction.state),
                value=self._box.seal(transaction),
                max_age_seconds=LIFETIME_SECONDS,
                secure=self._cookie_names.secure,
            ),
        )

    async def identify(self, provider: str, parameters: Mapping[str, str], cookie: str | None) -> Arrival:
        """Judge what came back. Raises SignInRefused with reasons for the record, IdentityUnavailable."""
        transaction = self._transaction(provider, parameters.get("state"), cookie)
        current = await self._current(cookie)
        if transaction.step_up_of and (current is None or current.digest != transaction.step_up_of):
            raise invalid_sign_in("step-up-session", provider)
        identified = await self._providers[provider].finish(transaction, parameters)
        id = ActorId(f"{provider}|{identified.subject}")
        given = await self._check_may_enter(id, identified.directory_subject)
        self._check_second_factor(provider, id, identified.mfa)
        before = current if transaction.step_up_of else None
        if before is not None:
            self._check_step_up(transaction, id, before, identified.mfa)
        session_id = SessionId()
        presented = cookies.read(cookie, self._cookie_names.session)
        return Arrival(
            event=Event.SIGN_IN if before is None else Event.STEP_UP,
            actor=self._actor(id, identified, session_id, given),
            return_to=transaction.return_to,
            described=identified.described,
            directory_subject=identified.directory_subject,
            session_id=session_id,
            replaces=(digest_of(presented),) if presented else (),
            expires_at=None if before is None else before.expires_at,
            tokens=self._tokens(identified.tokens, before),
            spent=self._delete(self._cookie_names.sign_in(transaction.state)),
        )

    async def admit(self, arrival: Arrival, origin: Origin | None = None) -> tuple[Cookie, ...]:
        """Write the person and the session down, in one transaction, and return the cookies to set. The id is new, so
        whatever the browser held before opens nothing any more. Raises SignInRefused if suspended meanwhile."""
        async with answering(), self._database.transaction() as tx:
            person = await self._people.seen(
                tx, arrival.actor.id, arrival.described, directory_subject=arrival.directory_subject
            )
            if not person.is_active:
                raise _shut_out(person)
            for digest in arrival.replaces:
                await self._sessions.end(tx, digest)
            end = await self._sessions.start(
                tx,
                arrival.session_id,
                person,
                arrival.actor.mfa,
                expires_at=arrival.expires_at,
                tokens=arrival.tokens,
                origin=origin,
            )
        session = Cookie(
            name=self._cookie_names.session,
            value=arrival.session_id.secret,
            max_age_seconds=max(0, int((end - self._clock()).total_seconds())),
            secure=self._cookie_names.secure,
        )
        return session, arrival.spent

    def forget_cookie(self) -> Cookie:
        """Deletes the session cookie."""
        return self._delete(self._cookie_names.session)

    def _tokens(self, given: ProviderTokens, before: Session | None) -> ProviderTokens:
        """What to keep. A provider that gives no new refresh token at a step-up left the old one good."""
        if given.refresh_token or before is None:
            return given
        old = self._sealer.open(before.sealed_refresh_token, Purpose.REFRESH, before.digest)
        return replace(given, refresh_token=old or "")

    def _transaction(self, provider: str, state: str | None, cookie: str | None) -> Transaction:
        """The sign-in that this browser began. Stops an answer being planted here: another's code, or another's
        sign-in (login CSRF; RFC 9700, 4.7)."""
        state = state or ""
        transaction = None
        if len(state) == _STATE_CHARACTERS and state.isascii():
            transaction = self._box.open(cookies.read(cookie, self._cookie_names.sign_in(state)))
        if (
            transaction is None
            or not hmac.compare_digest(transaction.state.encode(), state.encode())
            or transaction.provider != provider
            or provider not in self._providers
        ):
            raise invalid_sign_in("state", provider if provider in self._providers else "")
        return transaction

    async def _current(self, cookie: str | None) -> Session | None:
        secret = cookies.read(cookie, self._cookie_names.session)
        if secret is None:
            return None
        async with answering():
            return await self._sessions.find(secret)

    async def _check_may_enter(self, id: ActorId, directory_subject: str) -> tuple[str, ...]:
        """Returns the groups that the person's directory adds to those of the provider."""
        async with answering():
            person = await self._people.find(id)
            standing = (
                Standing() if self._provisioned is None else await self._provisioned.standing(id, directory_subject)
            )
        if person is not None and not person.is_active:
            raise _shut_out(person)
        if standing.fault is not None:
            raise SignInRefused(standing.fault, SENTENCES[standing.fault], actor=id)
        return standing.groups

    def _check_second_factor(self, provider: str, id: ActorId, mfa: Mfa) -> None:
        if mfa.at is None:
            label = self._providers[provider].provider.label
            raise SignInRefused(
                Code.MFA_MISSING,
                f"You signed in at {label} without a second factor, and Imprimatur opens only with one. Set up an "
                "authenticator app in your account there, sign out there, then sign in here again.",
                actor=id,
            )

    def _check_step_up(self, transaction: Transaction, id: ActorId, current: Session, mfa: Mfa) -> None:
        if current.person.id != id:
            raise SignInRefused(
                Code.SUBJECT_OTHER_PERSON,
                "Someone else signed in just now than the person this session belongs to. Nothing was changed. "
                "Sign out first to change the person.",
                actor=id,
            )
        if not is_fresh(mfa, transaction.max_age_seconds or STEP_UP_MIN_SECONDS, self._clock()):
            raise SignInRefused(
                Code.MFA_STALE,
                "Your provider sent you back without asking for your second factor again, so this step is still "
                "closed. Try again and complete the sign-in there.",
                actor=id,
            )

    def _actor(self, id: ActorId, identified: Identified, session_id: SessionId, given: tuple[str, ...]) -> Actor:
        described = identified.described
        groups = tuple(dict.fromkeys((*described.groups, *given)))
        return Actor(
            id=id,
            display_name=described.display_name,
            method="session",
            credential_id=credential_id(session_id.digest),
            roles=self._roles.roles_of(groups, who=id),
            groups=groups,
            department=described.department,
            email=described.email,
            mfa=identified.mfa,
        )

    def _delete(self, name: str) -> Cookie:
        return Cookie(name=name, value="", max_age_seconds=0, secure=self._cookie_names.secure)


def _shut_out(person: Person) -> SignInRefused:
    if person.deprovisioned_at is not None:
        return SignInRefused(Code.SUBJECT_DEPROVISIONED, SENTENCES[Code.SUBJECT_DEPROVISIONED], actor=person.id)
    return SignInRefused(
        Code.SUBJECT_SUSPENDED,
        "Your access to Imprimatur is suspended. Nothing of yours was deleted. Ask the administrators of Imprimatur "
        "what happened and how to come back.",
        actor=person.id,
    )
