"""Which days and classes are to be destroyed now: past retention, begun and not finished, or back from a backup."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime

from audit.keys.destroyed import Scope, ScopeState
from audit.keys.ring import KeyRing
from audit.retention.rules import RetentionRules
from audit.store.port import Store

_GONE_HOLDS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of one day. ``classes`` is ``None`` where the whole day is past every retention there is."""

    day: date
    classes: frozenset[str] | None

    def scopes(self) -> list[Scope]:
        if self.classes is None:
            return [Scope(self.day)]
        return [Scope(self.day, class_) for class_ in sorted(self.classes)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRetention:
    """What key files and the list of destroyed days tell about retention, without a key and without the records."""

    oldest_readable_day: date | None  # None: no keys at all
    next_purge_at: datetime | None
    last_purge_at: datetime | None
    held_records: int

    @classmethod
    def of(
        cls, keys: Mapping[date, Set[str]], states: Mapping[Scope, ScopeState], rules: RetentionRules, now: datetime
    ) -> ListedRetention:
        live = [
            Scope(day, class_)
            for day, classes in keys.items()
            for class_ in classes
            if not _is_destroyed(states, day, class_)
        ]
        times = [rules.due_at(scope.day, scope.class_ or "") for scope in live]
        went = [at for state in states.values() for at in (state.destroyed_at, state.freed_at) if at is not None]
        return cls(
            oldest_readable_day=min((scope.day for scope in live), default=None),
            next_purge_at=min((at for at in times if at > now), default=None),
            last_purge_at=max(went, default=None),
            held_records=held_records(states),
        )


def held_records(states: Mapping[Scope, ScopeState]) -> int:
    """Records whose sealed parts outlived their purge under a hold."""
    whole = {scope.day for scope, state in states.items() if scope.class_ is None and state.is_finished}
    return sum(state.held for scope, state in states.items() if scope.class_ is None or scope.day not in whole)


def _is_destroyed(states: Mapping[Scope, ScopeState], day: date, class_: str) -> bool:
    return any(scope in states and states[scope].steps for scope in (Scope(day), Scope(day, class_)))


class DueFinder:
    """Finds what is due. Blocks: looks at key files, the list and the store."""

    def __init__(self, store: Store, rules: Callable[[], RetentionRules]) -> None:
        self._store = store
        self._ring: KeyRing = store.ring
        self._rules = rules
        self._classes: dict[date, frozenset[str]] = {}  # of days that only some classes of may be due
        self._gone: dict[Scope, float] = {}  # when the store last said that a scope is freed, in monotonic seconds

    def find(self, now: datetime, *, is_thorough: bool = True) -> list[Due]:
        """Oldest day first."""
        if is_thorough:
            self._gone.clear()
        today = now.astimezone(UTC).date()
        rules = self._rules()
        keys = self._ring.folder.classes_by_day()
        states = self._ring.states()
        found = []
        for day in sorted({*self._store.days(), *keys, *(scope.day for scope in states)}):
            begun = {scope.class_ for scope in states if scope.day == day}
            if None in begun or rules.is_all_due(day, today):
                if not self._is_gone(Scope(day), keys.get(day, set()), states):
                    found.append(Due(day, None))
            elif begun or rules.may_be_due(day, today):
                known = {class_ for class_ in begun if class_ is not None} | keys.get(day, set()) | self._of(day)
                due = {class_ for class_ in known if class_ in begun or rules.is_due(day, class_, today)}
                left = {one for one in due if not self._is_gone(Scope(day, one), keys.get(day, set()), states)}
                if left:
                    found.append(Due(day, frozenset(left)))
        return found

    def _is_gone(self, scope: Scope, keys: Iterable[str], states: Mapping[Scope, ScopeState]) -> bool:
        state = states.get(scope)
        if state is None or not state.is_finished:
            return False
        if any(scope.class_ in (None, class_) for class_ in keys):
            return False  # a key file came back from somewhere
        if time.monotonic() - self._gone.get(scope, float("-inf")) < _GONE_HOLDS_SECONDS:
            return True
        is_freed = self._store.is_freed(scope.day, None if scope.class_ is None else frozenset({scope.class_}))
        if is_freed:
            self._gone[scope] = time.monotonic()
        return is_freed

    def _of(self, day: date) -> frozenset[str]:
        """Classes that the store holds of a day which is at least two days old; read once."""
        if day not in self._classes:
            self._classes[day] = frozenset(self._store.class_figures(day))
        return self._classes[day]
