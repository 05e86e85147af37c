"""The rules in force, exchanged while the gateway runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.screening.entities.model import absent
from gateway.screening.exact.lists import ListShelf
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.ruleset import RuleSet, load, rule_files

OnReload = Callable[[bool, str, str], None]
"""Called after each attempt: (whether the new rules are in force, revision in force, what was wrong or "")."""

_log = logging.getLogger(__name__)
_Signature = tuple[tuple[str, int, int, int], ...]


class RuleBook:
    """Holds one `RuleSet`; a reader takes `current` once and works with it to the end of its request.

    Raises `RuleError` when made over rules that don't load: a gate that never had rules does not open.
    """

    def __init__(
        self,
        directory: Path,
        *,
        reload_seconds: float = 1.0,
        on_reload: OnReload | None = None,
        clock: Callable[[], float] = time.monotonic,
        lists: ListShelf | None = None,
    ) -> None:
        self._directory = directory
        self._lists = lists
        self._every = reload_seconds
        self._on_reload = on_reload
        self._clock = clock
        self._lock = threading.Lock()
        self._signature = self._look()
        self._next_look = clock() + reload_seconds
        self.current: RuleSet = load(directory, lists)
        _tell_of_names(self.current)
        self.error = ""
        """What is wrong with the files as they lie; empty when they are the ones in force."""

    def is_due(self) -> bool:
        """Whether it is time to look at the files again. Costs nothing."""
        return self._clock() >= self._next_look

    def maybe_reload(self) -> bool:
        """Look at the files when it is time, and exchange the rules when they changed and load. True when exchanged.

        Files that don't load leave the old rules in force; `error` then says what is wrong.
        """
        if not self.is_due() or not self._lock.acquire(blocking=False):
            return False
        try:
            self._next_look = self._clock() + self._every
            signature = self._look()
            if signature == self._signature:
                return False
            self._signature = signature
            return self._exchange()
        finally:
            self._lock.release()

    def put_in_force(self, rules: RuleSet) -> None:
        """Exchange the rules now, for a set that was loaded elsewhere; the files must be the ones it came from."""
        with self._lock:
            changed = rules.revision != self.current.revision
            self.current, self.error, self._signature = rules, "", self._look()
        if changed:
            _log.info("screening.activated", extra={"revision": rules.revision})
            self._tell(True)

    def _exchange(self) -> bool:
        try:
            fresh = load(self._directory, self._lists)
        except RuleError as error:
            self.error = str(error)
        except Exception as error:  # a defect of ours in loading must not take the rules in force away
            self.error = f"rules did not load: {type(error).__name__}"
        else:
            changed = fresh.revision != self.current.revision
            self.current, self.error = fresh, ""
            if changed:
                _log.info("screening.activated", extra={"revision": fresh.revision})
                self._tell(True)
            return changed
        _log.warning("screening.refused", extra={"revision": self.current.revision, "cause": self.error})
        self._tell(False)
        return False

    def _tell(self, ok: bool) -> None:
        if ok:
            _tell_of_names(self.current)
        if self._on_reload is not None:
            self._on_reload(ok, self.current.revision, self.error)

    def _look(self) -> _Signature:
        entries = []
        for path in (*rule_files(self._directory), *(self._lists.files() if self._lists else ())):
            try:
                status = path.stat()
            except OSError:
                continue
            entries.append((path.as_posix(), status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(entries)


def _tell_of_names(rules: RuleSet) -> None:
    for rule_id in rules.without_model:
        _log.warning("screening.names-missing", extra={"rule": rule_id, "cause": absent()})
