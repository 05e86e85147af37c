"""Every event is told on the reference page, and every event is written by somebody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audit.vocabulary import LogEvent
from gateway.vocabulary import TASKS, Event

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "audit-events.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `([a-z:-]+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
EVENTS = [*Event, *LogEvent]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_on_the_page_with_when_it_is_written(event):
    assert ROWS.get(event.value, "").strip()


def test_the_page_tells_of_no_event_that_there_is_not():
    assert ROWS.keys() == {event.value for event in EVENTS}


def test_no_event_of_the_gateway_goes_by_the_name_of_one_of_the_log():
    assert {event.value for event in Event}.isdisjoint({event.value for event in LogEvent})
    assert not [event for event in Event if event.value.startswith("audit:")]


@pytest.mark.parametrize("event", [event for event in Event if event.value not in list(TASKS)])
def test_every_event_of_the_gateway_is_written_somewhere(event):
    """A word that nobody writes is a promise that nobody keeps. Pictures are recorded by their permission."""
    sources = "".join(
        path.read_text("utf-8") for path in (ROOT / "gateway").rglob("*.py") if path.name != "vocabulary.py"
    )
    assert re.search(rf"\bEvent\.{event.name}\b", sources)
