"""The weak spots of canaille that the demo closes (demo/idp/serve.py), each attacked for real."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pyotp
import pytest

from demo.idp import DemoIdp
from demo.idp.browserless import _form_of
from tests.contract.identity.conftest import House
from tests.support.idp import PUBLIC_URL, follow, sign_in

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]


async def at_the_provider(browser: httpx.AsyncClient) -> httpx.Response:
    return await browser.get("/auth/sign-in?provider=canaille", follow_redirects=True)


async def name_only(browser: httpx.AsyncClient, name: str) -> None:
    page = await at_the_provider(browser)
    form = _form_of(page)
    await browser.post(urljoin(str(page.url), form.action), data=form.fields | {"login": name})


async def test_second_factor_can_not_be_replaced_by_somebody_who_only_knows_a_name(house: House) -> None:
    async with house.browser() as browser:
        await name_only(browser, "alice")
        assert (await browser.get(f"{house.idp.issuer}/auth/otp-setup")).status_code == 403
        assert (await browser.post(f"{house.idp.issuer}/auth/otp-setup", data={"otp": "123456"})).status_code >= 400
        await name_only(browser, "carol")
        assert (await browser.get(f"{house.idp.issuer}/auth/otp-setup")).status_code == 403


async def test_second_factor_can_not_be_replaced_by_somebody_who_knows_the_password(house: House) -> None:
    async with house.browser() as browser:
        page = await at_the_provider(browser)
        for answer in ({"login": "alice"}, {"password": house.idp.people["alice"].password}):
            form = _form_of(page)
            page = await browser.post(
                urljoin(str(page.url), form.action), data=form.fields | answer, follow_redirects=True
            )
        assert page.url.path == "/auth/otp"
        assert (await browser.get(f"{house.idp.issuer}/auth/otp-setup")).status_code == 403


async def test_open_session_at_the_provider_can_not_pass_for_a_fresh_sign_in(house: House) -> None:
    """`/login/NAME` moves the time of an open session to now: an unlocked laptop would step itself up."""
    async with house.browser() as browser:
        alice = house.idp.people["alice"]
        await sign_in(browser, PUBLIC_URL, alice)
        away = (await browser.get("/auth/step-up?max_age=300&return_to=/keys")).headers["location"]
        await browser.get(away, follow_redirects=True)
        switched = await browser.get(f"{house.idp.issuer}/login/alice", follow_redirects=True)
        assert switched.url.path == "/auth/password"
        answer = await follow(browser, f"{PUBLIC_URL}/auth/step-up?return_to=/keys", PUBLIC_URL, alice)
        assert answer.headers["location"] == "/keys"


async def test_provider_starts_again_with_the_same_people_and_keys(demo_idp: DemoIdp, tmp_path: Path) -> None:
    state = shutil.copytree(demo_idp.state_dir, tmp_path / "idp")
    with DemoIdp(state, 0, PUBLIC_URL, say=lambda _: None) as again:
        assert again.people == demo_idp.people
        async with httpx.AsyncClient(trust_env=False) as client:
            first = (await client.get(f"{demo_idp.issuer}/oauth/jwks.json")).json()
            second = (await client.get(f"{again.issuer}/oauth/jwks.json")).json()
    assert first == second


async def test_secrets_of_the_demo_are_random_and_readable_by_their_owner_only(demo_idp: DemoIdp) -> None:
    secrets = [p.password for p in demo_idp.people.values()] + [p.totp_secret for p in demo_idp.people.values()]
    assert len(set(secrets)) == len(secrets)
    for name in ("people.json", "client.secret", "idp.json", "idp-signing.json", "idp-cookies.secret"):
        assert (demo_idp.state_dir / name).stat().st_mode & 0o077 == 0
    totp = demo_idp.people["alice"].totp_secret
    assert totp is not None
    assert len(pyotp.TOTP(totp).byte_secret()) == 32


async def test_nobody_can_make_themselves_a_member_of_a_group(house: House) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["dave"])
        assert (await browser.get(f"{house.idp.issuer}/groups/add")).status_code in (403, 404)
