"""What a hold keeps when a day's keys are destroyed: the keys of the held records, under a key of the hold.

::

    hold key      32 random bytes, wrapped by the key service, in keys/holds/<id>.json: outside every database
    escrow        for each held record the keys of its two parts, AES-256-GCM under the hold key: in the database,
                  beside the ciphertexts, so that a backup holds both and neither opens without the key folder
    escrow day    which records of a day and class a hold keeps: authenticated, so none can be taken out unseen

Record keys are derived from the day's keys one way: what is kept opens the held records and no other. Destroying the
hold key makes the escrow worthless, in every backup too.
"""

from __future__ import annotations

import hashlib
import os
import struct
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, insert, select

from audit.canonical import encode
from audit.errors import StoreDamaged
from audit.governance.hold_keys import KEY_BYTES, HoldKeys
from audit.governance.ledger import Ledger, RowChanged
from audit.governance.tables import ESCROW, ESCROW_DAY
from audit.keys.ring import DayKeys
from audit.record import to_micros
from audit.row import Row
from audit.seal import Part, record_key, unseal_with

NONCE_BYTES = 12
_SEQ = struct.Struct(">Q")
_KEPT, _RELEASED = "kept", "released"


@dataclass(frozen=True, slots=True)
class EscrowDay:
    """Which records of a day and class one hold keeps."""

    hold_id: str
    day: date
    class_: str
    seqs: frozenset[int]


class Escrow:
    """Keeps and opens record keys. Blocks; safe to call from several threads."""

    def __init__(self, ledger: Ledger, keys: HoldKeys) -> None:
        self._ledger = ledger
        self._keys = keys

    def keep(
        self, hold_id: str, tenant: str, day: date, class_: str, rows: Sequence[Row], keys: DayKeys, at: datetime
    ) -> None:
        """Keep the keys of these records. All durable when it returns, or none; what is kept already stays."""
        row_id = _escrow_day_id(hold_id, day, class_)
        manifest = self._ledger.get(ESCROW_DAY, row_id)
        kept = _unpack(manifest["seqs"]) if manifest else frozenset()
        fresh = [row for row in rows if row.seq not in kept]
        if not fresh:
            return
        hold_key = self._keys.get(hold_id)
        wrapped = [
            {"hold_id": hold_id, "seq": row.seq, "wrapped": _wrap(hold_key, hold_id, row, keys)} for row in fresh
        ]
        seqs = _pack(kept | {row.seq for row in fresh})
        moment = to_micros(at)
        with self._ledger.database.transaction() as connection:
            connection.execute(insert(ESCROW), wrapped)
            if manifest is None:
                values = {
                    "id": row_id,
                    "tenant": tenant,
                    "state": _KEPT,
                    "created_at": moment,
                    "changed_at": moment,
                    "hold_id": hold_id,
                    "day": day.isoformat(),
                    "class_": class_,
                    "seqs": seqs,
                }
                manifest = self._ledger.insert_in(connection, ESCROW_DAY, values)
            else:
                manifest = self._ledger.change_in(
                    connection, ESCROW_DAY, manifest, {"seqs": seqs, "state": _KEPT, "changed_at": moment}
                )
        self._ledger.note(ESCROW_DAY, manifest)

    def days(self) -> list[EscrowDay]:
        """Everything that is kept. Raises ``StoreDamaged`` if any of it was changed, put back or taken out."""
        return [
            EscrowDay(row["hold_id"], date.fromisoformat(row["day"]), row["class_"], _unpack(row["seqs"]))
            for row in self._ledger.all(ESCROW_DAY)
            if row["state"] == _KEPT
        ]

    def open(self, hold_id: str, row: Row) -> tuple[bytes, bytes]:
        """Subject and content of a record that the hold keeps.

        Raises ``StoreDamaged`` if its key was taken out or its ciphertext is gone, ``KeyRefused`` without hold key.
        """
        with self._ledger.database.transaction() as connection:
            found = connection.execute(
                select(ESCROW.c.wrapped).where(ESCROW.c.hold_id == hold_id, ESCROW.c.seq == row.seq)
            ).scalar()
        if found is None:
            raise StoreDamaged(f"the escrowed key of record {row.seq} (hold {hold_id}) is gone: somebody took it out")
        if row.subject is None or row.content is None:
            raise StoreDamaged(f"the ciphertext of held record {row.seq} (hold {hold_id}) is gone")
        keys = _unwrap(self._keys.get(hold_id), hold_id, row, bytes(found))
        subject = unseal_with(keys[:KEY_BYTES], row.context, Part.SUBJECT, row.subject)
        return subject, unseal_with(keys[KEY_BYTES:], row.context, Part.CONTENT, row.content)

    def destroy(self, hold_id: str, at: datetime) -> None:
        """Destroy a hold's key first, then what it opened. Safe to repeat."""
        self._keys.destroy(hold_id)
        for row in self._ledger.all(ESCROW_DAY):
            if row["hold_id"] == hold_id and row["state"] == _KEPT:
                changes = {"seqs": b"", "state": _RELEASED, "changed_at": to_micros(at)}
                try:
                    self._ledger.change(ESCROW_DAY, row, changes)
                except RowChanged:  # another process destroys the same
                    continue
        if self._ledger.database.exists():
            with self._ledger.database.transaction() as connection:
                connection.execute(delete(ESCROW).where(ESCROW.c.hold_id == hold_id))


def _escrow_day_id(hold_id: str, day: date, class_: str) -> str:
    digest = hashlib.sha256(encode("imprimatur/audit/escrow-day/v1", hold_id, day.isoformat(), class_)).digest()
    return str(uuid.UUID(bytes=digest[:16]))


def _place(hold_id: str, row: Row) -> bytes:
    return encode("imprimatur/audit/escrow/v1", hold_id, row.seq, row.event_id, row.phase, row.day, row.class_)


def _wrap(hold_key: bytes, hold_id: str, row: Row, keys: DayKeys) -> bytes:
    both = record_key(keys, row.context, Part.SUBJECT) + record_key(keys, row.context, Part.CONTENT)
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(hold_key).encrypt(nonce, both, _place(hold_id, row))


def _unwrap(hold_key: bytes, hold_id: str, row: Row, wrapped: bytes) -> bytes:
    try:
        return AESGCM(hold_key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _place(hold_id, row))
    except (InvalidTag, ValueError):
        raise StoreDamaged(f"the escrowed key of record {row.seq} (hold {hold_id}) does not open") from None


def _pack(seqs: Iterable[int]) -> bytes:
    return b"".join(map(_SEQ.pack, sorted(seqs)))


def _unpack(packed: bytes) -> frozenset[int]:
    return frozenset(seq for (seq,) in _SEQ.iter_unpack(packed))
