"""One attack on a fresh copy of the log: what verification says without and with the witness, what opening says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from audit import AuditError, AuditLog
from audit.verify import Attack, Report, verify_store
from audit.verify.report import Finding
from tests.dba.catalogue import Case, Guard
from tests.dba.victim import DatabaseVictim, FilesVictim, Victim, make_victim
from tests.support.postgres import PostgresServer

_BY_WITNESS = {Attack.ROLLED_BACK, Attack.WITNESS_MISSING}
_BY_CHECKPOINT = {Attack.HISTORY_REWRITTEN, Attack.TRUNCATED, Attack.CHECKPOINT_FORGED, Attack.TREE_CHANGED}
_NUMBER = re.compile(r"record (\d+)")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of an attack."""

    alone: Report  # with nothing but the store and the log's public key
    witnessed: Report  # with the witness as well
    refused: AuditError | None  # by the log, when it was to be opened again

    @property
    def guards(self) -> list[Guard]:
        """All that spoke, nearest first."""
        spoke = {_guard(finding) for finding in self.witnessed.findings}
        if self.refused is not None:
            spoke.add(Guard.OPENING)
        return [guard for guard in Guard if guard in spoke]

    @property
    def first(self) -> Finding | None:
        return self.alone.first_bad or self.witnessed.first_bad

    @property
    def found_as(self) -> str:
        return self.first.attack.value if self.first else type(self.refused).__name__ if self.refused else "nothing"

    @property
    def first_bad(self) -> tuple[int, int] | None:
        """The first record concerned, or what is known of where it is; ``None`` if it is about no record."""
        if self.first is None:
            named = _NUMBER.search(str(self.refused))
            return (int(named[1]), int(named[1])) if named else None
        # With every checkpoint forged only the witness knows where it begins.
        known = self.witnessed.first_bad if self.first.seq is None else self.first
        if known is None or known.seq is None:
            return None
        return known.seq, known.seq if known.through is None else known.through


def _guard(finding: Finding) -> Guard:
    if finding.attack in _BY_WITNESS:
        return Guard.WITNESS
    return Guard.CHECKPOINT if finding.attack in _BY_CHECKPOINT else Guard.LEAF


def examine(victim: Victim, case: Case) -> Found:
    """Do the deed to this victim, then look."""
    case.deed(victim)
    key = victim.true_key()
    alone = verify_store(victim.target, key, None, processes=1)
    witnessed = verify_store(victim.target, key, victim.witness, processes=1)
    return Found(alone=alone, witnessed=witnessed, refused=_open(victim))


def _open(victim: Victim) -> AuditError | None:
    async def nothing(_log: AuditLog) -> None:
        return

    try:
        victim.use(nothing)
    except AuditError as error:
        return error
    return None


@contextmanager
def files_original() -> Iterator[Victim]:
    """A SQLite log to copy."""
    with TemporaryDirectory(prefix="dba-") as name:
        yield make_victim(FilesVictim(Path(name) / "original"))


@contextmanager
def database_original(server: PostgresServer) -> Iterator[Victim]:
    """A PostgreSQL log to copy."""
    with TemporaryDirectory(prefix="dba-") as name:
        original = DatabaseVictim.fresh(Path(name) / "original", server)
        try:
            yield make_victim(original)
        finally:
            original.drop()


@contextmanager
def fresh_copy(original: Victim) -> Iterator[Victim]:
    """One to attack."""
    with TemporaryDirectory(prefix="dba-") as name:
        victim = original.copy(Path(name) / "log")
        try:
            yield victim
        finally:
            victim.drop()
