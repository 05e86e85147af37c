"""The question that rules are asked: complete, typed, and without the prompt."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.exchange import Actor, Finding, ImageRequest, Mfa, Usage
from gateway.policy.input import AdminInput, ImageInput
from gateway.vocabulary import Permission, Role
from tests.support.policy import ALICE, EMAIL, NOW, REQUEST, admin, image

CANARY = "canary-7f3a"
IMAGE, ADMIN = TypeAdapter(ImageInput), TypeAdapter(AdminInput)


def test_the_prompt_never_enters_the_document() -> None:
    document = image(request=replace(REQUEST, prompt=f"my {CANARY} secret", options={"negative_prompt": CANARY}))
    assert CANARY not in json.dumps(document)
    assert document["prompt"] == {"hmac": "00" * 16, "chars": len(f"my {CANARY} secret")}


def test_neither_do_names_addresses_or_the_hmacs_of_values() -> None:
    actor = replace(ALICE, display_name=CANARY, email=CANARY, credential_id=CANARY)
    document = image(actor, replace(EMAIL, value_hmac=CANARY))
    assert CANARY not in json.dumps(document)


def test_ages_are_seconds_at_the_given_time() -> None:
    old = replace(ALICE, mfa=Mfa(at=NOW - timedelta(hours=2, milliseconds=999)))
    assert image(old)["subject"]["mfa_age_seconds"] == 7200
    assert image(replace(ALICE, mfa=Mfa()))["subject"]["mfa_age_seconds"] is None
    assert image(replace(ALICE, mfa=Mfa(at=NOW + timedelta(hours=1))))["subject"]["mfa_age_seconds"] == 0


def test_time_is_rfc_3339_in_utc_whatever_the_zone_it_came_in() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert image(now=elsewhere)["time"] == "2026-11-20T10:00:00.000Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an aware time"):
        image(now=datetime(2026, 11, 20, 10))  # noqa: DTZ001  # the very mistake


@pytest.mark.parametrize(
    ("given_ip", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
        ("unix:", ""),
        ("10.0.0.1, 192.0.2.1", ""),
        ("010.0.0.1", ""),
        ("10.0.0", ""),
    ],
)
def test_an_address_is_plain_or_empty(given_ip: str, expected: str) -> None:
    assert image(ip=given_ip)["context"]["ip"] == expected


def test_no_limit_of_scopes_and_no_scopes_are_told_apart() -> None:
    assert image(replace(ALICE, scopes=None))["subject"]["scopes"] is None
    assert image(replace(ALICE, scopes=frozenset()))["subject"]["scopes"] == []


def test_the_same_facts_give_the_same_document() -> None:
    one = image(replace(ALICE, roles=frozenset([Role.EMPLOYEE, Role.ADMIN]), groups=("b", "a")))
    other = image(replace(ALICE, roles=frozenset([Role.ADMIN, Role.EMPLOYEE]), groups=("a", "b")))
    assert json.dumps(one) == json.dumps(other)


actors = st.builds(
    lambda roles, groups, scopes, amr: replace(
        ALICE, roles=frozenset(roles), groups=tuple(groups), scopes=scopes, mfa=Mfa(at=NOW, amr=tuple(amr))
    ),
    st.lists(st.sampled_from(Role)),
    st.lists(st.text(max_size=20), max_size=5),
    st.none() | st.frozensets(st.sampled_from(Permission)),
    st.lists(st.text(max_size=5), max_size=3),
)
findings = st.lists(st.builds(replace, st.just(EMAIL), id=st.text(max_size=9), score=st.floats(0, 1)), max_size=4)
requests = st.builds(replace, st.just(REQUEST), prompt=st.text(max_size=50), n=st.integers(1, 10), model=st.text())


@given(actors, findings, requests, st.sampled_from(["request", "prompt", "output"]))
def test_every_document_is_as_the_schema_says(
    actor: Actor, found: list[Finding], request: ImageRequest, stage: str
) -> None:
    document = image(actor, *found, request=request, stage=stage, usage=Usage(user_day=3))
    IMAGE.validate_python(document, strict=True)
    assert json.loads(json.dumps(document)) == document


@given(actors, st.sampled_from(Permission))
def test_so_is_every_document_about_something_else(actor: Actor, action: Permission) -> None:
    ADMIN.validate_python(admin(actor, action), strict=True)
