"""Guessing is slowed down, and nobody can be locked out by it."""

from __future__ import annotations

import pytest

from gateway.errors import RateLimited, Unauthenticated
from gateway.exchange import ActorId, Credentials, Origin
from gateway.identity import Identity
from gateway.identity.cookies import CookieNames
from gateway.identity.door import Door
from gateway.identity.known_browsers import LIFETIME_SECONDS, KnownBrowsers
from gateway.identity.known_browsers import REMEMBERED as BROWSERS_REMEMBERED
from gateway.identity.throttle import CALM_SECONDS, REMEMBERED, Throttle, Wait, network_of
from gateway.settings import IdentitySettings, ThrottleSettings
from tests.support.moment import Moment
from tests.support.visit import Visit

ALICE, BOB = ActorId("idp|alice"), ActorId("idp|bob")
SETTINGS = ThrottleSettings(network_per_minute=4, refusals_per_minute=3, account_refusals=2)


class Seconds:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def now() -> Seconds:
    return Seconds()


@pytest.fixture
def throttle(now: Seconds) -> Throttle:
    return Throttle(SETTINGS, now)


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_a_network_is_what_one_customer_has(ip, network):
    assert network_of(ip) == network


def test_few_refusals_are_let_be(throttle, now):
    for _ in range(3):
        assert throttle.credential_refused("192.0.2.7") is None
    now.at += 60
    for _ in range(3):
        assert throttle.credential_refused("192.0.2.7") is None


def test_waits_begin_once_and_double_while_it_goes_on(throttle, now):
    seen = []
    for _ in range(5):
        while (wait := throttle.credential_refused("192.0.2.7")) is None:
            pass
        assert wait.begins
        assert throttle.credential_refused("192.0.2.7") == Wait(wait.seconds, begins=False)
        seen.append(wait.seconds)
        now.at += wait.seconds
    assert seen == [60, 120, 240, 480, 960]
    now.at += CALM_SECONDS
    while (wait := throttle.credential_refused("192.0.2.7")) is None:
        pass
    assert wait.seconds == 60


def test_no_wait_is_longer_than_the_longest(throttle, now):
    for _ in range(50):
        while (wait := throttle.credential_refused("192.0.2.7")) is None:
            pass
        now.at += wait.seconds
    assert wait.seconds == SETTINGS.longest_wait_seconds


def test_other_networks_and_other_accounts_are_other_pairs(throttle):
    while throttle.sign_in_refused("192.0.2.7", ALICE) is None:
        pass
    assert throttle.sign_in_refused("192.0.2.8", ALICE) is None
    assert throttle.credential_refused("2001:db8::1") is None


def test_an_account_waits_sooner_than_its_network(throttle):
    for _ in range(2):
        assert throttle.sign_in_refused("192.0.2.7", ALICE) is None
    assert throttle.sign_in_refused("192.0.2.7", ALICE) == Wait(60, begins=True)
    assert Throttle(SETTINGS).sign_in_refused("192.0.2.7", BOB) is None


def test_what_is_remembered_is_bounded(throttle):
    for number in range(REMEMBERED + 500):
        throttle.credential_refused(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        throttle.begin(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", is_known=False)
    assert len(throttle._counts) == len(throttle._buckets) == REMEMBERED


def test_sign_ins_begun_are_counted_for_strangers_only(throttle, now):
    for _ in range(4):
        throttle.begin("192.0.2.7", is_known=False)
    with pytest.raises(RateLimited) as refused:
        throttle.begin("192.0.2.7", is_known=False)
    assert refused.value.retry_after_seconds == pytest.approx(15)
    throttle.begin("192.0.2.7", is_known=True)
    throttle.begin("192.0.2.8", is_known=False)
    now.at += 15
    throttle.begin("192.0.2.7", is_known=False)


def test_a_browser_is_known_by_those_who_signed_in_there(moment: Moment):
    browsers = KnownBrowsers(b"b" * 32, moment)
    sealed = browsers.remember(None, ALICE)
    assert browsers.is_known(sealed)
    assert browsers.knows(sealed, ALICE)
    assert not browsers.knows(sealed, BOB)
    both = browsers.remember(sealed, BOB)
    assert browsers.knows(both, ALICE)
    assert browsers.knows(both, BOB)
    assert "alice" not in both


@pytest.mark.parametrize("sealed", [None, "", "x", "gAAAAA", "é"])
def test_what_we_did_not_seal_knows_nobody(moment: Moment, sealed):
    assert not KnownBrowsers(b"b" * 32, moment).is_known(sealed)


def test_a_browser_is_forgotten_and_can_not_be_made_up(moment: Moment):
    browsers = KnownBrowsers(b"b" * 32, moment)
    sealed = browsers.remember(None, ALICE)
    assert not KnownBrowsers(b"c" * 32, moment).is_known(sealed)
    assert not browsers.is_known(sealed[:-8] + "AAAAAAA=")
    moment.pass_(seconds=LIFETIME_SECONDS + 1)
    assert not browsers.is_known(sealed)


def test_a_shared_browser_remembers_the_latest(moment: Moment):
    browsers, sealed = KnownBrowsers(b"b" * 32, moment), None
    for number in range(BROWSERS_REMEMBERED + 1):
        sealed = browsers.remember(sealed, ActorId(f"idp|{number}"))
    assert not browsers.knows(sealed, ActorId("idp|0"))
    assert browsers.knows(sealed, ActorId("idp|1"))


async def test_a_wait_is_told_once(moment: Moment):
    told = []

    async def on_wait(wait: Wait, origin: Origin, account: str) -> None:
        told.append((wait.seconds, origin.ip, account))

    settings = ThrottleSettings(account_refusals=2)
    door = Door(settings, CookieNames(secure=True, public_url="https://x.example"), b"b" * 32, moment, on_wait)
    here = Origin(ip="192.0.2.7")
    for _ in range(2):
        await door.sign_in_refused(here, ALICE)
    for _ in range(10):
        with pytest.raises(RateLimited, match="Too many refused attempts"):
            await door.sign_in_refused(here, ALICE)
    assert told == [(60, "192.0.2.7", ALICE)]


async def test_a_flood_of_bad_keys_is_told_to_wait_and_a_good_key_from_there_still_works(
    visit: Visit, settings: IdentitySettings, identity: Identity
) -> None:
    await visit.sign_in()
    actor = await visit.actor()
    key = await identity.keys.prepare(actor, name="script", scopes=["model:list"], days=1)
    await identity.keys.store(key)
    here = Origin(ip="192.0.2.7")

    async def use(secret: str) -> str:
        try:
            await identity.authenticate(Credentials(method="GET", authorization=f"Bearer {secret}"), here)
        except RateLimited:
            return "wait"
        except Unauthenticated:
            return "refused"
        return "welcome"

    allowed = settings.throttle.refusals_per_minute
    wrong = key.secret[:-8] + "00000000"
    assert [await use(wrong) for _ in range(allowed + 3)] == ["refused"] * allowed + ["wait"] * 3
    assert await use(key.secret) == "welcome"
    assert await use(wrong) == "wait"
    # Somebody whose session ended is no attacker, and one whose session is good works on.
    assert (await visit.actor()).id == actor.id
    ended = Credentials(method="GET", cookie="__Host-imprimatur-session=" + "x" * 43)
    for _ in range(3 * allowed):
        with pytest.raises(Unauthenticated):
            await identity.authenticate(ended, Origin(ip="198.51.100.1"))
