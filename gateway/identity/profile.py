"""A provider's claims read as what we know of a person, through its claim profile. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.settings import ClaimProfile

MAX_GROUPS: Final = 500
MAX_TEXT: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the provider says of someone, in our words."""

    display_name: str
    email: str = ""
    department: str = ""
    groups: tuple[str, ...] = ()


def describe(profile: ClaimProfile, claims: Mapping[str, Any], subject: str) -> Described:
    """Read verified claims. Texts are cut to what a column holds, and lose their control characters."""
    name = next((text for text in (_text(claims.get(claim)) for claim in profile.name_claims) if text), subject)
    return Described(
        display_name=name,
        email=_text(claims.get("email")),
        department=_text(claims.get(profile.department_claim)) if profile.department_claim else "",
        groups=groups_of(profile, claims),
    )


def groups_of(profile: ClaimProfile, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The groups, sorted; empty when the claim is missing or not in the form that the profile names."""
    given = claims.get(profile.groups_claim)
    if profile.groups_form == "comma-string":
        names = [part.strip() for part in given.split(",")] if isinstance(given, str) else []
    else:
        names = [name for name in given if isinstance(name, str)] if isinstance(given, list) else []
    # A name that had to be changed to be stored is another name: left out rather than mended.
    return tuple(sorted({name for name in names if name and len(name) <= MAX_TEXT and name.isprintable()})[:MAX_GROUPS])


def _text(value: Any) -> str:
    return "".join(c for c in value if c.isprintable()).strip()[:MAX_TEXT] if isinstance(value, str) else ""
