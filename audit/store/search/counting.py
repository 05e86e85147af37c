"""Counts of what a search finds: how many in all, and by effect, action, family of reasons, model, phase and day.

Only plain columns are read: nothing is decrypted, no person is counted. Counting is exact up to a bound of records
looked at, the newest first; beyond it a count says "at least".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from audit.query import FACETS, Count, FacetValue
from audit.query.fields import OPEN, PREFIX
from audit.store.search.filters import EFFECT
from audit.store.search.plan import OUTCOME_JOIN, DayPlan
from audit.store.search.sql import Sql, join, wrapped

COUNTED_RECORDS: Final = 10_000  # looked at: some tens of milliseconds
SHOWN_VALUES: Final = 12  # of each facet, the most frequent

_GROUPED: Final = (  # the one piece put in is a constant
    f"select {EFFECT}, h.action, h.reasons, coalesce(o.reasons, ''), h.model, coalesce(o.model, ''), h.phase, count(*)"  # noqa: S608
    " from (select head_seq from ("
)
_GROUPED_JOINS: Final = (
    ") w group by head_seq) d cross join {record} h" + OUTCOME_JOIN + " where h.seq = d.head_seq and "
)
_GROUPED_BY: Final = " group by 1, 2, 3, 4, 5, 6, 7"


class Counting:
    """Counts one day after the other, newest first, until its bound is reached."""

    def __init__(self, bound: int = COUNTED_RECORDS) -> None:
        self._left = bound
        self._is_exact = True
        self._number = 0
        self._counters: dict[str, Counter[str]] = {name: Counter() for name in FACETS}

    @property
    def is_done(self) -> bool:
        return not self._is_exact

    def add(self, plan: DayPlan) -> None:
        """Count what a day has."""
        looked_at = self._looked_at(plan)
        if looked_at > self._left:
            self._is_exact, looked_at = False, self._left
        if looked_at:
            self._group(plan, looked_at)
        self._left -= looked_at

    def result(self) -> tuple[Count, Mapping[str, tuple[FacetValue, ...]]]:
        """The count, and of each facet the most frequent values; days in their order."""
        facets = {}
        for name, counter in self._counters.items():
            values = sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_VALUES]
            if name == "day":
                values = sorted(counter.items(), reverse=True)
            facets[name] = tuple(FacetValue(value, number) for value, number in values)
        return Count(self._number, self._is_exact), facets

    def _looked_at(self, plan: DayPlan) -> int:
        """One more than is left means: too many."""
        counted = wrapped("select count(*) from (", plan.walked(self._left + 1), ") w")
        ((number,),) = plan.view.select(counted.text, counted.parameters)
        return int(number)

    def _group(self, plan: DayPlan, bound: int) -> None:
        grouped = join(
            "",
            [
                wrapped(_GROUPED, plan.walked(bound), _GROUPED_JOINS),
                plan.conditions("d.head_seq"),
                Sql(_GROUPED_BY),
            ],
        )
        day = plan.view.day.isoformat()
        for effect, action, reasons, more, model, answered, phase, number in plan.view.select(
            grouped.text, grouped.parameters
        ):
            self._number += number
            self._counters["effect"][effect or OPEN] += number
            self._counters["action"][action] += number
            for family in {_family(code) for code in f"{reasons} {more}".split()}:
                self._counters["reason"][family] += number
            for name in {model, answered} - {""}:
                self._counters["model"][name] += number
            self._counters["phase"][phase] += number
            self._counters["day"][day] += number


def _family(code: str) -> str:
    family, dot, _ = code.partition(".")
    return f"{family}.{PREFIX}" if dot else code
