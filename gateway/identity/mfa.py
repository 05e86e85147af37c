"""Was there a second factor, and when? Read from what came back, through the provider's claim profile.

Asking for `acr_values` or `max_age` proves nothing: both travel through the browser, which can drop them. Only signed
claims count, and a claim that the profile does not name counts as no second factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.exchange import Mfa
from gateway.settings import ClaimProfile

NO_MFA = Mfa()


def evidence(
    profile: ClaimProfile,
    claims: Mapping[str, Any],
    *,
    now: datetime,
    callback: bool,
    leeway_seconds: int,
) -> Mfa:
    """What `claims` (verified ones only) show of a second factor; without proof of one, `at` is None.

    `callback` says that the person came back from the provider this very moment: then our own clock may date the
    evidence where the profile does not trust `auth_time`. It is the latest moment it can have happened, so a provider
    whose `auth_time` is usable should be trusted with it: its single sign-on may be answering from hours ago.
    """
    amr = _words(claims.get("amr"))
    acr = claims.get("acr") if isinstance(claims.get("acr"), str) else ""
    shown = Mfa(amr=amr, acr=str(acr)[:255])
    if not _is_shown(profile, claims, amr, shown.acr):
        return shown
    at = _dated(claims, now, leeway_seconds) if profile.trusts_auth_time else (now if callback else None)
    return Mfa(at=at, amr=shown.amr, acr=shown.acr)


def is_fresh(mfa: Mfa, max_age_seconds: int, now: datetime) -> bool:
    """Whether there is evidence, not older than that."""
    age = mfa.age_seconds(now)
    return age is not None and age <= max_age_seconds


def _is_shown(profile: ClaimProfile, claims: Mapping[str, Any], amr: tuple[str, ...], acr: str) -> bool:
    present = set(amr)
    return (
        (bool(acr) and acr in profile.mfa_acr_in)
        or bool(present & set(profile.mfa_amr_any_of))
        or bool(set(_words(claims.get("acrs"))) & set(profile.mfa_acrs_any_of))
        or len(present & set(profile.mfa_amr_two_distinct_of)) >= 2
        # `is True`: the texts "false" and "0" are true to Python.
        or (bool(profile.mfa_by_userinfo_claim) and claims.get(profile.mfa_by_userinfo_claim) is True)
    )


def _dated(claims: Mapping[str, Any], now: datetime, leeway_seconds: int) -> datetime | None:
    """`auth_time` (whole or broken seconds; canaille sends a float), never later than now. None when it is no time."""
    value = claims.get("auth_time")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        at = datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    if at > now + timedelta(seconds=leeway_seconds):
        return None  # a second factor of tomorrow would stay fresh for ever
    return min(at, now)


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(dict.fromkeys(word for word in value[:16] if isinstance(word, str) and len(word) <= 64))
