"""`imprimatur doctor idp` at three real providers: what it says, and that its settings let people in."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml

from gateway.identity import mfa
from gateway.settings import Provider
from tests.interop.relying_party import NOBODY, RelyingParty
from tests.support.providers import RunningProvider, follow
from tests.support.providers.base import BROWSER_CLIENT, CLI_CLIENT

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def doctor(idp: RunningProvider, *more: str) -> AsyncIterator[Process]:
    """The command as it is run, looking at `idp`."""
    scope = " ".join(idp.provider()["scopes"])
    words = ["-m", "gateway.cli", "doctor", "idp", idp.issuer, "--scope", scope, "--wait", "60", *more]
    process = await asyncio.create_subprocess_exec(sys.executable, "-u", *words, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def said(process: Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def address_in(process: Process, beginning: str) -> str:
    """The address that it asks the person to open."""
    assert process.stdout is not None
    async for line in process.stdout:
        for word in line.decode().split():
            if word.startswith(beginning):
                return word
    _, error = await process.communicate()
    raise AssertionError(f"no address was shown: {error.decode()}")


async def sign_in_by_browser(idp: RunningProvider, name: str) -> tuple[int | None, str, str]:
    async with (
        httpx.AsyncClient(timeout=20, trust_env=False) as browser,
        doctor(idp, "--client-id", CLI_CLIENT, "--port", str(idp.cli_port)) as process,
    ):
        discovery = await RelyingParty(idp, browser).discovery()
        address = await address_in(process, discovery["authorization_endpoint"])
        back = await follow(browser, idp, NOBODY, address, idp.people[name])
        callback = back.headers["location"]
        assert callback.startswith(f"http://127.0.0.1:{idp.cli_port}/callback")
        # A neighbour that guessed the port, without the state: nothing is taken from it.
        assert (await browser.get(f"http://127.0.0.1:{idp.cli_port}/callback?code=x&state=y")).status_code == 404
        assert (await browser.get(callback)).status_code == 200
        return await said(process)


def proposed(out: str) -> Provider:
    entry = yaml.safe_load(out[out.index("identity:") :])["identity"]["providers"][0]
    return Provider(**entry)


async def test_without_a_client_it_says_what_is_offered(idp: RunningProvider) -> None:
    async with doctor(idp) as process:
        code, out, err = await said(process)
    features = idp.features
    assert code == 0
    rows = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in out.splitlines())}
    assert rows["issuer"] == f'"{idp.issuer}"'
    assert rows["device sign-in"] == ("yes" if features.device_flow else "no")
    assert rows["sign-out told to us (back-channel)"] == ("yes" if features.says_back_channel_logout else "no")
    assert "S256" in rows["PKCE"]
    assert "problem" not in err
    assert ("RFC 9207" in err) is not features.promises_iss
    assert ("alg none" in err) is (idp.name == "canaille")


async def test_sign_in_with_two_factors_gives_a_profile_that_takes_it_and_nothing_less(idp: RunningProvider) -> None:
    code, out, err = await sign_in_by_browser(idp, "alice")
    assert code == 0, err
    provider = proposed(out)
    profile = provider.profile
    assert provider.issuer == idp.issuer
    assert profile.trusts_auth_time is idp.features.auth_time_moves
    assert (profile.groups_claim, profile.groups_form, profile.department_claim) == ("groups", "list", "department")
    async with httpx.AsyncClient(timeout=20, trust_env=False) as browser:
        strong = await RelyingParty(idp, browser).claims("alice")
        browser.cookies.clear()
        weak = await RelyingParty(idp, browser).claims("carol")
    for claims, is_shown in ((strong, True), (weak, False)):
        found = mfa.evidence(profile, claims, now=datetime.now(UTC), callback=True, leeway_seconds=30)
        assert (found.at is not None) is is_shown
    assert ("mfa_acr_in" in out) is (idp.features.acr is not None)
    assert profile.mfa_acr_in == ()  # only whoever runs the provider knows what a word of theirs stands for


async def test_sign_in_with_a_password_alone_gives_a_profile_that_takes_nobody(idp: RunningProvider) -> None:
    code, out, err = await sign_in_by_browser(idp, "carol")
    assert code == 1, err
    assert "No second factor was shown" in out
    profile = proposed(out).profile
    assert (profile.mfa_acr_in, profile.mfa_amr_any_of, profile.mfa_amr_two_distinct_of) == ((), (), ())


async def test_it_shows_names_of_claims_and_no_token_or_personal_value(idp: RunningProvider) -> None:
    _, out, err = await sign_in_by_browser(idp, "alice")
    alice = idp.people["alice"]
    for secret in (alice.password, alice.email, alice.display_name, "eyJ", "code="):
        assert secret not in out.split("The ID token is one")[-1] + err
    for name in ("groups", "amr", "auth_time", "email"):
        assert f"\n  {name} " in out
    assert '["staff"]' in out


async def test_device_sign_in_shows_the_same_or_says_that_there_is_none(idp: RunningProvider) -> None:
    async with (
        httpx.AsyncClient(timeout=20, trust_env=False) as browser,
        doctor(idp, "--client-id", CLI_CLIENT, "--device") as process,
    ):
        if not idp.features.device_flow:
            code, _, err = await said(process)
            assert code == 1
            assert "no device flow" in err
            return
        address = await address_in(process, "http://127.0.0.1")
        await follow(browser, idp, NOBODY, address, idp.people["alice"])
        code, out, err = await said(process)
    assert code == 0, err
    assert proposed(out).profile.groups_claim == "groups"


async def test_wrong_secret_is_named_as_the_client_and_not_printed(idp: RunningProvider, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not-the-secret")
    words = ("--client-id", BROWSER_CLIENT, "--client-secret-file", str(tmp_path / "secret"), "--device")
    async with doctor(idp, *words) as process:
        code, out, err = await said(process)
    assert code == 1
    assert "no device" in err
    assert "not-the-secret" not in out + err
