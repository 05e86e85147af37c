"""The two envelopes of an emergency: a sealed code and the secret of a one-time password, each kept by another holder.

What we keep of them opens nothing: an HMAC of the code under a key of ours, the secret encrypted under another. A code
has 140 random bits, so that guessing it is hopeless however fast (NIST SP 800-63B-4, 3.1.2 look-up secrets); the
one-time password (TOTP, RFC 6238) shows that the envelope and the token are in the same hands, and each works once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest
from gateway.identity.tables import emergency_seals
from gateway.storage.database import Database

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
CODE_CHARACTERS: Final = 28
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: what is read aloud or copied by hand has no letters that look like digits."""
_MISREAD: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
MAX_HOLDER: Final = 255

STEP_SECONDS: Final = 30
DIGITS: Final = 6
DRIFT_STEPS: Final = 1
"""One step either way: half a minute of difference between two clocks (RFC 6238, 5.2)."""
_SECRET_BYTES: Final = 20
"""As long as HMAC-SHA-1's output (RFC 4226, 4)."""
_NONCE_BYTES: Final = 12

TOLD_EVERY: Final = timedelta(seconds=10)
"""Wrong codes are on record at most this often, with how many there were: else anybody could fill the log."""

SealFault = Literal["wrong", "used-step", "spent", "unrecorded"]
"""Why a seal opens nothing: `wrong` says no more on purpose; the others are for somebody who has it in hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One envelope, as it is known here."""

    name: str
    holder: str
    sealed_by: str
    sealed_at: datetime
    recorded_at: datetime | None
    tried_at: datetime | None
    spent_at: datetime | None

    def overdue(self, now: datetime, drill_days: int) -> bool:
        """Nobody tried it for too long: a code that can't be found is found out in a drill."""
        return (now - (self.tried_at or self.sealed_at)).days >= drill_days


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSeal:
    """A seal that was just made. The code and the address of its one-time password exist here and on paper only."""

    name: str
    code: str = field(repr=False)
    totp_uri: str = field(repr=False)


class Seals:
    """Makes, shows and judges seals."""

    def __init__(self, database: Database, code_key: bytes, totp_key: bytes, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._code_key = code_key
        self._aead = AESGCM(totp_key)
        self._clock = clock
        self.refusals = Refusals()

    async def make(self, name: str, holder: str, *, by: str) -> NewSeal:
        """Seal anew under `name`; what was there under it opens nothing any more. Durable. It opens nothing either
        before it is in the audit log (`recorded`). Raises InvalidRequest."""
        holder = " ".join(holder.split())
        if NAME.fullmatch(name) is None:
            raise InvalidRequest("A seal's name has 1 to 40 lower-case letters, digits and hyphens.", param="name")
        if not holder or len(holder) > MAX_HOLDER or not holder.isprintable():
            raise InvalidRequest("Say who keeps the envelope, in words.", param="holder")
        code = "".join(secrets.choice(_ALPHABET) for _ in range(CODE_CHARACTERS))
        secret = secrets.token_bytes(_SECRET_BYTES)
        async with self._database.transaction() as tx:
            same = (emergency_seals.c.holder == holder) & (emergency_seals.c.name != name)
            live = same & emergency_seals.c.spent_at.is_(None)
            if (other := (await tx.execute(select(emergency_seals.c.name).where(live))).scalar()) is not None:
                raise InvalidRequest(
                    f"{holder} keeps the seal {other} already. It takes two people: give this one to somebody else.",
                    param="holder",
                )
            await tx.execute(delete(emergency_seals).where(emergency_seals.c.name == name))
            await tx.execute(
                insert(emergency_seals).values(
                    name=name,
                    holder=holder,
                    code_mac=self._mac(name, code),
                    sealed_totp=self._encrypt(name, secret),
                    last_step=0,
                    sealed_by=by,
                    sealed_at=self._clock(),
                )
            )
        groups = "-".join(code[start : start + 4] for start in range(0, CODE_CHARACTERS, 4))
        return NewSeal(name=name, code=groups, totp_uri=_uri(name, secret))

    async def list(self) -> Sequence[Seal]:
        """All by name."""
        async with self._database.reading() as tx:
            return await self.list_within(tx)

    async def list_within(self, tx: AsyncConnection) -> Sequence[Seal]:
        """The same in the caller's transaction."""
        rows = (await tx.execute(select(emergency_seals).order_by(emergency_seals.c.name))).all()
        return [_seal(row) for row in rows]

    async def unrecorded(self) -> Sequence[Seal]:
        """Those whose making is not in the audit log yet."""
        return [seal for seal in await self.list() if seal.recorded_at is None]

    async def recorded(self, seal: Seal) -> None:
        """Its making is on record: from now on it opens."""
        this = (emergency_seals.c.name == seal.name) & (emergency_seals.c.sealed_at == seal.sealed_at)
        async with self._database.transaction() as tx:
            await tx.execute(update(emergency_seals).where(this).values(recorded_at=self._clock()))

    async def judge(self, name: str, code: str, password: str) -> Seal | tuple[SealFault, Seal | None]:
        """The seal, when code and one-time password are right and it may be used; the password is then used up. Else
        why not, and the seal only to whom has it in hand. The same work whether the name is known or not, and
        comparisons in constant time: nothing to learn from the clock."""
        name = name if NAME.fullmatch(name) else "-"  # which no seal is called; a NUL would upset PostgreSQL
        async with self._database.reading() as tx:
            row = (await tx.execute(select(emergency_seals).where(emergency_seals.c.name == name))).one_or_none()
        kept = "0" * 64 if row is None else row.code_mac
        is_code = hmac.compare_digest(self._mac(name, normal(code)), kept)
        secret = bytes(_SECRET_BYTES) if row is None else self._decrypt(row.name, row.sealed_totp)
        step = self._step_of(secret, password)
        if row is None or not is_code or step is None:
            return "wrong", None
        seal = _seal(row)
        async with self._database.transaction() as tx:
            fresh = (emergency_seals.c.name == name) & (emergency_seals.c.last_step < step)
            still_this = fresh & (emergency_seals.c.code_mac == row.code_mac)
            used = await tx.execute(update(emergency_seals).where(still_this).values(last_step=step))
        if used.rowcount != 1:  # RFC 6238, 5.2: a password is accepted once
            return "used-step", seal
        if seal.spent_at is not None:
            return "spent", seal
        return ("unrecorded", seal) if seal.recorded_at is None else seal

    async def tried(self, name: str) -> None:
        """A drill showed that it works."""
        async with self._database.transaction() as tx:
            this = emergency_seals.c.name == name
            await tx.execute(update(emergency_seals).where(this).values(tried_at=self._clock()))

    async def spend(self, tx: AsyncConnection, names: Sequence[str]) -> bool:
        """Both are used up, in the caller's transaction. False when one of them was already."""
        now = self._clock()
        unspent = emergency_seals.c.name.in_(names) & emergency_seals.c.spent_at.is_(None)
        done = await tx.execute(update(emergency_seals).where(unspent).values(spent_at=now, tried_at=now))
        return done.rowcount == len(set(names)) == 2

    def _step_of(self, secret: bytes, password: str) -> int | None:
        """The step whose password this is, near now. All are computed and compared, whichever it is."""
        typed = "".join(password.split())[: DIGITS + 1].encode()
        now = int(self._clock().timestamp()) // STEP_SECONDS
        found = None
        for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
            if hmac.compare_digest(totp(secret, step).encode(), typed):
                found = step
        return found

    def _mac(self, name: str, code: str) -> str:
        return hmac.new(self._code_key, f"{name}\n{code}".encode(), hashlib.sha256).hexdigest()

    def _encrypt(self, name: str, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, name.encode())

    def _decrypt(self, name: str, sealed: bytes) -> bytes:
        """Under another identity secret no password is right: a secret of zeros would have known ones."""
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            return secrets.token_bytes(_SECRET_BYTES)


class Refusals:
    """How many wrong codes there were since the last that was told."""

    def __init__(self) -> None:
        self._times = 0
        self._told: datetime | None = None

    def count(self, now: datetime) -> int:
        """One more; how many to tell now, 0 = not yet."""
        self._times += 1
        if self._told is not None and timedelta(0) <= now - self._told < TOLD_EVERY:
            return 0
        times, self._times, self._told = self._times, 0, now
        return times


def normal(code: str) -> str:
    """A code as it was made, whatever a hand made of it."""
    return code.upper().translate(_MISREAD)[: CODE_CHARACTERS + 1]


def totp(secret: bytes, step: int) -> str:
    """RFC 6238 with HMAC-SHA-1 and six digits, which every token app knows; RFC 4226, 5.3, for the truncation."""
    mac = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    place = mac[-1] & 0x0F
    number = struct.unpack(">I", mac[place : place + 4])[0] & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def _uri(name: str, secret: bytes) -> str:
    """What token apps read (Key Uri Format)."""
    parameters = {"secret": base64.b32encode(secret).decode(), "issuer": "Imprimatur emergency"}
    return f"otpauth://totp/{quote(f'Imprimatur emergency:{name}')}?{urlencode(parameters, quote_via=quote)}"


def _seal(row: Row[Any]) -> Seal:
    return Seal(
        name=row.name,
        holder=row.holder,
        sealed_by=row.sealed_by,
        sealed_at=row.sealed_at,
        recorded_at=row.recorded_at,
        tried_at=row.tried_at,
        spent_at=row.spent_at,
    )
