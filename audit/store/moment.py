"""One moment of a whole log, read beside whoever writes it: for verifying, exporting and copying. Needs no key.

``open_moment`` takes a store's directory or a database's URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol

from audit.checkpoint import Checkpoint
from audit.note import VerifierKey
from audit.row import Row
from audit.store.files.layout import Layout
from audit.store.files.moment import Moment
from audit.store.port import DayView

_SCHEMES = ("postgresql", "postgres")


class IdentityView(Protocol):
    """What a store says it is."""

    @property
    def origin(self) -> str: ...

    @property
    def verifier_key(self) -> VerifierKey: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def snapshot_taken_at(self) -> datetime | None: ...


class DayMoment(DayView, Protocol):
    """A day whose every record may be read."""

    @property
    def tokens_are_copied(self) -> bool:
        """Are tokens searched in a table of their own, which an entry could be missing from? If not, the committed
        tokens themselves are searched, and nothing needs comparing."""
        ...


class TreeMoment(Protocol):
    """The stored tree."""

    @property
    def size(self) -> int: ...

    @property
    def minimum_index(self) -> int:
        """Where the log begins since it was pruned; 0 if it was not."""
        ...

    def read_tile(self, level: int, position: int) -> bytes:
        """Hashes of a tile. Raises ``StoreDamaged`` if it is missing."""
        ...

    def checkpoints(self, origin: str) -> list[tuple[Checkpoint, datetime]]:
        """All checkpoints, smallest first."""
        ...


class MomentPort(Protocol):
    """Everything in a log at one moment; to be used in a ``with``."""

    @property
    def identity(self) -> IdentityView: ...

    @property
    def is_live(self) -> bool:
        """Does some process write this log right now?"""
        ...

    @property
    def days(self) -> Sequence[DayMoment]: ...

    @property
    def unreadable(self) -> dict[str, str]:
        """Days that do not open, with the reason."""
        ...

    @property
    def tree(self) -> TreeMoment: ...

    def rows(self) -> Iterator[Row]:
        """All records in the order of their sequence numbers."""
        ...

    def count(self) -> int: ...

    def close(self) -> None: ...

    def __enter__(self) -> MomentPort: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


def database_url_of(target: str | Path) -> str | None:
    """The URL if ``target`` is one (also after ``Path`` has eaten a slash of it), else ``None``."""
    scheme, colon, rest = str(target).partition(":")
    if not colon or scheme.split("+")[0] not in _SCHEMES:
        return None
    return f"{scheme}://{rest.lstrip('/')}" if not rest.startswith("///") else f"{scheme}:{rest}"


def describe_target(target: str | Path) -> str:
    """The target for reports and messages: of a URL, what is no secret."""
    url = database_url_of(target)
    if url is None:
        return str(target)
    place = url.partition("://")[2].partition("?")[0]
    return f"postgresql://{place.rpartition('@')[2]}"


def open_moment(target: str | Path) -> MomentPort:
    """Read transactions over everything, taken so that no record is missing between them.

    Raises ``StoreDamaged`` if there is no log, or one that cannot be read at all; ``AuditUnavailable`` if the database
    cannot be reached.
    """
    url = database_url_of(target)
    if url is None:
        return Moment(Layout(Path(target)))
    from audit.store.postgres.moment import PostgresMoment  # psycopg is an optional part of the installation

    return PostgresMoment(url)
