"""Small sets of rules, inputs, and a journal on a real SQLite file."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.bundle import Rules, read_bundle
from gateway.policy.engine import EntryPoint, Evaluation
from gateway.policy.rego import Rego
from gateway.policy.trial import try_out
from gateway.replay.journal import Journal
from gateway.replay.sealing import Sealer
from gateway.storage.database import Database
from gateway.storage.schema import metadata

SHIPPED = Path(__file__).resolve().parents[3] / "policies"
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
SMALL = """package gateway.image.authz

default decision := {"effect": "deny", "reasons": [%s], "obligations": {}}

decision := {"effect": "allow", "reasons": [], "obligations": {}} if permitted
"""
NO = (
    '{"code": "role.not-permitted", "message": "No.", "severity": "low", "rule": "gateway.image.authz.permitted", '
    '"control": ""}'
)


def small(permitted: str, *, revision: str = "r", data: Mapping[str, Any] | None = None, more: str = "") -> Rules:
    """Rules that allow what `permitted` (a body, or several rules) says, and deny the rest for one reason."""
    body = permitted if "permitted" in permitted else f"permitted if {{\n\t{permitted}\n}}"
    modules = {"gateway/image/authz/authz.rego": SMALL % NO + "\n" + body + "\n" + more}
    return Rules(revision=revision, modules=modules, data_json=json.dumps(data or {}))


def document(request_id: str = "r1", stage: str = "request", **changes: Any) -> dict[str, Any]:
    """An input as the gateway builds it; `changes` by section or field."""
    made: dict[str, Any] = {
        "version": 1,
        "request_id": request_id,
        "time": "2026-11-20T10:00:00.000Z",
        "mode": "enforce",
        "action": "image:generate",
        "subject": {
            "id": "idp|alice",
            "status": "active",
            "roles": ["employee"],
            "groups": ["design"],
            "department": "Design",
            "method": "session",
            "scopes": None,
            "amr": ["otp", "pwd"],
            "acr": "",
            "mfa_age_seconds": 60,
        },
        "context": {"ip": "10.1.2.3", "country": "", "client": "curl"},
        "stage": stage,
        "resource": {
            "task": "generate",
            "model": "imprimatur-embedded",
            "n": 1,
            "size": "auto",
            "quality": "auto",
            "cost_credits": 2,
            "uploads": {"count": 0, "bytes": 0, "pixels": 0, "has_mask": False},
        },
        "usage": {"user_day": 0, "user_month": 0, "in_flight": 0, "refused_last_hour": 0},
        "findings": [],
        "prompt": {"hmac": "00", "chars": 5},
    }
    made = copy.deepcopy(made)
    for name, value in changes.items():
        made[name] = made[name] | value if isinstance(value, dict) else value
    return made


@pytest.fixture(scope="session")
def shipped() -> Rules:
    return asyncio.run(try_out(read_bundle(SHIPPED), decision_seconds=5))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, days: int) -> None:
        self.now += timedelta(days=days)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class WithKeys(Database):
    """A database, and the folder of keys beside it."""

    keys: Path


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[WithKeys]:
    database = WithKeys(f"sqlite+aiosqlite:///{tmp_path / 'gateway.sqlite'}")
    database.keys = tmp_path / "keys"
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.aclose()


def sealer_on(database: WithKeys, secret: bytes = b"k" * 32) -> Sealer:
    """Keys in the one folder that gateways share."""
    return Sealer(secret, database.keys)


def journal_on(
    database: WithKeys, clock: Callable[[], datetime], keeps_for: Callable[[tuple[str, ...]], int] = lambda _: 30
) -> Journal:
    return Journal(database, sealer_on(database), clock, keep_days=14, keeps_for=keeps_for)


def decided(rules: Rules, document: Mapping[str, Any]) -> Evaluation:
    """What these rules answer, as the gateway's engine gives it."""
    result = Rego(rules.modules, rules.data_json).ask(EntryPoint.IMAGE, json.dumps(document))
    return Evaluation(result=result, engine="test", revision=rules.revision)
