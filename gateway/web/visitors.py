"""Who a page is drawn for: a name in the bar, the doors they may try, the token that proves a form is ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import Request

from gateway.api.access import credentials_of
from gateway.exchange import Actor
from gateway.services import services_of
from gateway.vocabulary import Role

PLACES: Final[tuple[tuple[str, str, frozenset[Role]], ...]] = (
    ("/studio", "Studio", frozenset({Role.EMPLOYEE})),
    ("/audit", "Records", frozenset({Role.AUDITOR})),
    ("/cases", "Cases", frozenset({Role.AUDITOR})),
    ("/holds", "Holds", frozenset({Role.AUDITOR})),
    ("/subjects", "People’s data", frozenset({Role.AUDITOR})),
    ("/retention", "Retention", frozenset({Role.AUDITOR})),
    ("/people", "People", frozenset({Role.ADMIN, Role.BREAK_GLASS})),
    ("/mapping", "Roles", frozenset({Role.ADMIN, Role.BREAK_GLASS})),
    ("/services", "Services", frozenset({Role.ADMIN})),
    ("/rules", "Rules", frozenset({Role.POLICY_AUTHOR, Role.POLICY_APPROVER, Role.AUDITOR})),
    (
        "/proposals",
        "Proposals",
        frozenset({Role.ADMIN, Role.BREAK_GLASS, Role.POLICY_AUTHOR, Role.POLICY_APPROVER}),
    ),
    ("/access-review", "Access", frozenset({Role.ADMIN, Role.AUDITOR, Role.BREAK_GLASS})),
    ("/check", "Check", frozenset(Role)),
)
"""(address, label, roles it is drawn for). Only what the bar shows: each door asks policy itself, so a role that
policy grants more to can still walk in by address, and one that it denies is turned away there."""

OWN_PLACES: Final[tuple[tuple[str, str, frozenset[Role]], ...]] = (
    ("/account", "Your account", frozenset(Role)),
    ("/keys", "API keys", frozenset({Role.EMPLOYEE})),
)
"""The same for what is under a person's own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One entry of the bar."""

    href: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """What templates may know of an actor."""

    name: str
    email: str
    department: str
    roles: tuple[str, ...]
    conflicts: tuple[str, ...]
    """Roles that their groups name and that they don't get, because nobody may hold them together."""
    places: tuple[Place, ...]
    own_places: tuple[Place, ...]
    csrf_token: str


def visitor_of(request: Request, actor: Actor) -> Visitor:
    """The visitor behind `actor`; remembered for this request, so that an error page later on knows them too."""
    visitor = Visitor(
        name=actor.display_name,
        email=actor.email,
        department=actor.department,
        roles=tuple(sorted(role.value for role in actor.roles)),
        conflicts=tuple(sorted(services_of(request).identity.mapping.live.conflicts_of(actor.groups))),
        places=_places(PLACES, actor),
        own_places=_places(OWN_PLACES, actor),
        csrf_token=services_of(request).identity.csrf_token(credentials_of(request)),
    )
    request.state.visitor = visitor
    return visitor


def _places(known: tuple[tuple[str, str, frozenset[Role]], ...], actor: Actor) -> tuple[Place, ...]:
    return tuple(Place(href=href, label=label) for href, label, roles in known if roles & actor.roles)
