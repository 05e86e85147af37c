"""Groups of the provider -> roles here, with static separation of duties.

Roles come from nowhere else. An unknown group gives nothing; no group gives no role.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

from gateway.vocabulary import Role

log = logging.getLogger(__name__)

_HUMAN: Final = frozenset(Role) - {Role.SERVICE, Role.BREAK_GLASS}

CONFLICTS: Final[frozenset[frozenset[Role]]] = frozenset(
    {
        frozenset({Role.ADMIN, Role.AUDITOR}),
        frozenset({Role.BILLING, Role.REVIEWER}),
        *(frozenset({Role.SERVICE, human}) for human in _HUMAN),
        *(frozenset({Role.BREAK_GLASS, other}) for other in Role if other is not Role.BREAK_GLASS),
    }
)
"""Pairs that one person may not hold together (NIST SP 800-53 r5, AC-5; ISO/IEC 27001:2022, A.5.3)."""


class RoleMap:
    """The settings' mapping, ready to ask."""

    def __init__(self, mapping: Mapping[str, Sequence[Role]]) -> None:
        self._mapping = {group: frozenset(roles) for group, roles in mapping.items()}

    def roles_of(self, groups: Iterable[str], *, who: str = "") -> frozenset[Role]:
        """The roles that `groups` give. A conflicting pair gives neither of the two, and is logged with `who`."""
        granted = frozenset[Role]().union(*(self._mapping.get(group, frozenset()) for group in groups))
        refused: set[Role] = set()
        for pair in combinations(sorted(granted), 2):
            if frozenset(pair) in CONFLICTS:
                refused |= set(pair)
        if refused:
            log.warning("role.conflict", extra={"fields": {"actor": who, "roles": ",".join(sorted(refused))}})
        return granted - refused
