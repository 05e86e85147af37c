from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.roles import CONFLICTS, RoleMap
from gateway.vocabulary import Role

EVERY = RoleMap({role.value: (role,) for role in Role})


def test_unknown_group_gives_nothing() -> None:
    assert EVERY.roles_of(["everyone", "Employee", "employee ", ""]) == frozenset()


def test_no_group_gives_no_role() -> None:
    assert EVERY.roles_of([]) == frozenset()


def test_group_may_give_several_roles() -> None:
    assert RoleMap({"g": (Role.EMPLOYEE, Role.REVIEWER)}).roles_of(["g"]) == {Role.EMPLOYEE, Role.REVIEWER}


@pytest.mark.parametrize(
    ("groups", "left"),
    [
        (["admin", "auditor"], set()),
        (["admin", "auditor", "employee"], {Role.EMPLOYEE}),
        (["billing", "reviewer"], set()),
        (["service", "employee"], {Role.EMPLOYEE}),  # no group's to give, so there is no pair
        (["break-glass", "employee"], {Role.EMPLOYEE}),
        (["break-glass", "service"], set()),
        (["break-glass"], set()),
        (["service"], set()),
        (["admin", "policy-author"], {Role.ADMIN, Role.POLICY_AUTHOR}),
        (["policy-author", "policy-approver"], {Role.POLICY_AUTHOR, Role.POLICY_APPROVER}),
    ],
)
def test_conflicting_pair_gives_neither(groups: list[str], left: set[Role]) -> None:
    assert EVERY.roles_of(groups) == left


def test_conflict_is_logged_with_the_person_and_the_roles(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        EVERY.roles_of(["admin", "auditor"], who="company|frank")
    assert caplog.records[0].fields == {"actor": "company|frank", "roles": "admin,auditor"}  # type: ignore[attr-defined]


@settings(deadline=None)
@given(st.sets(st.sampled_from([role.value for role in Role])))
def test_no_set_of_groups_leaves_a_conflicting_pair(groups: set[str]) -> None:
    roles = EVERY.roles_of(groups)
    assert not any(pair <= roles for pair in CONFLICTS)
