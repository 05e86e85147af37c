"""The quick pass: is all in order? In pieces that several processes check at once.

It accepts a log only if the careful pass (``careful.py``) would, and says nothing but yes or no: whatever is not
perfectly in order, the careful pass looks at again, in one piece, and explains. So a report does not depend on how
many processes helped.
"""

from __future__ import annotations

import hashlib
import hmac
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from audit.canonical import encode
from audit.record import Phase
from audit.row import Row
from audit.seal import TOKEN_BYTES
from audit.store.moment import DayMoment
from audit.tree import HASH_BYTES
from audit.verify.gone import Gone
from audit.verify.index import contradiction
from audit.verify.leaves import LeafMaker
from audit.verify.records import is_stripped

CHUNK_RECORDS = 20_000
_EVENT_ID_BYTES = 16
_INDEX_LABEL = encode("imprimatur/audit/index/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Records of one day file between two sequence numbers, and the leaves that the tree has for them."""

    day: date
    first: int
    end: int
    leaves: bytes  # of first, first + 1, ...; shorter than the range where the tree does not reach
    is_first_of_day: bool  # its worker also checks the file's own structure
    minimum_index: int = 0  # where a pruned log begins: intents before it are gone, their outcomes may not be


@dataclass(slots=True)
class Facts:
    """What a chunk showed, for the checks that need more than one. Travels between processes."""

    records: int = 0
    heads: bytes = b""  # event ids of heads, joined
    outcomes: array[int] = field(default_factory=lambda: array("Q"))  # head_seq of each
    runs: dict[str, array[int]] = field(default_factory=dict)  # boot -> seq and counter of its records, in turn
    terms: int = 0  # entries that the search tables must have for these records
    reasons: int = 0
    gone: Gone = field(default_factory=Gone)
    beyond: list[tuple[int, bytes]] = field(default_factory=list)  # number and leaf of records the tree lacks

    def forget_events(self) -> None:
        """Let go of what only ``check_day`` needs."""
        self.heads = b""
        self.outcomes = array("Q")


class NotInOrder(Exception):
    """Something is not as it should be: let the careful pass say what."""


def check_chunk(reader: DayMoment, chunk: Chunk) -> Facts:
    """Check each record of a chunk. Raises ``NotInOrder``, or what the store raises for a day that breaks off."""
    if chunk.is_first_of_day and contradiction(reader) is not None:
        raise NotInOrder
    facts = Facts()
    day = reader.day.isoformat()
    make_leaf = LeafMaker()
    heads: list[bytes] = []
    local: dict[int, Row] = {}  # intents of this chunk, for their outcomes
    try:
        for row in _range(reader, chunk):
            seq = row.seq
            if row.day != day:
                raise NotInOrder
            leaf = make_leaf(row)
            at = (seq - chunk.first) * HASH_BYTES
            expected = chunk.leaves[at : at + HASH_BYTES]
            is_in_tree = bool(expected)
            if not is_in_tree:
                facts.beyond.append((seq, leaf))
                expected = row.leaf
            if leaf != expected:
                raise NotInOrder
            _check_sealed(row)
            facts.records += 1
            facts.gone.note(row, is_in_tree=is_in_tree)
            facts.runs.setdefault(row.boot, array("Q")).extend((seq, row.counter))
            if row.phase == Phase.OUTCOME and row.head_seq < chunk.minimum_index:
                facts.outcomes.append(row.head_seq)  # its intent and their entries in the search tables were pruned
            elif row.phase == Phase.OUTCOME:
                head = local.get(row.head_seq) or reader.row(row.head_seq)
                if head is None or head.event_id != row.event_id or head.phase != Phase.INTENT or head.seq >= seq:
                    raise NotInOrder
                facts.outcomes.append(row.head_seq)
                _check_index(reader, row, head, facts)
            else:
                if len(row.event_id) != _EVENT_ID_BYTES:
                    raise NotInOrder
                heads.append(row.event_id)
                if row.phase == Phase.INTENT:
                    local[seq] = row
                _check_index(reader, row, None, facts)
    except (TypeError, AttributeError, OverflowError, ValueError) as error:  # a type that no record has
        raise NotInOrder from error
    facts.heads = b"".join(heads)
    return facts


def _range(reader: DayMoment, chunk: Chunk) -> Iterator[Row]:
    for row in reader.rows(chunk.first):
        if row.seq >= chunk.end:
            return
        yield row


def _check_sealed(row: Row) -> None:
    if row.content is None and is_stripped(row):
        return
    subject, content, salt, terms = row.subject, row.content, row.index_salt, row.terms
    if (
        subject is None
        or content is None
        or salt is None
        or terms is None
        or hashlib.sha256(subject).digest() != row.subject_digest
        or hashlib.sha256(content).digest() != row.content_digest
        or hmac.digest(salt, _INDEX_LABEL + b"b" + len(terms).to_bytes(4, "big") + terms, "sha256")
        != row.index_commitment
    ):
        raise NotInOrder


def _check_index(reader: DayMoment, row: Row, head: Row | None, facts: Facts) -> None:
    """Every token and reason of a record leads to it. An outcome shares its intent's entries."""
    if row.terms and reader.tokens_are_copied:
        tokens = _tokens(row.terms)
        if head is not None and head.terms:
            tokens -= tokens if row.terms == head.terms else _tokens(head.terms)
        facts.terms += len(tokens)
        _look(reader, "{term}", "token", tokens, row.head_seq)
    if row.reasons:
        codes = set(row.reasons.split())
        if head is not None:
            codes -= set(head.reasons.split())
        facts.reasons += len(codes)
        _look(reader, "{reason}", "code", codes, row.head_seq)


def _tokens(terms: bytes) -> set[bytes]:
    return {terms[at : at + TOKEN_BYTES] for at in range(0, len(terms), TOKEN_BYTES)}


def _look(reader: DayMoment, table: str, column: str, values: set[bytes] | set[str], head: int) -> None:
    if not values:
        return
    marks = ",".join("?" * len(values))
    sql = f"select count(*) from {table} where {column} in ({marks}) and head_seq = ?"  # noqa: S608  # two fixed names
    for (found,) in reader.select(sql, (*values, head)):
        if found != len(values):
            raise NotInOrder


def check_day(parts: Sequence[Facts], terms_found: int, reasons_found: int) -> None:
    """What one day's chunks must be together. Raises ``NotInOrder``."""
    heads = b"".join(part.heads for part in parts)
    events = {heads[at : at + _EVENT_ID_BYTES] for at in range(0, len(heads), _EVENT_ID_BYTES)}
    if len(events) * _EVENT_ID_BYTES != len(heads):
        raise NotInOrder  # an event with two heads
    outcomes = [head for part in parts for head in part.outcomes]
    if len(set(outcomes)) != len(outcomes):
        raise NotInOrder  # an intent with two outcomes
    if terms_found > sum(part.terms for part in parts) or reasons_found > sum(part.reasons for part in parts):
        raise NotInOrder  # entries that no record gives


def check_order(parts: Iterable[Facts]) -> None:
    """Within one run of a process the record counter rises with the sequence. Raises ``NotInOrder``."""
    runs: dict[str, list[array[int]]] = {}
    for part in parts:
        for boot, run in part.runs.items():
            runs.setdefault(boot, []).append(run)
    for pieces in runs.values():
        pieces.sort(key=lambda piece: piece[0])
        last_seq = last_counter = -1
        for piece in pieces:
            if piece[0] < last_seq:  # two day files share this stretch, as around midnight
                pieces = [_interleaved(pieces)]
                break
            last_seq = piece[-2]
        for piece in pieces:
            for counter in piece[1::2]:
                if counter <= max(last_counter, 0):
                    raise NotInOrder
                last_counter = counter


def _interleaved(pieces: Sequence[array[int]]) -> array[int]:
    pairs = sorted(pair for piece in pieces for pair in zip(piece[::2], piece[1::2], strict=True))
    return array("Q", [number for pair in pairs for number in pair])
