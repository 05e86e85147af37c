"""Who may make an API key, and what it may carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Denied, InvalidRequest, NotFound, StepUpRequired
from gateway.exchange import Actor, Reason, StepUp
from gateway.identity.api_keys import GRANTABLE, ApiKeys, KeyInfo, NewKey
from gateway.identity.authenticate import answering
from gateway.identity.mfa import is_fresh
from gateway.identity.networks import parse_networks
from gateway.identity.notices import NoticeKind, Notices
from gateway.settings import IdentitySettings
from gateway.vocabulary import Code, Permission, Severity

MAX_NAME: Final = 80
MAX_LIVE_KEYS: Final = 20
"""More than a person can look after; a stolen session can't breed hundreds."""


class Minting:
    """The rules around `ApiKeys`: a present person with a fresh second factor, in a browser session."""

    def __init__(
        self, api_keys: ApiKeys, notices: Notices, settings: IdentitySettings, clock: Callable[[], datetime]
    ) -> None:
        self._api_keys = api_keys
        self._notices = notices
        self._settings = settings
        self._clock = clock

    async def prepare(
        self, actor: Actor, *, name: str, scopes: Sequence[str], days: int | None, networks: Sequence[str] = ()
    ) -> NewKey:
        """A key that is not stored yet, so that its record can come first. Raises Denied, StepUpRequired,
        InvalidRequest."""
        self._check_present(actor)
        if not actor.roles:
            raise Denied("You have no role here yet, so a key would open nothing. Ask for access first.")
        if not is_fresh(actor.mfa, self._settings.key_mint_mfa_seconds, self._clock()):
            message = "Making a key needs your second factor once more. Confirm it, then try again."
            raise StepUpRequired(
                message,
                step_up=StepUp(max_age_seconds=self._settings.key_mint_mfa_seconds),
                reasons=[Reason(code=Code.MFA_STALE, message=message, severity=Severity.LOW)],
            )
        name = named(name)
        listed = parse_networks(networks)
        now = self._clock()
        async with answering():
            live = [k for k in await self._api_keys.of(actor.id) if k.revoked_at is None and k.expires_at > now]
        if len(live) >= MAX_LIVE_KEYS:
            raise InvalidRequest(f"You have {len(live)} keys already. Revoke one that you no longer use first.")
        return self._api_keys.make(
            actor.id,
            name=name,
            scopes=granted(scopes),
            lifetime=self._lifetime(days),
            mfa=actor.mfa,
            networks=listed,
        )

    async def store(self, key: NewKey, network: str = "") -> None:
        """Make a prepared key usable, and tell its owner, who may not be who made it. Durable when it returns."""

        async def tell(tx: AsyncConnection) -> None:
            facts = {"name": key.info.name, "network": network}
            told = {name: text for name, text in facts.items() if text}
            await self._notices.tell_within(tx, key.info.actor, NoticeKind.NEW_KEY, **told)

        async with answering():
            await self._api_keys.store(key, tell)

    async def list(self, actor: Actor) -> Sequence[KeyInfo]:
        """The actor's own keys."""
        self._check_present(actor)
        async with answering():
            return await self._api_keys.of(actor.id)

    async def revoke(self, actor: Actor, id: str) -> None:
        """End one of the actor's own keys at once. Needs no fresh second factor: closing a door is never made hard.
        Raises NotFound, also for keys of others."""
        self._check_present(actor)
        async with answering():
            if not await self._api_keys.revoke(id, actor.id):
                raise NotFound("You have no such key. Your keys are listed under /v1/keys.")

    def _check_present(self, actor: Actor) -> None:
        """Raises Denied unless a browser session asks: a leaked key must not be able to make its own successor."""
        if actor.method != "session":
            raise Denied("Keys are managed by a person, not by a program. Sign in in the browser and do it there.")

    def _lifetime(self, days: int | None) -> timedelta:
        days = min(self._settings.key_default_days, self._settings.key_max_days) if days is None else days
        if not 1 <= days <= self._settings.key_max_days:
            raise InvalidRequest(
                f"A key lives 1 to {self._settings.key_max_days} days; you asked for {days}.", param="days"
            )
        return timedelta(days=days)


def named(name: str) -> str:
    """The name of a key, as it is stored. Raises InvalidRequest."""
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidRequest(f"Give the key a name of 1 to {MAX_NAME} printable characters.", param="name")
    return name


def granted(scopes: Sequence[str]) -> frozenset[Permission]:
    """What these words permit a key to do. Raises InvalidRequest."""
    grantable = {permission.value: permission for permission in GRANTABLE}
    unknown = sorted(set(scopes) - grantable.keys())
    if unknown:
        raise InvalidRequest(
            f"A key can't carry {len(unknown)} of the scopes you asked for. "
            f"It can carry: {', '.join(sorted(grantable))}.",
            param="scopes",
        )
    return frozenset(grantable[scope] for scope in scopes)
