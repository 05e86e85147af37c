"""Who comes into a group and who goes, read from a PATCH without reading the group.

The library applies a PATCH to the whole resource, which for one member of a group of two thousand costs more than a
second of CPU. What directories send says by id who is meant, and that is all the database needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

_ONE: Final = re.compile(r'members\[\s*value\s+eq\s+"([^"\\]*)"\s*\]', re.IGNORECASE)

MAX_WRITTEN: Final = 1_000
"""Most members of a group that a POST or PUT brings, or that a PATCH by another filter than their ids may look at."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on members, by the ids of people here."""

    op: Literal["add", "remove", "replace"]
    ids: frozenset[str]


def split(body: bytes) -> tuple[tuple[Step, ...], bytes | None] | None:
    """The steps of a translated PATCH, and the body with the other operations, None when there are none. None instead
    of both when an operation on members is of another kind: the library then has to look at the whole group."""
    try:
        found = json.loads(body)
        operations = found["Operations"]
        read = [(operation, _step(operation)) for operation in operations if _is_on_members(operation)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    steps = tuple(step for _, step in read if step is not None)
    if len(steps) < len(read) or not operations:
        return None
    rest = [operation for operation in operations if not _is_on_members(operation)]
    if any("members" in map(str.casefold, _keys(operation.get("value"))) for operation in rest):
        return None
    return steps, json.dumps({**found, "Operations": rest}).encode() if rest else None


def after(steps: Sequence[Step], ids: frozenset[str]) -> frozenset[str]:
    """Who of `ids` and of those that the steps name is in the group at the end."""
    for step in steps:
        if step.op == "replace":
            ids = step.ids
        elif step.op == "add":
            ids |= step.ids
        else:
            ids -= step.ids
    return ids


def _is_on_members(operation: Any) -> bool:
    path = operation.get("path")
    return isinstance(path, str) and re.match(r"members\b", path, re.IGNORECASE) is not None


def _step(operation: Any) -> Step | None:
    op, path, value = str(operation["op"]).casefold(), operation["path"], operation.get("value")
    one = _ONE.fullmatch(path)
    if op == "remove" and one is not None and value is None:
        return Step("remove", frozenset({one[1]}))
    if path.casefold() != "members":
        return None
    if op == "remove" and value is None:
        return Step("replace", frozenset())
    entries = value if isinstance(value, list) else [value]
    ids = [_id(entry) for entry in entries]
    known = frozenset(id for id in ids if id is not None)
    if op not in ("add", "remove", "replace") or any(id is None for id in ids):
        return None
    return Step("add" if op == "add" else "remove" if op == "remove" else "replace", known)


def _id(entry: Any) -> str | None:
    """Whom an entry means, when it says so by id and does not say that it is something else than a person."""
    if not isinstance(entry, dict) or entry.get("type") not in (None, "User"):
        return None
    value = entry.get("value")
    return value if isinstance(value, str) and value else None


def _keys(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []
