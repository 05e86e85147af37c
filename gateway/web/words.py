"""The words that pages put on codes and times. A code we have no words for is shown as it is, never hidden."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

EFFECTS: Final[Mapping[str, str]] = {
    "allow": "allowed",
    "mask": "masked",
    "review": "to review",
    "deny": "denied",
    "cancelled": "cancelled",
    "failed": "failed",
    "unknown": "unknown",
    "": "open",
}

ACTIONS: Final[Mapping[str, str]] = {
    "image:generate": "made pictures",
    "image:edit": "edited a picture",
    "image:vary": "varied a picture",
    "auth:session:start": "signed in",
    "auth:session:refuse": "was refused at sign-in",
    "auth:session:step-up": "proved the second factor again",
    "auth:session:end": "signed out",
    "auth:key:mint": "made an API key",
    "auth:key:revoke": "revoked an API key",
    "policy:bundle:activate": "activated a policy",
    "policy:bundle:refuse": "offered a policy that was refused",
    "audit:search": "searched the records",
    "audit:show": "looked at a record",
    "audit:open-content": "opened sealed content",
    "audit:purge": "destroyed expired content",
}

REASONS: Final[Mapping[str, str]] = {
    "policy.unavailable": "policy engine down",
    "policy.invalid": "policy gave no valid answer",
    "screening.unavailable": "screening down",
    "credits.empty": "no credits left",
    "request.invalid": "malformed request",
    "model.unavailable": "model down",
    "model.overloaded": "model overloaded",
    "model.broken-answer": "model answered with something else",
    "client.gone": "client went away",
    "internal.error": "internal error",
    "internal.crashed": "the gateway stopped in the middle",
    "retention.expired": "retention is over",
    "mfa.stale": "second factor too old",
    "mfa.missing": "no second factor",
    "dlp.payment-card": "payment card number",
    "dlp.iban": "bank account number",
    "dlp.us-ssn": "social security number",
    "dlp.email": "e-mail address",
    "dlp.phone": "phone number",
    "dlp.private-key": "private key",
    "dlp.jwt": "access token",
}


def moment(at: datetime) -> str:
    """`22 Nov 2026, 09:41:07 UTC`."""
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"


def clock_time(at: datetime) -> str:
    """`09:41:07`, UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def day(at: date | datetime) -> str:
    """`Sunday 22 November 2026`."""
    return f"{at:%A %-d %B %Y}"


def short_day(at: datetime) -> str:
    """`22 Nov 2026`, UTC."""
    return f"{at.astimezone(UTC):%-d %b %Y}"


def iso(at: datetime) -> str:
    """RFC 3339, for `<time datetime>`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def grouped(number: int) -> str:
    """`1,204,311`."""
    return f"{number:,}"


def effect_word(effect: str) -> str:
    return EFFECTS.get(effect, effect)


def action_words(action: str) -> str:
    return ACTIONS.get(action, action)


def reason_words(code: str) -> str:
    """`payment card number` for `dlp.payment-card`; an unknown code of a rule file reads as its own words."""
    known = REASONS.get(code)
    if known is not None:
        return known
    family, _, rest = code.partition(".")
    return f"{rest.replace('-', ' ')} ({family})" if rest else code
