"""An explanation names the condition that did not hold, its line, and the fact that it wanted."""

from __future__ import annotations

from gateway.replay.explain import Explainer
from tests.unit.replay.conftest import document, small

RULES = """permitted if {
	fresh
	within
}

fresh if input.subject.mfa_age_seconds < data.limits.age

within if input.resource.n <= data.limits.n
"""
DATA = {"limits": {"age": 100, "n": 4}}


def explained(rules, **changes):
    return Explainer(rules).explain(document(**changes))


def conditions(told):
    (reason,) = told["reasons"]
    return [(one["rule"].rpartition(".")[2], one["condition"]) for one in reason["conditions"]]


def test_what_holds_is_not_explained():
    told = explained(small(RULES, data=DATA))
    assert (told["effect"], told["reasons"], told["missing_facts"]) == ("allow", [], [])


def test_the_first_condition_that_fails_is_followed_to_the_fact():
    told = explained(small(RULES, data=DATA), subject={"mfa_age_seconds": 500})
    assert conditions(told) == [
        ("permitted", "fresh"),
        ("fresh", "input.subject.mfa_age_seconds < data.limits.age"),
    ]
    last = told["reasons"][0]["conditions"][-1]
    assert last["facts"] == [{"name": "input.subject.mfa_age_seconds", "missing": False, "value": 500}]
    source = small(RULES, data=DATA).modules[last["path"]].splitlines()
    assert source[last["line"] - 1].startswith("fresh if")


def test_a_later_condition_is_named_when_the_first_holds():
    told = explained(small(RULES, data=DATA), resource={"n": 9})
    assert conditions(told) == [("permitted", "within"), ("within", "input.resource.n <= data.limits.n")]


def test_a_fact_that_is_missing_is_called_missing():
    asked = document()
    del asked["subject"]["mfa_age_seconds"]
    told = Explainer(small(RULES, data=DATA)).explain(asked)
    assert told["missing_facts"] == ["subject.mfa_age_seconds"]
    assert told["reasons"][0]["conditions"][-1]["facts"] == [{"name": "input.subject.mfa_age_seconds", "missing": True}]


def test_each_way_to_be_permitted_is_explained():
    rules = small('permitted if input.resource.n == 7\n\npermitted if input.subject.id == "x"\n')
    assert conditions(explained(rules)) == [
        ("permitted", "input.resource.n == 7"),
        ("permitted", 'input.subject.id == "x"'),
    ]


def test_rules_that_stumble_are_told_with_their_place():
    told = explained(small("x := 1\n\tx == to_number(input.subject.id)"))
    assert told["effect"] == "deny"
    assert "authz.rego:" in told["error"]


def test_refusals_that_fired_are_told_by_line_and_others_are_not(shipped):
    told = explained(shipped, subject={"status": "suspended"})
    assert [reason["code"] for reason in told["reasons"]] == ["subject.inactive"]
    fired = {(one["rule"], one["line"]) for one in told["fired"] if one["rule"] == "gateway.access.deny"}
    assert len(fired) == 1
    ((_, line),) = fired
    lines = shipped.modules["gateway/access/access.rego"].splitlines()
    assert lines[line] == '\t"subject.inactive",'
