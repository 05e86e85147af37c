"""Checking the search tables of a day: an entry removed is a record hidden from every auditor's search."""

from __future__ import annotations

from audit.record import Phase
from audit.row import Row
from audit.seal import TOKEN_BYTES
from audit.store.files.day_file import DayReader
from audit.store.moment import DayMoment
from audit.verify.records import event_id_of
from audit.verify.report import Attack, Report


def contradiction(day: DayMoment) -> str | None:
    """How the indexes of a day file contradict its tables; ``None`` if they do not. Not asked of a database server,
    which this user may not ask: who can change its files can change what it says of them too."""
    if not isinstance(day, DayReader):
        return None
    found = str(day.connection.execute("pragma integrity_check(1)").fetchone()[0])
    return None if found == "ok" else found


class IndexChecker:
    """Compares ``reason`` of one day with its records, while these pass by, and ``term`` where a store has one."""

    def __init__(self, report: Report, day: DayMoment) -> None:
        self._report = report
        self._day = day
        self._name = day.day.isoformat()
        self._checks_terms = day.tokens_are_copied
        self._terms = self._reasons = 0
        self._broken = False

    def check_structure(self) -> None:
        """All indexes of the file agree with their tables: one that does not hides records from a search."""
        found = contradiction(self._day)
        if found is not None:
            self._report.add(Attack.INDEX_CHANGED, f"{self._name}: the file contradicts itself: {found}")

    def check(self, row: Row) -> None:
        """Every token and reason of a record leads to it."""
        known_terms: set[bytes] = set()
        known_reasons: set[str] = set()
        if row.phase == Phase.OUTCOME:  # shares its intent's entries
            known_terms, known_reasons = self._of_head(row)
        for token in set(row.tokens()) - known_terms if self._checks_terms else ():
            self._terms += 1
            self._look(row, "select 1 from {term} where token = ? and head_seq = ?", token)
        for code in set(row.reasons.split()) - known_reasons:
            self._reasons += 1
            self._look(row, "select 1 from {reason} where code = ? and head_seq = ?", code)

    def finish(self) -> None:
        """There is no entry beyond those."""
        tables = [("reason", self._reasons)] + ([("term", self._terms)] if self._checks_terms else [])
        for table, expected in tables:
            ((found,),) = self._day.select(f"select count(*) from {{{table}}}", ())  # noqa: S608  # two names
            if found > expected:
                self._report.add(
                    Attack.INDEX_CHANGED,
                    f"{self._name}: table {table} has {found} entries, the records give {expected}",
                )

    def _of_head(self, row: Row) -> tuple[set[bytes], set[str]]:
        """Tokens and reasons of an outcome's intent, as far as they are compared."""
        terms, reasons = b"", ""
        if self._checks_terms:
            for found in self._day.select("select terms, reasons from {record} where seq = ?", (row.head_seq,)):
                terms, reasons = found[0] or b"", found[1]
        elif row.reasons:
            for found in self._day.select("select reasons from {record} where seq = ?", (row.head_seq,)):
                reasons = found[0]
        return {terms[at : at + TOKEN_BYTES] for at in range(0, len(terms), TOKEN_BYTES)}, set(reasons.split())

    def _look(self, row: Row, statement: str, key: bytes | str) -> None:
        if self._broken or next(iter(self._day.select(statement, (key, row.head_seq))), None):
            return
        self._broken = True  # one finding a file: a dropped table would give one a record
        self._report.add(
            Attack.INDEX_CHANGED,
            f"{self._name}: the record is missing from the search index",
            seq=row.seq,
            event_id=event_id_of(row),
        )
