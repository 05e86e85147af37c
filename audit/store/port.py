"""What a store must do, whatever it is made of: ``files`` (SQLite, one process), ``postgres`` (many processes).

The promises, which one contract suite (``tests/contract/audit``) holds both stores to:

- ``submit`` settles a job's future only when the record is durable (fsynced), or with an error; an error means that the
  caller must not go on, not that nothing is on disk;
- sequence numbers are dense from 0 over all processes, in the order of commits;
- a checkpoint is signed only over records that are durable and that the log itself wrote (their authenticators hold),
  never contradicts an earlier one, and is stored before anybody sees it;
- an intent has at most one outcome, whichever process concludes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from audit.checkpoint import Checkpoint
from audit.keys.ring import KeyRing
from audit.note import VerifierKey
from audit.record import Ticket
from audit.row import Row

if TYPE_CHECKING:
    from audit.store.compose import Job

T = TypeVar("T")

# Beyond this many records between the records and the tree something is wrong (a full disk); stop taking more.
MAX_BEHIND = 200_000

# Records of one day that have a token; more is "many", in a day of few records.
FREQUENT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCosts:
    """What decides between the ways through one day, in its store. The unit is fetching one record by its token."""

    frequent: int = (
        FREQUENT  # records that have a token, from which on it is better walked in order, if that is another
    )
    sparse: int = 0  # entries of a plain index below which it leads rather than a token that is walked in order
    plain: int = 2  # one entry of a plain index, whose two halves are looked at for a token


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where the records that carry a blind token are found below a sequence number, in SQL with ``?`` marks.

    ``from_sql`` yields a column ``order_column`` with the ``head_seq`` of each; ``where_sql`` may be empty. For each
    token an event may come twice, once for each half.
    Parameters come in the order of the marks: those of ``from_sql``, then those of ``where_sql``.
    """

    from_sql: str
    from_parameters: tuple[object, ...]
    where_sql: str
    where_parameters: tuple[object, ...]
    order_column: str


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """What a day holds of one class."""

    records: int
    sealed: int  # records whose sealed parts are still here
    sealed_bytes: int  # their ciphertexts


class DayView(Protocol):
    """One day's records, as a reader sees them."""

    @property
    def day(self) -> date: ...

    def select(self, sql: str, parameters: Sequence[object]) -> Iterator[tuple[Any, ...]]:
        """Run a query whose tables are written ``{record}``, ``{sealed}``, ``{term}``, ``{reason}`` and whose
        parameters are ``?``. ``record`` has the columns of ``Row`` up to ``leaf``, ``sealed`` has ``seq``,
        ``subject`` and ``content``, ``reason`` has ``code`` and ``head_seq``. Tokens are reached by ``token_source``.
        """
        ...

    @property
    def walks_tokens_in_order(self) -> bool:
        """Are the records of a token found newest first, however many there are? If not, a search counts them before,
        up to ``costs.frequent``, and says which of the two ways it wants."""
        ...

    @property
    def costs(self) -> SearchCosts: ...

    def token_source(self, tokens: Sequence[bytes], before_seq: int) -> TokenSource:
        """Records with any of these tokens (one person in several classes), below ``before_seq``: a cheap answer if
        they are few."""
        ...

    def token_walk(self, token: bytes, before_seq: int) -> TokenSource:
        """The same for one token that many records have: an answer in order, whose first page is cheap."""
        ...

    def has_token(self, tokens: Sequence[bytes], head: str) -> tuple[str, tuple[object, ...]]:
        """Has the event whose ``head_seq`` is in the column ``head`` any of these tokens? A condition in SQL with ``?``
        marks, and its parameters; asked for one event after the other, by an index."""
        ...

    def numbers(self, seqs: Sequence[int]) -> tuple[str, tuple[object, ...]]:
        """These numbers as a table ``m (head_seq)``: SQL with ``?`` marks, and its parameters. Its text does not hang
        on the numbers where the store remembers how it ran a text."""
        ...

    def rows(self, first_seq: int = 0) -> Iterator[Row]:
        """Rows from a sequence number on, in order."""
        ...

    def row(self, seq: int) -> Row | None: ...

    def event(self, event_id: bytes) -> list[Row]:
        """The records of one event: its head, and its outcome if it has one."""
        ...

    def count(self) -> int: ...

    def newest_seq(self) -> int:
        """Largest sequence number of the day; -1 if it is empty."""
        ...

    def oldest_seq(self) -> int:
        """Smallest sequence number of the day; 0 if it is empty."""
        ...

    def purged_at(self) -> datetime | None:
        """When the sealed parts of all its classes were removed, but for held records; ``None`` before."""
        ...


class StoreReader(Protocol):
    """What work inside ``Store.read`` may use. Not to be kept beyond it."""

    def days(self) -> list[date]:
        """Days with records, oldest first."""
        ...

    def day(self, day: date) -> DayView | None: ...

    def select_each(
        self, questions: Sequence[tuple[DayView, str, Sequence[object]]]
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Run one query (see ``DayView.select``) on each of several days; every result comes with the place of its day
        in ``questions``, those of one day together, day after day. The queries give the same columns. Within a day no
        order is promised. Asked at once where that saves trips to the database, else one by one as results are taken.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a store says it is. ``log.json`` of a directory, or a row of the database."""

    origin: str
    verifier_key: VerifierKey
    created_at: datetime
    snapshot_taken_at: datetime | None = None


class Store(Protocol):
    """An open store. All methods are safe to call from several threads; those that block say so."""

    @property
    def verifier_key(self) -> VerifierKey: ...

    @property
    def ring(self) -> KeyRing: ...

    @property
    def is_snapshot(self) -> bool: ...

    def start(self) -> None:
        """Start the threads. Called once, after everything that could refuse was asked."""
        ...

    def close(self) -> None:
        """Write what is queued, sign it, close. Blocks."""
        ...

    # -- writing

    def submit(self, job: Job) -> None:
        """Queue a record; its future is settled in its own loop. Raises ``AuditUnavailable`` when full or closed."""
        ...

    def claim(self, ticket: Ticket) -> None:
        """Claim a ticket for concluding. Raises ``TicketConcluded`` if this process knows it is not open."""
        ...

    def unclaim(self, ticket: Ticket) -> None:
        """Give a claim back: the outcome was never submitted."""
        ...

    def open_tickets(self, before: datetime) -> list[Ticket]:
        """Tickets opened before a moment that nobody here is concluding, oldest first. May block."""
        ...

    def open_count(self) -> int: ...

    # -- the tree

    @property
    def latest(self) -> tuple[Checkpoint, datetime] | None:
        """The newest checkpoint and when it was signed."""
        ...

    def behind(self) -> int:
        """Durable records that are not in the stored tree yet, as far as this process knows."""
        ...

    def prove(self, seqs: Sequence[int]) -> tuple[Checkpoint, list[list[bytes]]]:
        """Inclusion paths against a checkpoint that covers all of ``seqs`` (a new one if need be). Blocks.

        Raises ``StoreError`` if none can be had.
        """
        ...

    def prove_consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Consistency proof between two sizes of the stored tree. Blocks."""
        ...

    def read_tile(self, level: int, index: int) -> bytes:
        """Hashes of one tile of the stored tree. Blocks."""
        ...

    # -- reading

    async def read(self, work: Callable[[StoreReader], T]) -> T:
        """Run ``work`` in a reader thread, within the reading time limit.

        Raises ``AuditUnavailable`` if closed, too slow, or the store fails.
        """
        ...

    # -- retention: all of these block

    def days(self) -> list[date]:
        """Days with records, oldest first."""
        ...

    def count(self, day: date) -> int: ...

    def class_figures(self, day: date) -> dict[str, ClassFigures]:
        """What the day holds of each class. Reads all of it: for the day of its purge, not for every minute."""
        ...

    def take_in_day(self, day: date) -> None:
        """Return only when every record of the day is in the stored tree: without keys it could not be checked. The day
        takes no more records until ``release_day``."""
        ...

    def release_day(self, day: date, classes: frozenset[str] | None = None) -> list[Ticket]:
        """Forget the open tickets of a day and these classes (``None``: all; they can't be concluded any more;
        returned) and close what holds the day open. Records of what is left of the day are taken again."""
        ...

    def is_freed(self, day: date, classes: frozenset[str] | None) -> bool:
        """Was ``free`` done for these classes (``None``: all at once), and does what it left still stand? Cheap: asked
        every minute for every day. A day put back from a backup is not freed."""
        ...

    def free(self, day: date, classes: frozenset[str] | None, keep: frozenset[int], at: datetime) -> bool:
        """Remove ciphertexts, tokens, salts and authenticators of these classes (``None``: all), but those of the
        records ``keep``. Envelopes, digests, commitments and leaves stay. Safe to repeat, with fewer to keep: what a
        hold released goes then. ``False``: something reads them, or the disk refused; try again later. Nothing is
        half done."""
        ...

    def first_seq(self, day: date) -> int:
        """Smallest sequence number of a day; 0 if it is empty."""
        ...

    def prune(self, minimum_index: int) -> None:
        """Forget all records below this number and the level-0 tiles of their leaves, durably. ``audit.pruning`` has
        put it on record, and every day concerned is freed. Safe to repeat."""
        ...

    def erase(self, seqs: Sequence[int]) -> None:
        """The same for single records, whatever their class; their days stay open for writing. Returns only when the
        records are in the stored tree and their parts are gone. Raises ``AuditUnavailable``: erase again."""
        ...

    def lease(self, name: str, seconds: float) -> bool:
        """Take or renew a lease for this process: of all that share the log, at most one holds it. Blocks.

        Raises ``AuditUnavailable``.
        """
        ...

    # -- figures

    @property
    def is_writable(self) -> bool: ...

    def backlog(self) -> int:
        """Records waiting to be written by this process."""
        ...

    def free_fraction(self) -> float:
        """Share of the store's disk that is free, between 0 and 1; 1.0 where that can't be known."""
        ...

    def failures(self) -> tuple[int, int, int]:
        """Failed writes, failed turns of the tree, failed witnesses, since the start."""
        ...
