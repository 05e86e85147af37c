"""Which revisions may decide, and how the servers stand that run them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.policy.fleet import FORGET_AFTER, MAX_SERVERS, Fleet, State
from gateway.policy.revisions import REMEMBERED, Revisions, Standing
from tests.support.policy import NOW

STALE = timedelta(minutes=10)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revisions(clock: Clock) -> Revisions:
    return Revisions(clock, STALE)


def test_nothing_is_known_before_rules_are_in_force(revisions: Revisions) -> None:
    assert revisions.standing("") is Standing.UNKNOWN
    assert revisions.standing("1") is Standing.UNKNOWN


def test_a_superseded_revision_passes_and_then_is_stale(revisions: Revisions, clock: Clock) -> None:
    revisions.put_in_force("1")
    revisions.put_in_force("2")
    assert (revisions.standing("2"), revisions.standing("1")) == (Standing.CURRENT, Standing.PASSING)
    clock.now += STALE
    assert revisions.standing("1") is Standing.PASSING
    clock.now += timedelta(seconds=1)
    assert revisions.standing("1") is Standing.STALE
    assert revisions.behind_seconds("1") == 601
    assert revisions.standing("2") is Standing.CURRENT, "rules in force do not age"


def test_a_rollback_makes_the_old_revision_current_and_the_new_one_old(revisions: Revisions, clock: Clock) -> None:
    for name in ("1", "2", "1"):
        revisions.put_in_force(name)
    clock.now += STALE * 2
    assert (revisions.standing("1"), revisions.standing("2")) == (Standing.CURRENT, Standing.STALE)


def test_to_put_the_same_in_force_again_changes_nothing(revisions: Revisions, clock: Clock) -> None:
    revisions.put_in_force("1", "1+ab")
    revisions.put_in_force("2", "2+cd")
    clock.now += STALE * 2
    revisions.put_in_force("2", "2+cd")
    assert [revisions.standing(r) for r in ("2", "2+cd", "1", "1+ab")] == [
        *(Standing.CURRENT,) * 2,
        *(Standing.STALE,) * 2,
    ]


def test_only_so_many_are_remembered_and_what_is_forgotten_is_refused_too(revisions: Revisions) -> None:
    for n in range(REMEMBERED + 2):
        revisions.put_in_force(str(n))
    assert revisions.standing("0") is Standing.UNKNOWN
    assert revisions.standing("1") is Standing.PASSING


# -- the servers


@pytest.fixture
def fleet(clock: Clock, revisions: Revisions) -> Fleet:
    revisions.put_in_force("1")
    return Fleet("imprimatur", clock=clock, revisions=revisions, lag_after=timedelta(seconds=60))


def report(id: str = "a", revision: str = "1", **bundle: object) -> dict[str, Any]:
    status = {"name": "imprimatur", "active_revision": revision, **bundle}
    return {"labels": {"id": id, "version": "1.21.3"}, "bundles": {"imprimatur": status}}


def counted(fleet: Fleet) -> dict[str, int]:
    return {state: number for state, number in fleet.figures().items() if number}


def test_a_server_is_counted_by_how_it_stands(fleet: Fleet, revisions: Revisions, clock: Clock) -> None:
    assert fleet.report(report()).state is State.CURRENT
    fleet.report(report("b"))
    revisions.put_in_force("2")
    fleet.report(report("b", "2"))
    assert counted(fleet) == {"following": 1, "current": 1}
    clock.now += timedelta(seconds=61)
    assert counted(fleet) == {"lagging": 1, "current": 1}
    assert fleet.longest_lag_seconds() == 61
    fleet.report(report("a", "2"))
    assert (counted(fleet), fleet.longest_lag_seconds()) == ({"current": 2}, 0)


def test_a_server_that_can_not_activate_is_failing_and_one_with_other_rules_is_unknown(fleet: Fleet) -> None:
    assert fleet.report(report("a", code="bundle_error", message="verification failed")).state is State.FAILING
    assert fleet.report(report("b", errors=[{"code": "x"}])).state is State.FAILING
    assert fleet.report(report("c", "somebody-elses")).state is State.UNKNOWN
    assert fleet.report({"labels": {"id": "d"}}).state is State.UNKNOWN
    assert counted(fleet) == {"failing": 2, "unknown": 2}
    assert set(fleet.figures()) == {state.value for state in State}


def test_a_lagging_server_is_told_once_in_the_log(
    fleet: Fleet, revisions: Revisions, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.report(report())
    revisions.put_in_force("2")
    clock.now += timedelta(seconds=61)
    for _ in range(3):
        fleet.figures()
    told = [r for r in caplog.records if r.levelname == "WARNING"]
    assert [r.fields["state"] for r in told] == ["lagging"]  # type: ignore[attr-defined]


def test_a_server_that_is_silent_is_forgotten(fleet: Fleet, clock: Clock) -> None:
    fleet.report(report())
    clock.now += FORGET_AFTER + timedelta(seconds=1)
    assert counted(fleet) == {}


def test_names_without_end_do_not_fill_the_memory(fleet: Fleet) -> None:
    for n in range(MAX_SERVERS + 5):
        fleet.report(report(str(n)))
    assert sum(fleet.figures().values()) == MAX_SERVERS


def test_what_a_report_says_can_not_forge_log_lines(fleet: Fleet) -> None:
    server = fleet.report(report('a\n{"level":"x"}' + "y" * 500, "r\x1b[2J"))
    assert server.id.isprintable()
    assert server.revision == "r[2J"
    assert len(server.id) <= 128


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "the report: expected an object"),
        ({}, "labels: expected an object"),
        ({"labels": {"id": 7}}, "expected the server's id"),
        ({"labels": {"id": ""}}, "expected the server's id"),
        ({"labels": {"id": "a"}, "bundles": [1]}, "bundles: expected an object"),
        ({"labels": {"id": "a"}, "bundles": {"imprimatur": "x"}}, "bundles.imprimatur: expected an object"),
    ],
)
def test_what_is_no_report_is_refused_in_words(fleet: Fleet, document: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        fleet.report(document)
    assert counted(fleet) == {}
