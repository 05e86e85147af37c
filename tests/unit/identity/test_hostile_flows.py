"""Attacks on the way in, each by its name: nobody comes in by any of them, and the honest way works beside them.

Sources: RFC 9700 (OAuth 2.0 Security Best Current Practice), RFC 9207, RFC 7636, OpenID Connect Core 16, OWASP ASVS 5.0
chapter 10.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.responses import JSONResponse

from gateway.errors import IdentityUnavailable, ImprimaturError
from gateway.identity.return_to import FRONT_PAGE, local_path
from gateway.identity.tables import sessions
from gateway.identity.transactions import Transaction, TransactionBox
from gateway.storage.database import Database
from tests.support.moment import Moment
from tests.support.visit import Visit

Attack = Callable[["Scene"], Awaitable[None]]
ATTACKS: dict[str, Attack] = {}
PROVIDER = "company"


class Scene:
    """A victim who began to sign in, an attacker in a browser of their own, and an issuer that can be made to lie."""

    def __init__(self, visit: Visit, moment: Moment) -> None:
        self.victim, self.attacker = visit, Visit(visit.identity, visit.issuer)
        self.issuer, self.moment = visit.issuer, moment

    async def begin(self, visit: Visit | None = None) -> dict[str, str]:
        """A sign-in that the provider approved: what the browser would bring back."""
        visit = visit or self.victim
        return self.issuer.approve(await visit.depart())

    def lie(self, **claims: Any) -> None:
        self.issuer.lies.claims = claims


def attack(function: Attack) -> Attack:
    """Named by its function."""
    ATTACKS[function.__name__.replace("_", "-")] = function
    return function


# -- state: the answer belongs to this browser (RFC 9700, 4.7)


@attack
async def state_missing(scene: Scene) -> None:
    answer = await scene.begin()
    del answer["state"]
    await scene.victim.arrive(answer)


@attack
async def state_empty(scene: Scene) -> None:
    await scene.victim.arrive(await scene.begin() | {"state": ""})


@attack
async def state_of_another_browser(scene: Scene) -> None:
    answer = await scene.begin(scene.attacker)
    await scene.begin()
    await scene.victim.arrive(answer)


@attack
async def state_with_the_same_beginning(scene: Scene) -> None:
    answer = await scene.begin()
    await scene.victim.arrive(answer | {"state": answer["state"][:16] + "A" * 27})


@attack
async def state_longer_than_ours(scene: Scene) -> None:
    answer = await scene.begin()
    await scene.victim.arrive(answer | {"state": answer["state"] + "A"})


@attack
async def answer_without_a_sign_in_begun_here(scene: Scene) -> None:
    answer = await scene.begin()
    scene.victim.cookies.clear()
    await scene.victim.arrive(answer)


@attack
async def login_csrf_with_the_attackers_code(scene: Scene) -> None:
    """The victim would be signed in as the attacker, and work in the attacker's account."""
    victims, attackers = await scene.begin(), await scene.begin(scene.attacker)
    await scene.victim.arrive(victims | {"code": attackers["code"]})


@attack
async def sign_in_cookie_changed(scene: Scene) -> None:
    answer = await scene.begin()
    name, value = next(iter(scene.victim.cookies.items()))
    scene.victim.cookies[name] = value[:-4] + ("AAA=" if value[-4:] != "AAA=" else "BBB=")
    await scene.victim.arrive(answer)


@attack
async def sign_in_cookie_made_with_another_key(scene: Scene) -> None:
    transaction = Transaction(provider=PROVIDER, return_to="/")
    answer = await scene.begin()
    (name,) = scene.victim.cookies
    scene.victim.cookies[name] = TransactionBox(b"x" * 32, scene.moment).seal(transaction)
    await scene.victim.arrive(answer)


@attack
async def sign_in_cookie_planted_beside_the_real_one(scene: Scene) -> None:
    answer = await scene.begin()
    header = scene.victim.cookie_header or ""
    name = header.partition("=")[0]
    await scene.victim.identity.identify(PROVIDER, answer, f"{header}; {name}=planted")


@attack
async def sign_in_cookie_of_another_sign_in_under_its_name(scene: Scene) -> None:
    answer = await scene.begin()
    (name,) = scene.victim.cookies
    await scene.begin(scene.attacker)
    (scene.victim.cookies[name],) = scene.attacker.cookies.values()
    await scene.victim.arrive(answer)


@attack
async def sign_in_eleven_minutes_old(scene: Scene) -> None:
    answer = await scene.begin()
    scene.moment.pass_(seconds=660)
    await scene.victim.arrive(answer)


# -- which provider answered (RFC 9207; RFC 9700, 4.4)


@attack
async def answer_at_another_providers_callback(scene: Scene) -> None:
    await scene.victim.arrive(await scene.begin(), provider="other")


@attack
async def answer_names_another_issuer(scene: Scene) -> None:
    await scene.victim.arrive(await scene.begin() | {"iss": "https://evil.example"})


@attack
async def answer_names_the_issuer_with_a_slash_more(scene: Scene) -> None:
    answer = await scene.begin()
    await scene.victim.arrive(answer | {"iss": answer["iss"] + "/"})


@attack
async def answer_hides_the_issuer_that_was_promised(scene: Scene) -> None:
    answer = await scene.begin()
    del answer["iss"]
    await scene.victim.arrive(answer)


@attack
async def discovery_speaks_for_another_issuer(scene: Scene) -> None:
    scene.issuer.lies.discovery = {"issuer": "https://evil.example"}
    await scene.begin()


@attack
async def discovery_sends_codes_to_plain_http(scene: Scene) -> None:
    scene.issuer.lies.discovery = {"token_endpoint": "http://evil.example/token"}
    await scene.begin()


@attack
async def discovery_sends_people_to_a_script(scene: Scene) -> None:
    scene.issuer.lies.discovery = {"authorization_endpoint": "javascript:alert(1)"}
    await scene.begin()


# -- the code (RFC 7636; RFC 9700, 4.5)


@attack
async def code_used_twice(scene: Scene) -> None:
    answer = await scene.begin()
    kept = dict(scene.victim.cookies)
    scene.attacker.cookies = kept
    await Visit(scene.victim.identity, scene.issuer).sign_in()  # an honest one meanwhile changes nothing
    scene.issuer._codes.pop(answer["code"])  # the victim was quicker
    await scene.attacker.arrive(answer)


@attack
async def code_stolen_and_injected(scene: Scene) -> None:
    """The attacker saw the victim's code, and brings it with a sign-in of their own: PKCE."""
    victims, own = await scene.begin(), await scene.begin(scene.attacker)
    await scene.attacker.arrive(own | {"code": victims["code"]})


@attack
async def code_injected_at_a_provider_that_forgets_pkce(scene: Scene) -> None:
    """Then the nonce is what stops it."""
    victims, own = await scene.begin(), await scene.begin(scene.attacker)
    codes = scene.issuer._codes
    codes[victims["code"]] = codes[victims["code"]] | {"code_challenge": codes[own["code"]]["code_challenge"]}
    await scene.attacker.arrive(own | {"code": victims["code"]})


@attack
async def code_empty(scene: Scene) -> None:
    await scene.victim.arrive(await scene.begin() | {"code": ""})


@attack
async def code_missing(scene: Scene) -> None:
    answer = await scene.begin()
    del answer["code"]
    await scene.victim.arrive(answer)


@attack
async def code_of_five_kilobytes(scene: Scene) -> None:
    await scene.victim.arrive(await scene.begin() | {"code": "c" * 5000})


@attack
async def error_and_code_at_once(scene: Scene) -> None:
    await scene.victim.arrive(await scene.begin() | {"error": "access_denied"})


# -- what the provider signed


@attack
async def nonce_of_another_sign_in(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(nonce="another")
    await scene.victim.arrive(answer)


@attack
async def nonce_missing(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(nonce=None)
    await scene.victim.arrive(answer)


@attack
async def id_token_for_another_client(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(aud=["wiki"])
    await scene.victim.arrive(answer)


@attack
async def id_token_for_nobody(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(aud=[])
    await scene.victim.arrive(answer)


@attack
async def id_token_authorised_for_another_party(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(azp="wiki")
    await scene.victim.arrive(answer)


@attack
async def id_token_unsigned(scene: Scene) -> None:
    answer = await scene.begin()
    scene.issuer.lies.header, scene.issuer.lies.sign = {"alg": "none"}, "garbage"
    await scene.victim.arrive(answer)


@attack
async def id_token_signed_with_the_public_key_as_a_secret(scene: Scene) -> None:
    answer = await scene.begin()
    scene.issuer.lies.header, scene.issuer.lies.sign = {"alg": "HS256"}, "hmac-public-pem"
    await scene.victim.arrive(answer)


@attack
async def access_token_in_place_of_the_id_token(scene: Scene) -> None:
    answer = await scene.begin()
    scene.issuer.lies.header = {"typ": "at+jwt"}
    await scene.victim.arrive(answer)


@attack
async def id_token_missing(scene: Scene) -> None:
    answer = await scene.begin()
    scene.issuer.lies.token_answer = lambda: JSONResponse({"access_token": "a", "token_type": "Bearer"})
    await scene.victim.arrive(answer)


@attack
async def id_token_of_last_year(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(exp=1)
    await scene.victim.arrive(answer)


@attack
async def subject_with_control_characters(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(sub="alice\nbob")
    await scene.victim.arrive(answer)


@attack
async def userinfo_of_somebody_else(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(groups=None)
    scene.issuer.userinfo = {"sub": "mallory", "groups": ["platform"]}
    await scene.victim.arrive(answer)


# -- the second factor


@attack
async def second_factor_missing(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(amr=["pwd"])
    await scene.victim.arrive(answer)


@attack
async def second_factor_the_same_twice(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(amr=["pwd", "pwd"])
    await scene.victim.arrive(answer)


@attack
async def second_factor_as_one_text(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(amr="pwd otp")
    await scene.victim.arrive(answer)


@attack
async def second_factor_said_by_userinfo(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(amr=None, groups=None)
    scene.issuer.userinfo = {"groups": ["staff"], "amr": ["pwd", "otp"]}
    await scene.victim.arrive(answer)


@attack
async def second_factor_of_tomorrow(scene: Scene) -> None:
    answer = await scene.begin()
    scene.lie(auth_time=scene.moment().timestamp() + 86_400)
    await scene.victim.arrive(answer)


async def everybody_in(database: Database) -> int:
    async with database.reading() as tx:
        return int((await tx.execute(select(func.count()).select_from(sessions))).scalar_one())


@pytest.mark.parametrize("name", ATTACKS)
async def test_nobody_comes_in(visit: Visit, moment: Moment, database: Database, name: str) -> None:
    scene = Scene(visit, moment)
    bystanders = 1 if name == "code-used-twice" else 0
    with pytest.raises(ImprimaturError) as error:
        await ATTACKS[name](scene)
    refused = (
        isinstance(error.value, IdentityUnavailable) if name.startswith("discovery") else error.value.status == 401
    )
    assert refused, error.value
    assert await everybody_in(database) == bystanders
    for browser in (scene.victim, scene.attacker):
        assert "__Host-imprimatur-session" not in browser.cookies


async def test_the_honest_way_works_beside_all_of_them(visit: Visit, moment: Moment, database: Database) -> None:
    scene = Scene(visit, moment)
    await scene.victim.arrive(await scene.begin())
    assert await everybody_in(database) == 1


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 30


@pytest.mark.parametrize(
    "asked",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/%2f/evil.example"),
        *("/%5cevil.example", "javascript:alert(1)", "/a//b", "/./x", "/auth/sign-out", "/auth/step-up", " /x", "/x\n"),
        *("/x#fragment", "/" + "x" * 3000, "/%0d%0aset-cookie:x=y", ""),
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(asked: str) -> None:
    assert local_path(asked) == FRONT_PAGE
