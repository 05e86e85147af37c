"""Checking the search tables of a day file: an entry removed is a record hidden from every auditor's search."""

from __future__ import annotations

import sqlite3

from audit.record import Phase
from audit.row import Row
from audit.seal import TOKEN_BYTES
from audit.verify.records import event_id_of
from audit.verify.report import Attack, Report


class IndexChecker:
    """Compares ``term`` and ``reason`` of one day file with its records, while these pass by."""

    def __init__(self, report: Report, name: str, connection: sqlite3.Connection) -> None:
        self._report = report
        self._name = name
        self._connection = connection
        self._terms = self._reasons = 0
        self._broken = False

    def check(self, row: Row) -> None:
        """Every token and reason of a record leads to it."""
        known_terms: set[bytes] = set()
        known_reasons: set[str] = set()
        if row.phase == Phase.OUTCOME:  # shares its intent's entries
            head = self._connection.execute(
                "select terms, reasons from record where seq = ?", (row.head_seq,)
            ).fetchone()
            if head is not None:
                terms = head[0] or b""
                known_terms = {terms[at : at + TOKEN_BYTES] for at in range(0, len(terms), TOKEN_BYTES)}
                known_reasons = set(head[1].split())
        for token in set(row.tokens()) - known_terms:
            self._terms += 1
            self._look(row, "select 1 from term where token = ? and head_seq = ?", token)
        for code in set(row.reasons.split()) - known_reasons:
            self._reasons += 1
            self._look(row, "select 1 from reason where code = ? and head_seq = ?", code)

    def finish(self) -> None:
        """There is no entry beyond those."""
        for table, expected in (("term", self._terms), ("reason", self._reasons)):
            found = self._connection.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608  # two names
            if found > expected:
                self._report.add(
                    Attack.INDEX_CHANGED,
                    f"{self._name}: table {table} has {found} entries, the records give {expected}",
                )

    def _look(self, row: Row, statement: str, key: bytes | str) -> None:
        if self._broken or self._connection.execute(statement, (key, row.head_seq)).fetchone():
            return
        self._broken = True  # one finding a file: a dropped table would give one a record
        self._report.add(
            Attack.INDEX_CHANGED,
            f"{self._name}: the record is missing from the search index",
            seq=row.seq,
            event_id=event_id_of(row),
        )
