"""What a report adds up, request by request."""

from __future__ import annotations

import json

import pytest

from gateway.replay import report as reports
from gateway.replay.decider import Outcome
from gateway.replay.report import KINDS, Tally, as_table, kind_of
from gateway.vocabulary import Effect
from tests.unit.replay.conftest import document

ALLOW, MASK, REVIEW, DENY = Effect.ALLOW, Effect.MASK, Effect.REVIEW, Effect.DENY


def out(effect: Effect, *codes: str, obligations: str = "{}", error: str = "") -> Outcome:
    return Outcome(effect=effect, codes=codes, rules=codes, obligations=obligations, error=error)


def tally(*decisions, minutes=3.0):
    """Add (request, stage, before, after) or with what was recorded."""
    found = Tally(minutes_per_review=minutes)
    for request, stage, before, after, *recorded in decisions:
        found.add(document(request, stage), recorded=recorded[0] if recorded else before, before=before, after=after)
    return found


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (ALLOW, DENY, "newly_denied"),
        (MASK, DENY, "newly_denied"),
        (REVIEW, DENY, "newly_denied"),
        (ALLOW, REVIEW, "newly_reviewed"),
        (DENY, REVIEW, "newly_reviewed"),
        (DENY, ALLOW, "newly_allowed"),
        (REVIEW, MASK, "newly_allowed"),
        (ALLOW, MASK, "newly_masked"),
        (MASK, ALLOW, "no_longer_masked"),
        (DENY, DENY, ""),
    ],
)
def test_each_change_has_one_name(before, after, kind):
    assert kind_of(before, after) == kind
    assert kind in (*KINDS, "")


def test_a_request_counts_once_however_many_stages_differ():
    no = out(DENY, "a.b")
    report = tally(
        ("1", "request", out(ALLOW), no), ("1", "prompt", out(ALLOW), no), ("2", "request", out(ALLOW), out(ALLOW))
    ).report()
    assert (report["decisions"], report["requests"], report["newly_denied"]) == (3, 2, 1)
    assert report["effects"] == [
        {"from": "allow", "to": "allow", "requests": 1},
        {"from": "allow", "to": "deny", "requests": 1},
    ]
    assert report["credits"] == {"before": 4, "after": 2}


def test_a_refusal_that_only_comes_earlier_is_no_change_of_effect():
    report = tally(
        ("1", "request", out(ALLOW), out(DENY, "a.b")), ("1", "prompt", out(DENY, "c.d"), out(DENY, "c.d"))
    ).report()
    assert report["people_affected"] == 0
    assert report["same_effect_other_reasons"] == 1
    assert {row["code"]: (row["before"], row["after"]) for row in report["reasons"]} == {"a.b": (0, 1), "c.d": (1, 0)}


def test_who_goes_on_where_the_record_stops_is_newly_allowed_and_incomplete():
    report = tally(("1", "request", out(DENY, "a.b"), out(ALLOW))).report()
    assert report["newly_allowed"] == 1
    assert report["replayable"] == {
        "requests": 0,
        "share": 0.0,
        "incomplete": 1,
        "lacking_facts": [],
        "errors": [],
        "recorded_differently": 0,
    }
    assert report["samples"][0]["after"]["known"] is False


def test_a_mask_before_stays_the_end_when_later_stages_allow():
    report = tally(
        ("1", "prompt", out(MASK, "dlp.x"), out(MASK, "dlp.x")), ("1", "output", out(ALLOW), out(REVIEW, "content.y"))
    ).report()
    assert report["effects"] == [{"from": "mask", "to": "review", "requests": 1}]
    assert report["reviews"] == {"before": 0, "after": 1}
    assert report["reviewer_minutes"] == {"before": 0, "after": 3.0}


def test_inputs_that_lack_a_fact_or_make_rules_stumble_are_not_replayable():
    found = Tally(minutes_per_review=3)
    found.add(
        document("1"), recorded=out(ALLOW), before=out(ALLOW), after=out(DENY, "a.b"), lacking=["subject.training"]
    )
    stumbled = out(DENY, "policy.unavailable", error="stumbled at x.rego:3:1")
    found.add(document("2"), recorded=out(ALLOW), before=out(ALLOW), after=stumbled)
    found.add(document("3"), recorded=out(ALLOW), before=out(ALLOW), after=out(ALLOW))
    can = found.report()["replayable"]
    assert can["share"] == pytest.approx(1 / 3, abs=1e-6)
    assert can["lacking_facts"] == [{"fact": "input.subject.training", "decisions": 1}]
    assert can["errors"] == [{"place": "stumbled at x.rego:3:1", "decisions": 1}]


def test_what_was_recorded_otherwise_is_counted():
    report = tally(("1", "request", out(ALLOW), out(ALLOW), out(DENY, "a.b"))).report()
    assert report["replayable"]["recorded_differently"] == 1


def test_people_and_departments_come_with_what_happens_to_them():
    found = Tally(minutes_per_review=3)
    for n, (person, department) in enumerate([("a", "X"), ("a", "X"), ("b", "X"), ("c", "Y")]):
        asked = document(str(n), subject={"id": person, "department": department})
        found.add(asked, recorded=out(ALLOW), before=out(ALLOW), after=out(DENY, "a.b"))
    report = found.report()
    assert [(row["id"], row["newly_denied"]) for row in report["people"]] == [("a", 2), ("b", 1), ("c", 1)]
    assert [(row["name"], row["newly_denied"]) for row in report["departments"]] == [("X", 3), ("Y", 1)]


def test_memory_does_not_grow_with_the_number_of_requests(monkeypatch):
    monkeypatch.setattr(reports, "MAX_OPEN", 10)
    found = tally(*((str(n), "request", out(ALLOW), out(DENY, "a.b")) for n in range(100)))
    assert len(found._open) == 10
    report = found.report()
    assert report["newly_denied"] == 100
    assert len(report["samples"]) == reports.MAX_ALIKE


def test_samples_show_different_changes():
    decisions = [(f"{code}{n}", "request", out(ALLOW), out(DENY, code)) for code in ("a.b", "c.d") for n in range(9)]
    assert [s["after"]["reasons"] for s in tally(*decisions).report()["samples"]] == [["a.b"]] * 3 + [["c.d"]] * 3


def test_other_obligations_alone_are_told():
    report = tally(
        ("1", "request", out(ALLOW, obligations='{"max_n":4}'), out(ALLOW, obligations='{"max_n":1}'))
    ).report()
    assert report["same_effect_other_obligations"] == 1
    assert report["same_effect_other_reasons"] == 0


def test_the_table_says_what_the_report_says():
    report = tally(("1", "request", out(ALLOW), out(DENY, "a.b"))).report()
    table = as_table(
        {"baseline": {"revision": "old"}, "candidate": {"revision": "new"}, **json.loads(json.dumps(report))}
    )
    for words in ("old -> new", "newly denied", "idp|alice", "Design", "a.b", "allow -> deny"):
        assert words in table


def test_nothing_replayed_is_a_report_too():
    report = Tally(minutes_per_review=3).report()
    assert report["replayable"]["share"] == 1
    assert "Replayed 0 decisions" in as_table({"baseline": {"revision": ""}, "candidate": {"revision": ""}, **report})
