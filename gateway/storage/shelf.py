"""Finished pictures that a program asked for by address: kept an hour, encrypted, for the person who asked.

Each picture has a key of its own (AES-256-GCM). The key lies in the database, the picture in a file; taking the row
away is enough to make the file unreadable, and that is what happens after the hour. Neither alone shows anything.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, LargeBinary, String, Table, delete, insert, select

from gateway.exchange import ActorId, Picture
from gateway.storage.database import Database
from gateway.storage.schema import UtcDateTime, metadata

LIFETIME: Final = timedelta(minutes=60)
_NONCE: Final = bytes(12)
"""A key seals exactly one picture, so its nonce may be constant (NIST SP 800-38D, 8.2: unique for a key)."""

shelf = Table(
    "picture_shelf",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("actor", String(255), nullable=False),
    Column("key", LargeBinary(32), nullable=False),
    Column("media_type", String(32), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """A picture as it comes back. `sha256` is not kept: the record has it."""

    data: bytes
    media_type: str


class Shelf:
    """Puts pictures away and gives them back to their owner."""

    def __init__(self, directory: Path, database: Database, clock: Callable[[], datetime]) -> None:
        self._directory = directory
        self._database = database
        self._clock = clock
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def put(self, picture: Picture, owner: ActorId) -> str:
        """Keep `picture` for an hour; returns the id under which `owner` may fetch it."""
        picture_id, key = secrets.token_hex(16), AESGCM.generate_key(256)
        sealed = AESGCM(key).encrypt(_NONCE, picture.data, picture_id.encode())
        await asyncio.to_thread(_write, self._directory / picture_id, sealed)
        async with self._database.transaction() as tx:
            await tx.execute(
                insert(shelf).values(
                    id=picture_id,
                    actor=owner,
                    key=key,
                    media_type=picture.media_type,
                    expires_at=self._clock() + LIFETIME,
                )
            )
        return picture_id

    async def get(self, picture_id: str, asker: ActorId) -> Shelved | None:
        """The picture, for the one who asked for it, within the hour; None for everybody and everything else."""
        mine = select(shelf).where(shelf.c.id == picture_id, shelf.c.actor == asker, shelf.c.expires_at > self._clock())
        async with self._database.reading() as tx:
            row = (await tx.execute(mine)).one_or_none()
        if row is None:
            return None
        try:
            sealed = await asyncio.to_thread((self._directory / row.id).read_bytes)
        except FileNotFoundError:
            return None
        return Shelved(data=AESGCM(row.key).decrypt(_NONCE, sealed, row.id.encode()), media_type=row.media_type)

    async def sweep(self) -> int:
        """Forget what is past its hour: the keys first, then the files. Returns how many."""
        past = shelf.c.expires_at <= self._clock()
        async with self._database.transaction() as tx:
            ids = [row.id for row in await tx.execute(select(shelf.c.id).where(past))]
            await tx.execute(delete(shelf).where(past))
        for picture_id in ids:
            await asyncio.to_thread((self._directory / picture_id).unlink, missing_ok=True)
        return len(ids)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
