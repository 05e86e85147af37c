"""Errors as clients read them."""

from __future__ import annotations

import inspect

import pytest

from gateway import errors
from gateway.errors import ContentBlocked, Denied, Failure, ImprimaturError, Refusal, StepUpRequired
from gateway.exchange import Reason, StepUp
from gateway.problems import _where, envelope, headers

METADATA = "https://gate.example/.well-known/oauth-protected-resource"
TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ImprimaturError) and kind.__module__ == errors.__name__
]


def make(kind):
    if kind is StepUpRequired:
        return kind("Sign in again.", step_up=StepUp(max_age_seconds=900))
    if kind is ContentBlocked:
        return kind("No.", stage="input", reasons=[Reason(code="dlp.iban", message="An IBAN.")])
    return kind("No.")


@pytest.mark.parametrize("kind", TREE)
def test_every_error_of_the_tree_has_the_whole_envelope(kind):
    error = envelope(make(kind), "id-1")["error"]
    assert {"message", "type", "param", "code", "decision_id"} <= set(error)
    assert error["decision_id"] == "id-1"


@pytest.mark.parametrize("kind", TREE)
def test_every_error_of_the_tree_is_drawn_in_the_docstring(kind):
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", [k for k in TREE if issubclass(k, Refusal)])
def test_no_refusal_is_retried_by_the_sdk_but_a_rate_limit(kind):
    assert headers(make(kind), METADATA)["x-should-retry"] == ("true" if kind is errors.RateLimited else "false")
    assert kind.status not in (408, 409)


@pytest.mark.parametrize("kind", [k for k in TREE if issubclass(k, Failure)])
def test_a_failure_of_ours_may_be_tried_again(kind):
    assert headers(make(kind), METADATA)["x-should-retry"] == "true"
    assert kind.status >= 500


def test_step_up_is_a_challenge_as_rfc_9470_writes_it():
    challenge = headers(make(StepUpRequired), METADATA)["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_user_authentication"')
    assert 'max_age="900"' in challenge
    assert f'resource_metadata="{METADATA}"' in challenge


def test_what_was_found_is_listed_with_its_place():
    reasons = [Reason(code="dlp.payment-card", message="A card number.", span=(3, 22))]
    error = envelope(ContentBlocked("Blocked.", stage="input", reasons=reasons), "id")["error"]
    assert error["moderation_details"] == {"moderation_stage": "input", "categories": ["dlp.payment-card"]}
    assert error["reasons"][0]["span"] == [3, 22]


def test_a_wait_is_at_least_a_second():
    assert headers(errors.ModelOverloaded("Busy.", retry_after_seconds=0.2), METADATA)["retry-after"] == "1"


def test_a_denial_without_reasons_has_no_empty_list():
    assert "reasons" not in envelope(Denied("No."), "id")["error"]


@pytest.mark.parametrize(
    ("loc", "is_unknown", "shown"),
    [
        (("query", "limit"), False, "limit"),
        (("body", "networks", 2), False, "networks.2"),
        (("body", "roles", "jane.doe@example.com", 0), False, "roles.0"),
        (("body", "colour"), True, "colour"),
        (("body", "jane.doe@example.com"), True, "a field"),
        (("body", "4111 1111 1111 1111"), True, "a field"),
        ((), False, ""),
    ],
)
def test_a_complaint_names_fields_of_ours_and_never_a_key_that_somebody_made_up(loc, is_unknown, shown):
    assert _where(loc, is_unknown=is_unknown) == shown
