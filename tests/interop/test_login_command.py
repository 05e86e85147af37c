"""`imprimatur login`, `token` and `logout` in processes of their own, before real providers."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import httpx
import pytest

from tests.interop.conftest import House
from tests.interop.relying_party import NOBODY, payload
from tests.support.providers import follow

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]


async def started(home: Path, *words: str) -> asyncio.subprocess.Process:
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHON_KEYRING_BACKEND": "tests.support.file_keyring.FileKeyring",
        "TEST_KEYRING": str(home / "keyring.json"),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.cli",
        *words,
        cwd=home,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(home: Path, *words: str) -> tuple[int, str, str]:
    process = await started(home, *words)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def log_in(house: House, home: Path, who: str, *words: str) -> tuple[int, str, str]:
    """Run the command, and approve in a browser what it shows."""
    process = await started(home, "login", house.url, *words)
    assert process.stderr is not None
    said = ""
    while (found := re.search(r"Or open: (\S+)", said)) is None:
        line = await asyncio.wait_for(process.stderr.readline(), 60)
        assert line, said
        said += line.decode()
    async with house.browser() as browser:
        await follow(browser, house.idp, NOBODY, found[1], house.idp.people[who])
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), said + err.decode()


async def name_at_gateway(house: House, token: str) -> str | None:
    async with house.browser() as program:
        answer = await program.get("/v1/session", headers={"authorization": f"Bearer {token}"})
    return str(answer.json()["actor"]) if answer.status_code == 200 else None


async def test_person_signs_in_from_a_terminal_acts_renews_and_signs_out(house: House, tmp_path: Path) -> None:
    if not house.idp.features.device_flow:
        code, out, err = await run(tmp_path, "login", house.url)
        assert (code, out) == (1, "")
        assert "device_client_id" in err or "no sign-in from a terminal" in err
        return
    code, out, err = await log_in(house, tmp_path, "alice")
    assert (code, out) == (0, ""), err
    code, out, _ = await run(tmp_path, "token")
    first = out.strip()
    assert code == 0
    alice = f"{house.idp.name}|{payload(first)['sub']}"
    assert await name_at_gateway(house, first) == alice
    assert payload(first)["aud"] == house.idp.resource

    kept = tmp_path / "keyring.json"
    kept.write_text(re.sub(r'expires_at\\": [0-9.]+', 'expires_at\\\\": 1.0', kept.read_text()))
    code, out, err = await run(tmp_path, "token")
    assert code == 0, err
    assert out.strip() != first
    assert await name_at_gateway(house, out.strip()) == alice

    assert (await run(tmp_path, "logout"))[0] == 0
    assert first not in kept.read_text()
    code, out, err = await run(tmp_path, "token")
    assert (code, out) == (1, "")
    assert "imprimatur login" in err


async def test_token_is_printed_and_kept_nowhere_when_asked_for(house: House, tmp_path: Path) -> None:
    if not house.idp.features.device_flow:
        assert (await run(tmp_path, "login", house.url, "--print-token"))[0] == 1
        return
    code, out, err = await log_in(house, tmp_path, "alice", "--print-token")
    assert code == 0, err
    assert await name_at_gateway(house, out.strip()) == f"{house.idp.name}|{payload(out)['sub']}"
    assert out.strip() not in err
    assert not (tmp_path / "keyring.json").exists()


async def test_somebody_let_go_is_told_to_sign_in_again(house: House, tmp_path: Path) -> None:
    if not house.idp.features.device_flow:
        return
    await log_in(house, tmp_path, "alice")
    kept = tmp_path / "keyring.json"
    kept.write_text(re.sub(r'expires_at\\": [0-9.]+', 'expires_at\\\\": 1.0', kept.read_text()))
    await house.idp.dismiss("alice")
    try:
        code, out, err = await run(tmp_path, "token")
    finally:
        await house.idp.reinstate("alice")
    if house.idp.features.refresh_error_of_the_dismissed is None:
        assert code == 0  # this provider goes on: there, only suspending them at the gateway helps
        return
    assert (code, out) == (1, "")
    assert "Sign in again" in err


async def test_metadata_names_the_client_for_programs(house: House) -> None:
    async with httpx.AsyncClient(trust_env=False) as program:
        found = (await program.get(f"{house.url}/.well-known/oauth-protected-resource")).json()
    named = found.get("imprimatur_device_client_ids", {})
    assert (house.idp.issuer in named) is house.idp.features.device_flow
