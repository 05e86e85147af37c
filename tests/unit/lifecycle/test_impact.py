"""What a replay says of a change, in a proposal's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.lifecycle.impact import Replayed, frozen, lines_of, warnings_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
COUNTS = {"newly_denied": 3, "newly_reviewed": 0, "newly_masked": 0, "newly_allowed": 1, "no_longer_masked": 0}


def report(**other: Any) -> dict[str, Any]:
    return {
        "requests": 100,
        "replayable": {"share": 1.0},
        "people_affected": 2,
        "departments": [{"name": "Design", **COUNTS}, {"name": "", **COUNTS}],
        "reviewer_minutes": {"before": 0.0, "after": 6.0},
        **COUNTS,
        **other,
    }


def impact(**other: Any) -> dict[str, Any]:
    ended_at = NOW - timedelta(hours=5)
    replayed = Replayed(id="r", candidate="a", baseline="b", days=7, ended_at=ended_at, report=report(**other))
    return frozen(replayed, digest="a", base="b")


def test_it_is_told_in_words_with_its_age() -> None:
    lines = dict(lines_of(impact(), NOW))
    assert lines["Impact"] == "3 newly denied, 1 newly allowed, of 100 in 7 days"
    assert lines["Departments"] == "Design (4), no department (4)"
    assert lines["How far to trust it"] == "exact for 100.0% of the requests, made 5 hours ago"
    assert "made 3 days ago" in dict(lines_of(impact(), NOW + timedelta(days=3)))["How far to trust it"]


def test_a_report_that_says_little_is_marked() -> None:
    assert warnings_of(impact()) == []
    assert "no past requests" in warnings_of(impact(requests=0))[0]
    assert "Only 50%" in warnings_of(impact(replayable={"share": 0.5}))[0]
    assert "Nobody made" in warnings_of(None)[0]


def test_a_replay_without_a_report_is_no_impact() -> None:
    running = Replayed(id="r", candidate="a", baseline="b", days=7, ended_at=None, report=None)
    with pytest.raises(InvalidRequest, match="has no report"):
        frozen(running, digest="a", base="b")
