"""Blind tokens of what is searched for, under the keys that a day still has."""

from __future__ import annotations

from datetime import date
from functools import cached_property

from audit.errors import ContentDestroyed
from audit.keys.ring import DayKeys, KeyRing
from audit.query import RULES, Field
from audit.seal import blind_token


class DayClasses:
    """Which classes a tenant has keys for on which day. The key folder is listed once for all days of a search."""

    def __init__(self, ring: KeyRing, tenant: str) -> None:
        self._ring = ring
        self._tenant = tenant

    def on(self, day: date) -> Tokens:
        keys = []
        for class_ in sorted(self._by_day.get(day, ())):
            try:
                keys.append(self._ring.get(day, self._tenant, class_))
            except ContentDestroyed:  # a key file put back from a backup, or a purge of this moment
                continue
        return Tokens(tuple(keys))

    @cached_property
    def _by_day(self) -> dict[date, set[str]]:
        found: dict[date, set[str]] = {}
        for file in self._ring.folder.files():
            if file.is_whole and file.tenant == self._tenant:
                found.setdefault(file.day, set()).add(file.class_)
        return found


class Tokens:
    """Makes tokens under the keys of one day and tenant. Without any keys nobody can be found in that day."""

    def __init__(self, keys: tuple[DayKeys, ...]) -> None:
        self._keys = keys
        self._known: dict[tuple[Field, str], tuple[bytes, ...]] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(keys.class_ for keys in self._keys)

    def of(self, field: Field, term: str) -> tuple[bytes, ...]:
        """One token for each class. Raises ``ContentDestroyed`` if the keys were wiped meanwhile."""
        found = self._known.get((field, term))
        if found is None:
            kind = RULES[field].term_kind
            found = tuple(blind_token(keys, kind, term) for keys in self._keys)
            for keys in self._keys:
                keys.require_live()  # else the token would hang on zeros
            self._known[field, term] = found
        return found
