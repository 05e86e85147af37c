"""Revisions and what is in force, in the database.

A revision is a set of files under its digest and never changes. What is in force is the last line of a list that only
grows: who wants to add to it says which line they saw last, and of two that saw the same one loses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest, NotFound
from gateway.lifecycle.content import Changes
from gateway.lifecycle.refusals import Conflict
from gateway.lifecycle.tables import activations, contents, revisions
from gateway.policy.bundle import Bundle, bundle_of
from gateway.storage.database import Database

MAX_MESSAGE: Final = 500
FOLDER: Final = "system:folder"
OPERATOR: Final = "system:operator"
"""Who answers for the rules that a gateway is started with: whoever put the folder there."""
MOVED: Final = "Other rules came into force in the meantime. Load them, and decide again."


class Kind(StrEnum):
    """Why rules came into force."""

    SEED = "seed"
    APPROVAL = "approval"
    ROLLBACK = "rollback"
    BREAK_GLASS = "break-glass"
    EXPIRY = "expiry"
    ROLLOUT = "rollout"
    """A staged rollout reached everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One set of files, and who answers for it."""

    digest: str
    files: Mapping[str, str]
    """Path -> SHA-256 of its content."""
    parent: str | None
    author: str
    message: str
    created_at: datetime
    approved_by: str | None
    approved_at: datetime | None

    @property
    def is_approved(self) -> bool:
        return self.approved_by is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """Rules that came into force."""

    number: int
    digest: str
    kind: Kind
    actor: str
    reason: str
    at: datetime
    proposal: str | None = None
    expires_at: datetime | None = None
    returns_to: str | None = None

    @property
    def standing(self) -> str:
        """The rules that two people stand for: those in force, or those that a break-glass edit gives way to."""
        return self.returns_to or self.digest


class RevisionStore:
    """Keeps revisions, and the list of what was in force."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def active(self, tx: AsyncConnection | None = None) -> Activation | None:
        """What is in force; None before the first start."""
        query = select(activations).order_by(activations.c.number.desc()).limit(1)
        if tx is not None:
            row = (await tx.execute(query)).one_or_none()
        else:
            async with self._database.reading() as reading:
                row = (await reading.execute(query)).one_or_none()
        return None if row is None else _activation(row)

    async def in_force(self) -> Activation:
        """The same where there must be one."""
        found = await self.active()
        if found is None:
            raise NotFound("No rules are in force here yet.")
        return found

    async def history(self, limit: int = 100, before: int | None = None) -> Sequence[Activation]:
        """What was in force, the newest first."""
        query = select(activations).order_by(activations.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(activations.c.number < before)
        async with self._database.reading() as tx:
            return [_activation(row) for row in (await tx.execute(query)).all()]

    async def get(self, digest: str, tx: AsyncConnection | None = None) -> Revision:
        """Raises NotFound."""
        query = select(revisions).where(revisions.c.digest == digest)
        if tx is not None:
            row = (await tx.execute(query)).one_or_none()
        else:
            async with self._database.reading() as reading:
                row = (await reading.execute(query)).one_or_none()
        if row is None:
            raise NotFound("There is no such revision.")
        return _revision(row)

    async def find(self, text: str) -> Revision:
        """By digest, or by 8 or more of its first characters. Raises NotFound, InvalidRequest when several match."""
        text = text.strip().lower()
        if len(text) < 8 or any(sign not in "0123456789abcdef" for sign in text):
            raise NotFound("A revision is named by 8 or more of the first characters of its digest.")
        query = select(revisions).where(revisions.c.digest.startswith(text)).limit(2)
        async with self._database.reading() as tx:
            rows = (await tx.execute(query)).all()
        if len(rows) > 1:
            raise InvalidRequest("Several revisions begin like this: give more of the digest.", param="revision")
        if not rows:
            raise NotFound("There is no such revision.")
        return _revision(rows[0])

    async def list(self, limit: int = 100) -> Sequence[Revision]:
        """The newest first."""
        query = select(revisions).order_by(revisions.c.created_at.desc(), revisions.c.digest).limit(limit)
        async with self._database.reading() as tx:
            return [_revision(row) for row in (await tx.execute(query)).all()]

    async def bundle(self, digest: str) -> Bundle:
        """Its files. Raises NotFound, and ValueError when what is stored is not what the digest says."""
        revision = await self.get(digest)
        bundle = bundle_of(await self.bodies(revision.files))
        if bundle.digest != digest:
            raise ValueError(f"revision {digest[:12]} is not what is stored under its name ({bundle.digest[:12]})")
        return bundle

    async def bodies(self, files: Mapping[str, str]) -> dict[str, bytes]:
        """The contents of `files`, by path."""
        wanted = sorted(set(files.values()))
        found: dict[str, bytes] = {}
        async with self._database.reading() as tx:
            for start in range(0, len(wanted), 500):
                query = select(contents).where(contents.c.sha256.in_(wanted[start : start + 500]))
                found.update((row.sha256, bytes(row.body)) for row in (await tx.execute(query)).all())
        return {path: found[sha256] for path, sha256 in files.items()}

    async def keep(self, tx: AsyncConnection, bodies: Sequence[bytes]) -> None:
        """Store contents that are not there yet."""
        by_name = {sha256_of(body): body for body in bodies}
        query = select(contents.c.sha256).where(contents.c.sha256.in_(list(by_name)))
        there = {row.sha256 for row in (await tx.execute(query)).all()} if by_name else set()
        for name in sorted(by_name.keys() - there):
            try:
                async with tx.begin_nested():
                    await tx.execute(insert(contents).values(sha256=name, body=by_name[name]))
            except IntegrityError:  # another process stored the same in this moment
                continue

    async def add(
        self, tx: AsyncConnection, bundle: Bundle, *, parent: str | None, author: str, message: str
    ) -> Revision:
        """Store a revision. One that is there already stays as it is: the same files are the same revision."""
        try:
            return await self.get(bundle.digest, tx)
        except NotFound:
            pass
        await self.keep(tx, list(bundle.files.values()))
        row: dict[str, Any] = {
            "digest": bundle.digest,
            "files": {path: sha256_of(body) for path, body in bundle.files.items()},
            "parent": parent,
            "author": author,
            "message": message[:MAX_MESSAGE],
            "created_at": self._clock(),
        }
        await tx.execute(insert(revisions).values(**row))
        return await self.get(bundle.digest, tx)

    async def approve(self, tx: AsyncConnection, digest: str, *, by: str) -> None:
        """Write down who the second person was. A revision that was approved once stays approved."""
        unapproved = (revisions.c.digest == digest) & revisions.c.approved_by.is_(None)
        await tx.execute(update(revisions).where(unapproved).values(approved_by=by, approved_at=self._clock()))

    async def activate(
        self,
        tx: AsyncConnection,
        digest: str,
        *,
        after: int,
        kind: Kind,
        actor: str,
        reason: str,
        proposal: str | None = None,
        expires_at: datetime | None = None,
        returns_to: str | None = None,
    ) -> Activation:
        """Put a revision in force, next after line `after`. In force for everybody when the transaction is stored.
        Raises Conflict when another line was added."""
        last = (await tx.execute(select(func.max(activations.c.number)))).scalar() or 0
        if last != after:
            raise Conflict(MOVED)
        made = Activation(
            number=after + 1,
            digest=digest,
            kind=kind,
            actor=actor,
            reason=reason[:MAX_MESSAGE],
            at=self._clock(),
            proposal=proposal,
            expires_at=expires_at,
            returns_to=returns_to,
        )
        try:
            async with tx.begin_nested():
                await tx.execute(insert(activations).values(**{name: getattr(made, name) for name in made.__slots__}))
        except IntegrityError as error:
            raise Conflict(MOVED) from error
        return made

    def transaction(self) -> Any:
        """One writing transaction of the database."""
        return self._database.transaction()


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def names_of(changes: Changes) -> dict[str, str | None]:
    """Changes with names in place of contents, as they are stored."""
    return {path: None if body is None else sha256_of(body) for path, body in changes.items()}


def _revision(row: Row[Any]) -> Revision:
    return Revision(
        digest=row.digest,
        files=row.files,
        parent=row.parent,
        author=row.author,
        message=row.message,
        created_at=row.created_at,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
    )


def _activation(row: Row[Any]) -> Activation:
    return Activation(
        number=row.number,
        digest=row.digest,
        kind=Kind(row.kind),
        actor=row.actor,
        reason=row.reason,
        at=row.at,
        proposal=row.proposal,
        expires_at=row.expires_at,
        returns_to=row.returns_to,
    )
