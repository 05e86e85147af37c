"""The table over the shipped policy: each route for each kind of caller. `python -m tests.authz` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from gateway.vocabulary import Role
from tests.authz.table import WAYS, Guard, Way

NOBODY, NO_ROLE, KEY, SERVICE = "nobody", "no role", "employee's key", "service's key"
SESSIONS: Final = tuple(role.value for role in Role if role is not Role.SERVICE)
CALLERS: Final = (NOBODY, NO_ROLE, *SESSIONS, KEY, SERVICE)
"""Without a credential, a person without a role, one of each role in a session, and keys with every scope there is."""

_POLICY = Path(__file__).resolve().parents[2] / "policies/gateway/config/roles/data.yaml"


def is_open(way: Way, caller: str) -> bool:
    """Whether the table and the shipped policy mean this caller to come in."""
    if way.opens is Guard.ANYBODY:
        return True
    if way.opens is Guard.OWN_SECRET or caller == NOBODY:
        return False
    if way.opens is Guard.SIGNED_IN:
        return True
    if way.opens is Guard.PERSON:
        return caller not in (KEY, SERVICE)
    assert isinstance(way.opens, tuple)
    policy = yaml.safe_load(_POLICY.read_text("utf-8"))
    role = {KEY: Role.EMPLOYEE.value, SERVICE: Role.SERVICE.value}.get(caller, caller)
    granted = set(policy["grants"].get(role, {}).get("permissions", ()))
    if caller in (KEY, SERVICE):
        granted &= set(policy["api_key_permissions"])
    return bool(granted & {permission.value for permission in way.opens})


def lines() -> Iterator[str]:
    """The matrix as a Markdown table, a route a line."""
    yield "| route | opened by | " + " | ".join(CALLERS) + " |"
    yield "|---|---|" + "---|" * len(CALLERS)
    for (method, path), way in WAYS.items():
        opens = way.opens.name.lower().replace("_", " ") if isinstance(way.opens, Guard) else ", ".join(way.opens)
        marks = " | ".join("yes" if is_open(way, caller) else "-" for caller in CALLERS)
        yield f"| `{method} {path}` | {opens} | {marks} |"
