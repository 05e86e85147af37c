from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.exchange import Mfa
from gateway.identity.mfa import evidence, is_fresh
from gateway.settings import ClaimProfile

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CANAILLE = ClaimProfile(mfa_amr_two_distinct_of=("pwd", "otp"), trusts_auth_time=True)
ENTRA = ClaimProfile(mfa_amr_any_of=("mfa",))
CERTIFIED = ClaimProfile(mfa_acr_in=("urn:mfa",), trusts_auth_time=True)
USERINFO = ClaimProfile(mfa_by_userinfo_claim="second_factor")


def read(profile: ClaimProfile, claims: dict[str, Any], *, callback: bool = True) -> Mfa:
    return evidence(profile, claims, now=NOW, callback=callback, leeway_seconds=30)


@pytest.mark.parametrize(
    ("profile", "claims", "shown"),
    [
        (CANAILLE, {"amr": ["pwd", "otp", "mfa"]}, True),
        (CANAILLE, {"amr": ["pwd"]}, False),
        (CANAILLE, {"amr": ["otp", "mfa"]}, False),
        (CANAILLE, {"amr": ["pwd", "pwd"]}, False),
        (CANAILLE, {"amr": "pwd otp"}, False),
        (CANAILLE, {"amr": {"pwd": 1, "otp": 1}}, False),
        (CANAILLE, {"acr": "urn:mfa"}, False),
        (ENTRA, {"amr": ["pwd", "mfa"]}, True),
        (ENTRA, {"amr": ["pwd", "otp"]}, False),
        (ENTRA, {"amr": ["MFA"]}, False),
        (CERTIFIED, {"acr": "urn:mfa"}, True),
        (CERTIFIED, {"acr": "urn:pwd"}, False),
        (CERTIFIED, {"acr": ["urn:mfa"]}, False),
        (CERTIFIED, {}, False),
        (USERINFO, {"second_factor": True}, True),
        (USERINFO, {"second_factor": "true"}, False),
        (USERINFO, {"second_factor": "false"}, False),
        (USERINFO, {"second_factor": 1}, False),
        (ClaimProfile(mfa_acr_in=("",)), {"acr": ""}, False),
        (ClaimProfile(mfa_acr_in=("",)), {}, False),
        (ClaimProfile(mfa_acrs_any_of=("c1",)), {"acrs": ["c1", "p1"]}, True),
        (ClaimProfile(mfa_acrs_any_of=("c1",)), {"acrs": ["p1"]}, False),
        (ClaimProfile(mfa_acrs_any_of=("c1",)), {"acrs": "c1"}, False),
        (ClaimProfile(mfa_acrs_any_of=("c1",)), {"amr": ["c1"], "acr": "c1"}, False),
        (ClaimProfile(), {"amr": ["pwd", "otp", "mfa", ""], "acr": "", "": True}, False),
    ],
)
def test_second_factor_is_seen_as_the_profile_says_and_not_otherwise(
    profile: ClaimProfile, claims: dict[str, Any], shown: bool
) -> None:
    found = read(profile, claims | {"auth_time": NOW.timestamp()})
    assert (found.at is not None) is shown


@pytest.mark.parametrize(
    ("auth_time", "age"),
    [
        (NOW.timestamp() - 60, 60),
        (NOW.timestamp() - 60.5, 60),
        (int(NOW.timestamp()), 0),
        (NOW.timestamp() + 20, 0),
        (NOW.timestamp() + 31, None),
        (0, int(NOW.timestamp())),
        (None, None),
        ("1795316346", None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        (1e300, None),
        (-1e300, None),
    ],
)
def test_trusted_auth_time_dates_the_factor_and_a_bad_one_means_none(auth_time: object, age: int | None) -> None:
    assert read(CANAILLE, {"amr": ["pwd", "otp"], "auth_time": auth_time}).age_seconds(NOW) == age


def test_missing_auth_time_means_no_evidence_where_it_is_trusted() -> None:
    assert read(CANAILLE, {"amr": ["pwd", "otp"]}).at is None


def test_own_clock_dates_the_factor_at_the_callback_where_auth_time_is_not_trusted() -> None:
    assert read(ENTRA, {"amr": ["mfa"], "auth_time": 0}).at == NOW


def test_token_without_a_trusted_auth_time_has_no_evidence() -> None:
    assert read(ENTRA, {"amr": ["mfa"], "auth_time": NOW.timestamp()}, callback=False).at is None


def test_amr_that_floods_is_cut() -> None:
    found = read(CANAILLE, {"amr": ["x" * 65, *map(str, range(1000))]})
    assert len(found.amr) <= 16


@pytest.mark.parametrize(("age", "fresh"), [(0, True), (300, True), (300.9, True), (301, False), (None, False)])
def test_freshness_counts_whole_seconds_and_nothing_is_not_fresh(age: float | None, fresh: bool) -> None:
    mfa = Mfa(at=None if age is None else NOW - timedelta(seconds=age))
    assert is_fresh(mfa, 300, NOW) is fresh
