"""Scopes and officers: what they accept, and that they say so without quoting anybody."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from audit.errors import EntryInvalid, FreshMfaRequired
from audit.governance.officer import Officer, Signature, require_fresh
from audit.governance.scope import HoldScope, RecordFacts, Scope, check_text
from audit.ids import new_event_id
from audit.record import Subject

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EVENT = new_event_id(NOW)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"actions": ("image:generate",)},
        {"created_from": NOW},
        {"created_from": NOW, "created_to": NOW + timedelta(days=32)},
        {"created_from": NOW, "created_to": NOW},
        {"actors": ("a",), "created_from": NOW.replace(tzinfo=None)},
        {"actors": ("",)},
        {"actors": ("secret-name" * 100,)},
        {"actors": tuple(map(str, range(1001)))},
        {"event_ids": ("secret-name",)},
        {"event_ids": (EVENT.upper(),)},
        {"actors": ("a",), "max_openings": 0},
        {"actors": ("a",), "max_openings": 10_001},
    ],
)
def test_a_scope_that_is_too_wide_or_malformed_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(EntryInvalid) as refused:
        Scope(**fields)
    assert "secret-name" not in str(refused.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"event_ids": (EVENT,), "actor": "a", "from_day": date(2026, 11, 1)},
        {"actor": "secret-name"},
        {"actor": "a", "from_day": date(2026, 11, 2), "to_day": date(2026, 11, 1)},
        {"event_ids": (EVENT,), "from_day": date(2026, 11, 1)},
        {"event_ids": ("secret-name",)},
    ],
)
def test_a_hold_names_events_or_one_actor_from_a_day(fields: dict[str, Any]) -> None:
    with pytest.raises(EntryInvalid) as refused:
        HoldScope(**fields)
    assert "secret-name" not in str(refused.value)


def test_scopes_survive_being_stored() -> None:
    whole = Scope(
        event_ids=(EVENT,),
        actors=("a",),
        actions=("x",),
        created_from=NOW,
        created_to=NOW + timedelta(1),
        members=("m",),
        max_openings=3,
    )
    for scope in (whole, Scope(actors=("a",))):
        assert Scope.from_json(scope.as_json()) == scope
    for hold in (HoldScope(event_ids=(EVENT,)), HoldScope(actor="a", from_day=NOW.date(), to_day=NOW.date())):
        assert HoldScope.from_json(hold.as_json()) == hold
    signature = Signature.of(Officer(Subject(actor="dana"), NOW, is_without_evidence=True), NOW)
    assert Signature.from_json(signature.as_json()) == signature


def test_the_end_of_a_period_is_not_in_it() -> None:
    scope = Scope(created_from=NOW, created_to=NOW + timedelta(days=1))

    def facts(at: datetime) -> RecordFacts:
        return RecordFacts(event_id=EVENT, tenant="default", action="x", created_at=at, actor=None)

    assert scope.covers(facts(NOW))
    assert not scope.covers(facts(NOW + timedelta(days=1)))
    assert not scope.covers(facts(NOW - timedelta(microseconds=1)))


def test_the_age_of_a_second_factor_is_counted_to_the_second() -> None:
    def officer(age: float) -> Officer:
        return Officer(Subject(actor="dana"), NOW - timedelta(seconds=age))

    require_fresh(officer(300), NOW, 300)
    require_fresh(officer(-30), NOW, 300)  # clocks differ a little
    for age in (300.001, -30.001):
        with pytest.raises(FreshMfaRequired):
            require_fresh(officer(age), NOW, 300)
    with pytest.raises(FreshMfaRequired):
        require_fresh(Officer(Subject(actor="dana")), NOW, 300)


def test_an_officer_is_a_person_with_an_aware_time() -> None:
    with pytest.raises(EntryInvalid):
        Officer(Subject(actor="system:retention"), NOW)
    with pytest.raises(EntryInvalid):
        Officer(Subject(actor="dana"), NOW.replace(tzinfo=None))


def test_a_text_says_something_and_not_too_much() -> None:
    check_text("purpose", "x")
    for text in ("", " \n", "secret-name" * 400):
        with pytest.raises(EntryInvalid) as refused:
            check_text("purpose", text)
        assert "secret-name" not in str(refused.value)


def test_names_and_purposes_stay_out_of_representations() -> None:
    from audit.governance.cases import Case, CaseState

    case = Case(
        id=EVENT,
        tenant="default",
        state=CaseState.ACTIVE,
        purpose="secret-purpose",
        scope=Scope(actors=("secret-name",)),
        created_at=NOW,
        expires_at=NOW,
        openings=0,
        requested=Signature(actor="secret-name", display="", at=NOW),
        decided=None,
        closed=None,
    )
    assert "secret" not in repr(case)
