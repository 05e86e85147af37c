"""API keys: `imp_pat_` (a person's) or `imp_svc_` (a service's) + 12 characters of id + 32 of secret + 6 of checksum.

The prefix lets secret scanners find a leaked one; the checksum lets us (and them) tell a typing slip from a key without
asking the database; the id finds the row; the secret's 190 bits are kept only as an HMAC under a pepper that is not in
the database, so that a stolen table verifies nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId, Mfa
from gateway.identity.people import Person, person_of
from gateway.identity.tables import api_keys, people
from gateway.storage.database import Database
from gateway.vocabulary import Permission

PREFIX: Final = "imp_pat_"
"""A person's key."""
SERVICE_PREFIX: Final = "imp_svc_"
"""A service account's."""
PREFIXES: Final = (PREFIX, SERVICE_PREFIX)
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_CHARACTERS: Final = 12
SECRET_CHARACTERS: Final = 32
CHECK_CHARACTERS: Final = 6
"""62^6 > 2^32: a CRC-32 fits."""
USED_SECONDS: Final = 60
"""How often the last use is written down."""

GRANTABLE: Final = frozenset(
    {
        Permission.IMAGE_GENERATE,
        Permission.IMAGE_EDIT,
        Permission.IMAGE_VARY,
        Permission.SCREENING_ASK,
        Permission.MODEL_LIST,
        Permission.CREDIT_READ,
    }
)
"""What a key may carry. A key never makes keys, reads the log, changes policy or administers."""

_KEY: Final = re.compile(
    rf"(?:{'|'.join(PREFIXES)})[0-9A-Za-z]{{{ID_CHARACTERS + SECRET_CHARACTERS + CHECK_CHARACTERS}}}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """A key as its owner may see it. `used_at` is to the minute."""

    id: str
    actor: ActorId
    name: str
    scopes: frozenset[Permission]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    used_from: str = ""
    """Address of that use."""
    networks: tuple[str, ...] = ()
    """Where it may be used from, in CIDR notation; empty = anywhere."""
    minted_by: str | None = None
    """Who asked for a service's key; None: its owner made it."""
    proposal: str | None = None
    """What two people agreed to before a service's key was made."""
    mfa: Mfa
    """The owner's evidence when they minted it: a key can't give a second factor itself. A service's has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made. `secret` is the whole key; it exists here and with its owner, nowhere else."""

    info: KeyInfo
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key whose secret was right, and its owner as they are now. Whether it may be used is the caller's question."""

    info: KeyInfo
    owner: Person

    @property
    def credential_id(self) -> str:
        return f"key-{self.info.id}"


class ApiKeys:
    """Makes, stores, finds and revokes keys."""

    def __init__(self, database: Database, pepper: bytes, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._pepper = pepper
        self._clock = clock

    def make(
        self,
        actor: ActorId,
        *,
        name: str,
        scopes: frozenset[Permission],
        lifetime: timedelta,
        mfa: Mfa,
        networks: Sequence[str] = (),
        minted_by: str | None = None,
        proposal: str | None = None,
    ) -> NewKey:
        """A new key, not stored yet. With `proposal` it is a service's."""
        id = _random(ID_CHARACTERS)
        body = (PREFIX if proposal is None else SERVICE_PREFIX) + id + _random(SECRET_CHARACTERS)
        now = self._clock()
        info = KeyInfo(
            id=id,
            actor=actor,
            name=name,
            scopes=scopes,
            created_at=now,
            expires_at=now + lifetime,
            networks=tuple(networks),
            minted_by=minted_by,
            proposal=proposal,
            mfa=mfa,
        )
        return NewKey(info=info, secret=body + checksum(body))

    async def store(self, key: NewKey, also: Callable[[AsyncConnection], Awaitable[None]] | None = None) -> None:
        """Make it usable, and do what goes with it in the same transaction. Durable when it returns. Raises
        IntegrityError when the proposal gave a key before."""
        async with self._database.transaction() as tx:
            if also is not None:
                await also(tx)
            await tx.execute(
                insert(api_keys).values(
                    id=key.info.id,
                    actor=key.info.actor,
                    name=key.info.name,
                    mac=self._mac(key.secret),
                    scopes=sorted(key.info.scopes),
                    created_at=key.info.created_at,
                    expires_at=key.info.expires_at,
                    mfa_at=key.info.mfa.at,
                    amr=list(key.info.mfa.amr),
                    acr=key.info.mfa.acr,
                    networks=list(key.info.networks),
                    minted_by=key.info.minted_by,
                    proposal=key.info.proposal,
                )
            )

    async def find(self, secret: str) -> FoundKey | None:
        """The key, if it is one of ours and its secret is right. Revoked and expired ones are found too."""
        if not is_well_formed(secret):
            return None
        id = secret[len(PREFIX) : len(PREFIX) + ID_CHARACTERS]  # both prefixes are as long
        query = select(people, api_keys).join(api_keys, api_keys.c.actor == people.c.id).where(api_keys.c.id == id)
        async with self._database.reading() as tx:
            row = (await tx.execute(query)).one_or_none()
        # The same work for an unknown id, and a comparison in constant time: nothing to learn from the clock.
        kept = "0" * 64 if row is None else row._mapping[api_keys.c.mac]
        if not hmac.compare_digest(self._mac(secret), kept):
            return None
        if row is None:  # not a check: no secret has zeros for its MAC
            return None
        return FoundKey(info=_info(row), owner=person_of(row))

    async def used(self, info: KeyInfo, ip: str = "") -> None:
        """Note the use and where it came from, at most once a minute."""
        now = self._clock()
        if info.used_at is None or now - info.used_at >= timedelta(seconds=USED_SECONDS):
            async with self._database.transaction() as tx:
                await tx.execute(
                    update(api_keys).where(api_keys.c.id == info.id).values(used_at=now, used_from=ip[:64])
                )

    async def of(self, actor: ActorId) -> Sequence[KeyInfo]:
        """Somebody's keys, the newest first, revoked and expired ones among them."""
        query = select(api_keys).where(api_keys.c.actor == actor).order_by(api_keys.c.created_at.desc())
        async with self._database.reading() as tx:
            rows = (await tx.execute(query)).all()
        return [_info(row) for row in rows]

    async def last_used(self, ids: Collection[ActorId]) -> Mapping[ActorId, datetime]:
        """When any key of each was last used; who never used one is left out."""
        used = func.max(api_keys.c.used_at)
        query = select(api_keys.c.actor, used).where(api_keys.c.actor.in_(ids), api_keys.c.used_at.is_not(None))
        async with self._database.reading() as tx:
            return {ActorId(actor): at for actor, at in await tx.execute(query.group_by(api_keys.c.actor))}

    async def of_proposal(self, proposal: str) -> KeyInfo | None:
        """The key that was made because two people agreed to this, if it was."""
        async with self._database.reading() as tx:
            row = (await tx.execute(select(api_keys).where(api_keys.c.proposal == proposal))).one_or_none()
        return None if row is None else _info(row)

    async def revoke(self, id: str, actor: ActorId) -> bool:
        """End a key of `actor`'s. False when there is no such key; True also when it had ended before. Durable."""
        async with self._database.transaction() as tx:
            mine = (api_keys.c.id == id) & (api_keys.c.actor == actor)
            found = (await tx.execute(select(api_keys.c.id).where(mine))).one_or_none()
            if found is not None:
                unrevoked = mine & api_keys.c.revoked_at.is_(None)
                await tx.execute(update(api_keys).where(unrevoked).values(revoked_at=self._clock()))
        return found is not None

    def _mac(self, secret: str) -> str:
        return hmac.new(self._pepper, secret.encode(), hashlib.sha256).hexdigest()


def is_well_formed(secret: str) -> bool:
    """Whether this is a key someone made, by shape and checksum alone. Says nothing about whether it is good."""
    if _KEY.fullmatch(secret) is None:
        return False
    return checksum(secret[:-CHECK_CHARACTERS]) == secret[-CHECK_CHARACTERS:]


def checksum(body: str) -> str:
    """CRC-32 of the key so far, in base 62."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECK_CHARACTERS):
        number, rest = divmod(number, len(ALPHABET))
        digits = ALPHABET[rest] + digits
    return digits


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _info(row: Row[Any]) -> KeyInfo:
    key = row._mapping
    known = {permission.value for permission in GRANTABLE}
    return KeyInfo(
        id=key[api_keys.c.id],
        actor=ActorId(key[api_keys.c.actor]),
        name=key[api_keys.c.name],
        # A word that is no grantable permission (any more) grants nothing.
        scopes=frozenset(Permission(scope) for scope in key[api_keys.c.scopes] if scope in known),
        created_at=key[api_keys.c.created_at],
        expires_at=key[api_keys.c.expires_at],
        revoked_at=key[api_keys.c.revoked_at],
        used_at=key[api_keys.c.used_at],
        used_from=key[api_keys.c.used_from],
        networks=tuple(key[api_keys.c.networks]),
        minted_by=key[api_keys.c.minted_by],
        proposal=key[api_keys.c.proposal],
        mfa=Mfa(at=key[api_keys.c.mfa_at], amr=tuple(key[api_keys.c.amr]), acr=key[api_keys.c.acr]),
    )
