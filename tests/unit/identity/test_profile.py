from __future__ import annotations

from typing import Any

import pytest

from gateway.identity.profile import describe, groups_of
from gateway.settings import ClaimProfile


@pytest.mark.parametrize(
    ("form", "claim", "groups"),
    [
        ("list", ["b", "a", "a"], ("a", "b")),
        ("list", ["a", 7, None, ["x"], ""], ("a",)),
        ("list", "a,b", ()),
        ("list", None, ()),
        ("list", {"a": True}, ()),
        ("comma-string", "a, b,,a", ("a", "b")),
        ("comma-string", ["a"], ()),
        ("list", ["staff\nadmin", "x" * 256, "ok"], ("ok",)),
    ],
)
def test_groups_are_read_in_the_profiles_form_only(form: Any, claim: Any, groups: tuple[str, ...]) -> None:
    assert groups_of(ClaimProfile(groups_form=form), {"groups": claim}) == groups


def test_groups_come_from_the_claim_that_the_profile_names() -> None:
    assert groups_of(ClaimProfile(groups_claim="roles"), {"groups": ["admin"], "roles": ["staff"]}) == ("staff",)


def test_first_name_claim_that_is_there_is_the_name() -> None:
    assert describe(ClaimProfile(), {"name": " ", "preferred_username": "Al\x1bice"}, "sub").display_name == "Alice"
    assert describe(ClaimProfile(), {"name": ["x"]}, "sub-1").display_name == "sub-1"


def test_texts_are_cut_to_what_a_column_holds() -> None:
    found = describe(ClaimProfile(), {"name": "x" * 1000, "email": "y" * 1000, "department": 7}, "sub")
    assert (len(found.display_name), len(found.email), found.department) == (255, 255, "")
