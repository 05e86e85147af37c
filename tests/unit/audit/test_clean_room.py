"""Verification on an auditor's laptop: a fresh environment, the packages that the page names, the folder `audit/`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.export import export_evidence, write_bundle
from audit.note import NoteSigner

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clean-room")]

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "verify-an-export.md"
TAKEN_AT = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)

# Loaded by every interpreter of the environment, those that verification starts for its processes as well.
NO_NETWORK = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError("verification is offline, but asked for the network: " + event)
sys.addaudithook(refuse)
"""


class Desk(NamedTuple):
    """A folder with `audit/` in it, and the environment beside it."""

    folder: Path

    def python(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "check" / "bin" / "python", *map(str, arguments)],
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def verify(self, path: Path, *options: object) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "audit", "verify", path, *options)


def _environment() -> dict[str, str]:
    """What a laptop has, and nothing that leads back to the environment of the tests but its interpreter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COV"))}
    return {**kept, "PYTHONNOUSERSITE": "1", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "audit", folder / "audit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "constraints.txt", folder)
    (block,) = re.findall(r"```text\n(python -m venv check\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    made = subprocess.run(
        ["bash", "-euc", block],
        cwd=folder,
        env={**_environment(), "PIP_RETRIES": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    if made.returncode and "Retrying (" in made.stderr:
        pytest.skip("no package index can be reached, so no fresh environment can be made here")
    assert made.returncode == 0, made.stdout + made.stderr
    (packages,) = (folder / "check" / "lib").glob("python*/site-packages")
    (packages / "sitecustomize.py").write_text(NO_NETWORK)
    return Desk(folder)


@pytest.fixture
async def place(house: Any, make: Any) -> Any:
    """A closed log of six records, and the options with which an auditor checks it."""
    async with house.open() as log:
        for actor in ("alice", "bob", "carol"):
            await make.request(log, actor)
    house.key = ("--vkey", house.vkey)
    return house


def _evidence(place: Any) -> Path:
    path: Path = place.folder / "november.jsonl"
    with path.open("w", encoding="utf-8") as out:
        assert export_evidence(place.store, out) == 6
    return path


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


async def test_evidence_bundles_and_whole_stores_verify_with_nothing_but_the_key(place: Any, desk: Desk) -> None:
    bundle = place.folder / "november.zip"
    write_bundle(place.store, bundle, taken_at=TAKEN_AT)
    for path in (_evidence(place), bundle, place.store):
        done = desk.verify(path, *place.key)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("in order\n")


@pytest.mark.parametrize("part", [b'"action":"', b'"content":"', b'"subject":"', b'"envelope_salt":"'])
async def test_one_flipped_bit_is_found_and_its_record_named(place: Any, desk: Desk, part: bytes) -> None:
    path = _evidence(place)
    lines = path.read_bytes().splitlines(keepends=True)
    record = sum(map(len, lines[:4]))  # behind the header and the records 0, 1 and 2
    _flip(path, record + lines[4].index(part) + len(part) + 1)
    done = desk.verify(path, *place.key)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^NOT IN ORDER: \d finding\(s\), first at record 3$", done.stdout, re.MULTILINE)


async def test_a_bundle_with_a_flipped_bit_is_not_called_in_order(place: Any, desk: Desk) -> None:
    bundle = place.folder / "november.zip"
    write_bundle(place.store, bundle, taken_at=TAKEN_AT)
    _flip(bundle, bundle.stat().st_size // 2)
    done = desk.verify(bundle, *place.key)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not as the log writes it: " in done.stdout


async def test_a_log_is_not_in_order_under_another_key_of_its_name(place: Any, desk: Desk) -> None:
    other = NoteSigner("example.com/audit", Ed25519PrivateKey.generate()).verifier_key
    done = desk.verify(_evidence(place), "--vkey", other)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT IN ORDER" in done.stdout


def test_the_environment_has_no_network_and_none_of_the_gateway(desk: Desk) -> None:
    done = desk.python("-c", "import socket; socket.create_connection(('127.0.0.1', 9))")
    assert "verification is offline" in done.stderr
    absent = ("fastapi", "sqlalchemy", "alembic", "yaml", "httpx", "asyncpg", "psycopg", "boto3", "torch")
    for name in ("gateway", *absent):
        assert desk.python("-c", f"import {name}").returncode == 1, name
