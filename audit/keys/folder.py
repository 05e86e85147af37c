"""The folder of wrapped day keys: which files there are, and for what.

::

    2026-11-22.default.standard.json    day, tenant, class; see ``ring.py``
    destroyed-days                      see ``destroyed.py``
    receipts.jsonl                      see ``audit/retention/receipts.py``

Needs no key. Several processes may share it; it stays out of the backups that hold the records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from audit.keys.destroyed import LIST_NAME, Scope

SUFFIX = ".json"
# What follows the class is the suffix, or that of a file which a crash kept from getting its name.
_NAME = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2})\.(?P<tenant>[a-z0-9-]+)\.(?P<class_>[a-z0-9-]+)\.json(?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One file that holds, or held half, a wrapped key."""

    path: Path
    day: date
    tenant: str
    class_: str
    is_whole: bool  # False for what a crash left of one being written


class KeyFolder:
    """Names of the files in a key folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def destroyed_list(self) -> Path:
        return self.path / LIST_NAME

    @property
    def receipts(self) -> Path:
        return self.path / "receipts.jsonl"

    def key_path(self, day: date, tenant: str, class_: str) -> Path:
        return self.path / f"{day.isoformat()}.{tenant}.{class_}{SUFFIX}"

    def files(self) -> Iterator[KeyFile]:
        """Every key file, in no order, also what a crash left of one."""
        for path in self.path.iterdir():
            found = _NAME.fullmatch(path.name)
            if found is None:
                continue
            try:
                day = date.fromisoformat(found["day"])
            except ValueError:
                continue  # 2026-02-31: no key of ours
            yield KeyFile(path, day, found["tenant"], found["class_"], not found["rest"])

    def classes_by_day(self) -> dict[date, set[str]]:
        """Days and classes that key files exist for, destroyed ones included (a restored file shows up here)."""
        found: dict[date, set[str]] = {}
        for file in self.files():
            found.setdefault(file.day, set()).add(file.class_)
        return found

    def of(self, scope: Scope) -> list[Path]:
        """Files of a scope, in every tenant, in the order of their names."""
        return sorted(
            file.path for file in self.files() if file.day == scope.day and scope.class_ in (None, file.class_)
        )
