"""The real gateway in a folder of its own: settings, keys, people and their API keys, all made by its own code."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from gateway.exchange import Actor, ActorId, Mfa
from gateway.identity import Identity
from gateway.identity.profile import Described
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.vocabulary import Permission, Role

ROOT = Path(__file__).parents[2]
PEOPLE = 32
"""Enough that no two requests in flight are of one person."""
PLENTY = 1_000_000_000


def settings_file(folder: Path, port: int, upstream_port: int) -> Path:
    """A settings file as an operator would write it, with limits that a closed loop doesn't reach."""
    policies = folder / "policies"
    shutil.copytree(ROOT / "policies", policies)
    limits = policies / "gateway" / "config" / "limits" / "data.yaml"
    data = yaml.safe_load(limits.read_text("utf-8"))
    data["usage"] = dict.fromkeys(data["usage"], PLENTY)
    limits.write_text(yaml.safe_dump(data), "utf-8")
    secrets = folder / "secrets"
    settings: dict[str, Any] = {
        "database_url": f"sqlite+aiosqlite:///{folder / 'gateway.sqlite'}",
        "server": {
            "port": port,
            "public_url": f"http://127.0.0.1:{port}",
            "drain_seconds": 5,
            "requests_per_minute": PLENTY,
        },
        "identity": {
            "secret_path": str(secrets / "identity.key"),
            "cookie_secure": False,
            "roles": {"bench": [Role.EMPLOYEE.value]},
            # Nobody signs in here; the provider only has to be known, because the people are its.
            "providers": [{"name": "bench", "issuer": "http://127.0.0.1:9", "client_id": "bench"}],
        },
        "pictures_path": str(folder / "pictures"),
        "policy": {"directory": str(policies)},
        "screening": {"secret_path": str(secrets / "screening.key")},
        "provenance": {
            "directory": str(folder / "provenance"),
            "watermark_secret_path": str(secrets / "watermark.key"),
            "create_keys": True,
        },
        "credits": {"first_month": PLENTY},
        "upstream": {"url": f"http://127.0.0.1:{upstream_port}", "secret_path": str(secrets / "model-server.key")},
        "audit": {
            "directory": str(folder / "audit"),
            "kek_path": str(secrets / "audit-kek.key"),
            "signing_key_path": str(secrets / "audit-signing.key"),
            "witness_path": str(folder / "witness" / "checkpoints.txt"),
            "create_keys": True,
        },
    }
    path = folder / "imprimatur.yaml"
    path.write_text(json.dumps(settings), "utf-8")
    return path


def make_keys(config: Path) -> list[str]:
    """Make the secrets, migrate the database, let `PEOPLE` people in, and mint an API key for each, as people do."""
    for command in (["keys", "init"], ["migrate"]):
        subprocess.run(
            [sys.executable, "-m", "gateway.cli", *command, "--config", str(config)], check=True, capture_output=True
        )
    return asyncio.run(_mint(Settings.model_validate(json.loads(config.read_text("utf-8")))))


async def _mint(settings: Settings) -> list[str]:
    database = Database(settings.database_url)
    identity = Identity(settings.identity, settings.server.public_url, database, lambda: datetime.now(UTC))
    keys = []
    try:
        for number in range(PEOPLE):
            id = ActorId(f"bench|{number}")
            async with database.transaction() as tx:
                await identity.people.seen(tx, id, Described(display_name=f"Person {number}", groups=("bench",)))
            actor = Actor(
                id=id,
                display_name=f"Person {number}",
                method="session",
                credential_id="bench",
                roles=frozenset({Role.EMPLOYEE}),
                mfa=Mfa(at=datetime.now(UTC), amr=("pwd", "otp")),
            )
            key = await identity.keys.prepare(actor, name="bench", scopes=[Permission.IMAGE_GENERATE.value], days=1)
            await identity.keys.store(key)
            keys.append(key.secret)
    finally:
        await identity.aclose()
        await database.aclose()
    return keys
