"""Groups of the provider -> roles here, with static separation of duties.

Roles come from nowhere else. An unknown group gives nothing; no group gives no role. What a program is (`service`) and
what two people opened together (`break-glass`) is no group's to give, whatever a mapping says.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

from gateway.vocabulary import Role

log = logging.getLogger(__name__)

_HUMAN: Final = frozenset(Role) - {Role.SERVICE, Role.BREAK_GLASS}

NEVER_OF_GROUPS: Final = frozenset({Role.SERVICE, Role.BREAK_GLASS})

CONFLICTS: Final[frozenset[frozenset[Role]]] = frozenset(
    {
        frozenset({Role.ADMIN, Role.AUDITOR}),
        frozenset({Role.BILLING, Role.REVIEWER}),
        *(frozenset({Role.SERVICE, human}) for human in _HUMAN),
        *(frozenset({Role.BREAK_GLASS, other}) for other in Role if other is not Role.BREAK_GLASS),
    }
)
"""Pairs that one person may not hold together (NIST SP 800-53 r5, AC-5; ISO/IEC 27001:2022, A.5.3)."""

EMERGENCY_PREFIX: Final = "emergency|"
"""Of the ids of those who opened an emergency. No provider can be called that (`gateway/settings/identity.py`)."""
EMERGENCY_ROLES: Final = frozenset({Role.BREAK_GLASS})

RolesOfGroups = Mapping[str, frozenset[Role]]


class RoleMap:
    """The mapping in force, ready to ask. Begins as the settings' and is replaced in place when another comes into
    force (`mapping.py`): whoever holds it asks the present one."""

    def __init__(self, mapping: Mapping[str, Iterable[Role]]) -> None:
        self._mapping = plain(mapping)

    @property
    def in_force(self) -> RolesOfGroups:
        """Group -> roles, as of now."""
        return self._mapping

    def replace(self, mapping: Mapping[str, Iterable[Role]]) -> None:
        """Put another mapping in force, for everybody who asks from now on."""
        self._mapping = plain(mapping)

    def roles_of(self, groups: Iterable[str], *, who: str = "") -> frozenset[Role]:
        """The roles that `groups` give. A conflicting pair gives neither of the two, and is logged with `who`."""
        granted = self._granted(groups)
        refused = conflicting(granted)
        if refused and who:
            log.warning("role.conflict", extra={"fields": {"actor": who, "roles": ",".join(sorted(refused))}})
        return granted - refused

    def roles_of_person(self, id: str, groups: Iterable[str]) -> frozenset[Role]:
        """The roles of somebody with a session: their groups', or those of an emergency, which has no groups."""
        return EMERGENCY_ROLES if id.startswith(EMERGENCY_PREFIX) else self.roles_of(groups, who=id)

    def conflicts_of(self, groups: Iterable[str]) -> frozenset[Role]:
        """The roles that `groups` would give, and don't, because nobody may hold them together."""
        return conflicting(self._granted(groups))

    def through(self, groups: Iterable[str], role: Role) -> tuple[str, ...]:
        """Which of `groups` name this role."""
        return tuple(sorted(group for group in set(groups) if role in self._mapping.get(group, ())))

    def _granted(self, groups: Iterable[str]) -> frozenset[Role]:
        named = frozenset[Role]().union(*(self._mapping.get(group, frozenset()) for group in groups))
        return named - NEVER_OF_GROUPS


def conflicting(roles: Iterable[Role]) -> frozenset[Role]:
    """Those among `roles` that conflict with another among them."""
    refused: set[Role] = set()
    for pair in combinations(sorted(set(roles)), 2):
        if frozenset(pair) in CONFLICTS:
            refused |= set(pair)
    return frozenset(refused)


def plain(mapping: Mapping[str, Iterable[Role]]) -> RolesOfGroups:
    """The same with sets, and without groups that give nothing."""
    return {group: found for group, roles in mapping.items() if (found := frozenset(roles))}


def as_json(mapping: Mapping[str, Iterable[Role]]) -> dict[str, list[str]]:
    """As it is stored, proposed and recorded: groups and roles in order."""
    return {group: sorted(roles) for group, roles in sorted(plain(mapping).items())}


def from_json(value: Mapping[str, Sequence[str]]) -> RolesOfGroups:
    """What `as_json` wrote. A word that is no role (any more) gives nothing."""
    known = {role.value: role for role in Role}
    return plain({group: [known[word] for word in words if word in known] for group, words in value.items()})
