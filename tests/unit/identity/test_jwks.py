from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from gateway.errors import IdentityUnavailable
from gateway.identity.jwks import KeyCache, UnknownKey
from tests.support import forge
from tests.support.moment import Moment


class Source:
    """A provider's key document, with a counter and a switch."""

    def __init__(self) -> None:
        self.fetches = 0
        self.is_down = False
        self.document: Mapping[str, Any] = forge.jwks()
        self.slow = False

    async def __call__(self) -> Mapping[str, Any]:
        self.fetches += 1
        if self.slow:
            await asyncio.sleep(0.02)
        if self.is_down:
            raise IdentityUnavailable("down")
        return self.document


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def keys(source: Source, moment: Moment) -> KeyCache:
    return KeyCache(source, ttl_seconds=600, floor_seconds=30, clock=moment)


async def test_known_key_is_fetched_once(keys: KeyCache, source: Source) -> None:
    for _ in range(10):
        await keys.get("rsa-1", "RS256")
    assert source.fetches == 1


async def test_known_key_is_not_asked_for_again_while_it_is_fresh(
    keys: KeyCache, source: Source, moment: Moment
) -> None:
    for _ in range(19):
        await keys.get("rsa-1", "RS256")
        moment.pass_(seconds=31)  # past the floor each time, 589 seconds in all
    assert source.fetches == 1


@pytest.mark.parametrize(
    ("key_id", "algorithm"),
    [
        ("rsa-ps256", "RS256"),  # reserved for another
        ("rsa-1024", "RS256"),  # too weak
        ("ec-1", "RS256"),
        ("ed-1", "RS256"),
        ("oct-1", "RS256"),
        ("rsa-plain", "ES256"),
        ("ec-384", "ES256"),
        ("ed-1", "ES256"),
        ("oct-1", "ES256"),
        ("rsa-plain", "Ed25519"),
        ("ec-1", "Ed25519"),
        ("oct-1", "HS256"),
        ("rsa-1", "none"),
        ("rsa-enc", "RS256"),
        ("x-1", "Ed25519"),
    ],
)
async def test_a_key_of_another_kind_fits_no_algorithm(
    keys: KeyCache, source: Source, key_id: str, algorithm: str
) -> None:
    exchange = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    source.document["keys"].append({"kty": "OKP", "crv": "X25519", "kid": "x-1", "x": forge.b64(exchange)})
    with pytest.raises(UnknownKey):
        await keys.get(key_id, algorithm)


async def test_thousand_unknown_key_ids_cause_one_fetch_each_floor(
    keys: KeyCache, source: Source, moment: Moment
) -> None:
    await keys.get("rsa-1", "RS256")
    for number in range(1000):
        with pytest.raises(UnknownKey):
            await keys.get(f"attacker-{number}", "RS256")
        moment.pass_(seconds=0.1)  # 100 seconds in all
    assert source.fetches == 1 + 3  # at 30, 60 and 90 seconds


async def test_thousand_unknown_key_ids_at_once_cause_one_fetch(keys: KeyCache, source: Source) -> None:
    source.slow = True
    found = await asyncio.gather(
        *(keys.get(f"attacker-{number}", "RS256") for number in range(1000)), return_exceptions=True
    )
    assert all(isinstance(error, UnknownKey) for error in found)
    assert source.fetches == 1


async def test_new_key_of_a_rotation_is_found_after_the_floor(keys: KeyCache, source: Source, moment: Moment) -> None:
    await keys.get("rsa-1", "RS256")
    source.document = {"keys": [forge.rsa_jwk("rsa-2")]}
    with pytest.raises(UnknownKey):
        await keys.get("rsa-2", "RS256")
    moment.pass_(seconds=31)
    assert await keys.get("rsa-2", "RS256")
    with pytest.raises(UnknownKey):
        await keys.get("rsa-1", "RS256")  # withdrawn


async def test_withdrawn_key_is_gone_after_the_time_to_live(keys: KeyCache, source: Source, moment: Moment) -> None:
    await keys.get("rsa-1", "RS256")
    source.document = {"keys": []}
    moment.pass_(seconds=599)
    assert await keys.get("rsa-1", "RS256")
    moment.pass_(seconds=1)
    with pytest.raises(UnknownKey):
        await keys.get("rsa-1", "RS256")


async def test_known_keys_outlive_a_provider_that_is_down_for_a_day_and_no_longer(
    keys: KeyCache, source: Source, moment: Moment
) -> None:
    await keys.get("rsa-1", "RS256")
    source.is_down = True
    moment.pass_(seconds=23 * 3600)
    assert await keys.get("rsa-1", "RS256")
    moment.pass_(seconds=3600)
    with pytest.raises(IdentityUnavailable):
        await keys.get("rsa-1", "RS256")


async def test_provider_that_is_down_is_asked_once_a_floor(keys: KeyCache, source: Source, moment: Moment) -> None:
    await keys.get("rsa-1", "RS256")
    source.is_down = True
    moment.pass_(seconds=700)
    for _ in range(100):
        await keys.get("rsa-1", "RS256")
    assert source.fetches == 2


async def test_without_any_key_a_short_pause_is_kept_and_then_it_recovers(
    keys: KeyCache, source: Source, moment: Moment
) -> None:
    source.is_down = True
    for _ in range(50):
        with pytest.raises(IdentityUnavailable):
            await keys.get("rsa-1", "RS256")
    assert source.fetches == 1
    source.is_down = False
    moment.pass_(seconds=2)
    assert await keys.get("rsa-1", "RS256")


async def test_clock_set_back_does_not_freeze_the_cache(keys: KeyCache, source: Source, moment: Moment) -> None:
    await keys.get("rsa-1", "RS256")
    moment.pass_(seconds=-3600)
    source.document = {"keys": [forge.rsa_jwk("rsa-2")]}
    assert await keys.get("rsa-2", "RS256")


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": "x"}, {"keys": [None, 7, {}]}])
async def test_key_document_without_usable_keys_knows_nobody(
    keys: KeyCache, source: Source, document: Mapping[str, Any]
) -> None:
    source.document = document
    with pytest.raises(UnknownKey):
        await keys.get("rsa-1", "RS256")


async def test_key_given_twice_keeps_the_first(keys: KeyCache, source: Source) -> None:
    source.document = {"keys": [forge.rsa_jwk("rsa-1"), forge.rsa_jwk("rsa-attacker") | {"kid": "rsa-1"}]}
    key = await keys.get("rsa-1", "RS256")
    assert key.as_dict()["n"] == forge.rsa_jwk("rsa-1")["n"]
