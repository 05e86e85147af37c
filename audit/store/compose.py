"""From an entry to a row: seal the two parts, blind the terms, commit to the envelope, hash the leaf.

In two steps, because the leaf holds the sequence number: ``prepare`` does all that needs none, ``finish`` the rest.
Many processes that share one sequence hold its lock for the second step only.

Records of the class ``zero`` (zero retention) are sealed under a key that is made for that record and kept nowhere:
their envelope, blind tokens and proofs are like any other's, and nobody ever opens them.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from audit.canonical import dump_json, load_json_object
from audit.errors import ContentDestroyed, EntryInvalid
from audit.keys.ring import DayKeys, KeyRing
from audit.record import ZERO_CLASS, Entry, Phase, RecordRef, Subject, Ticket, latency_bucket_ms, to_micros
from audit.row import SALT_BYTES, SCHEMA, Plain, Row, make_row
from audit.seal import Part, SealContext, blind_terms, seal_both, unseal

_REMEMBERED_TOKENS = 100_000  # about 20 MiB


@dataclass(slots=True, kw_only=True)
class Job:
    """A record on its way to the writer thread, and the caller who waits for it."""

    phase: Phase
    event_id: uuid.UUID
    is_foreign_id: bool  # made by the caller, so it may have been used before
    at: datetime
    entry: Entry
    subject: bytes  # JSON, not yet sealed
    content: bytes
    about: str
    ticket: Ticket | None  # of an outcome
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[RecordRef]

    @property
    def day(self) -> date:
        """The day whose keys and file the record belongs to: that of its intent."""
        return self.ticket.day if self.ticket else self.at.date()


def encode_bodies(entry: Entry, max_content_bytes: int) -> tuple[bytes, bytes]:
    """Subject and content as bytes. Raises ``EntryInvalid``, without quoting anything of them."""
    subject = entry.subject
    try:
        subject_bytes = dump_json(
            {
                "actor": subject.actor,
                "display": subject.display,
                "department": subject.department,
                "groups": subject.groups,
            }
        )
        content_bytes = dump_json(entry.content)
    except ValueError as error:
        raise EntryInvalid(str(error)) from None
    size_bytes = len(subject_bytes) + len(content_bytes)
    if size_bytes > max_content_bytes:
        raise EntryInvalid(f"entry is too large: expected at most {max_content_bytes} bytes, got {size_bytes}")
    return subject_bytes, content_bytes


class Prepared(NamedTuple):
    """A record that lacks only its sequence number."""

    job: Job
    keys: DayKeys
    subject: bytes
    content: bytes
    terms: bytes


class Composer:
    """Makes rows under the day's keys. ``finish`` must be called in the order of the sequence."""

    def __init__(self, ring: KeyRing, node: str) -> None:
        self._ring = ring
        self._node = node
        self.boot = os.urandom(8).hex()
        self._counter = 0

    def prepare(self, job: Job) -> Prepared:
        """Seal and blind. Raises ``ContentDestroyed`` if the day's keys are gone, ``KeyRefused``, ``AuditUnavailable``
        or ``OSError`` if they cannot be used."""
        entry = job.entry
        keys = self._ring.get_or_create(job.day, entry.tenant, entry.class_)
        sealing = _for_this_record_only(keys) if entry.class_ == ZERO_CLASS else keys
        context = SealContext(entry.tenant, job.day, job.event_id.bytes, job.phase.value, entry.class_, SCHEMA)
        subject, content = seal_both(sealing, context, job.subject, job.content)
        terms = b"".join(blind_terms(keys, entry.subject.actor, entry.index, _known_tokens(keys)))
        return Prepared(job, keys, subject, content, terms)

    def finish(self, prepared: Prepared, seq: int) -> Row:
        """The row under its sequence number."""
        job, keys = prepared.job, prepared.keys
        entry = job.entry
        self._counter += 1
        plain = Plain(
            seq=seq,
            head_seq=job.ticket.seq if job.ticket else seq,
            event_id=job.event_id.bytes,
            phase=job.phase.value,
            tenant=entry.tenant,
            day=job.day.isoformat(),
            class_=entry.class_,
            recorded_at=to_micros(job.at),
            action=entry.action,
            effect=str(entry.effect),
            reasons=" ".join(dict.fromkeys(entry.reasons)),
            about=job.about,
            bundle_revision=entry.bundle_revision,
            model=entry.model,
            model_digest=entry.model_digest,
            credits=entry.credits,
            latency_bucket_ms=latency_bucket_ms(entry.latency_ms),
            schema=SCHEMA,
            key_id=keys.key_id,
            node=self._node,
            boot=self.boot,
            counter=self._counter,
        )
        salts = os.urandom(2 * SALT_BYTES)
        row = make_row(plain, salts, prepared.terms, prepared.subject, prepared.content, keys.row_key)
        keys.require_live()
        return row


def _known_tokens(keys: DayKeys) -> dict[tuple[str, str], bytes]:
    """Tokens made before with these keys: people and groups come again and again. They go when the keys go."""
    if len(keys.tokens) > _REMEMBERED_TOKENS:
        keys.tokens.clear()
    return keys.tokens


def _for_this_record_only(keys: DayKeys) -> DayKeys:
    return DayKeys(keys.tenant, keys.class_, keys.day, keys.key_id, os.urandom(len(keys.dek) + len(keys.index_key)))


def open_subject(row: Row, keys: DayKeys) -> Subject:
    """Who a row is about. Raises ``StoreDamaged`` if it does not open, ``ContentDestroyed`` if it never could."""
    if row.class_ == ZERO_CLASS:
        raise ContentDestroyed(f"record {row.seq} was kept without its content (zero retention)")
    return subject_from(unseal(keys, row.context, Part.SUBJECT, row.subject or b""))


def subject_from(opened: bytes) -> Subject:
    """A subject from its unsealed bytes."""
    stored = load_json_object(opened)
    return Subject(
        actor=stored["actor"],
        display=stored["display"],
        department=stored["department"],
        groups=tuple(stored["groups"]),
    )
