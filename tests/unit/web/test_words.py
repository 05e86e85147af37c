from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from audit import Effect as LogEffect
from audit.vocabulary import LogEvent, LogReason
from gateway.vocabulary import Code, Effect, Event, is_reason_code
from gateway.web import words


@pytest.mark.parametrize("effect", [*LogEffect, *Effect])
def test_every_effect_has_a_word(effect):
    assert effect in words.EFFECTS


@pytest.mark.parametrize("event", [*Event, *LogEvent])
def test_every_event_has_words(event):
    assert event in words.ACTIONS


@pytest.mark.parametrize("code", [*Code, *LogReason])
def test_every_reason_of_our_own_has_words(code):
    assert code in words.REASONS


def test_every_refusal_that_the_shipped_policy_can_give_has_words():
    rules = Path(__file__).resolve().parents[3] / "policies" / "gateway"
    texts = [path.read_text() for path in rules.rglob("*.rego") if not path.name.endswith("_test.rego")]
    refusals = {code for text in texts for code in re.findall(r'"([a-z]+\.[a-z-]+)"', text) if is_reason_code(code)}
    assert refusals
    assert refusals <= words.REASONS.keys()


def test_a_reason_that_a_rule_file_added_reads_as_its_own_words():
    assert words.reason_words("dlp.project-code-name") == "project code name"
    assert words.reason_words("content.self-harm") == "self harm"
    assert words.reason_words("hours.quarter-end") == "quarter end (hours)"


def test_what_we_have_no_words_for_is_shown_as_it_is():
    assert words.effect_word("sideways") == "sideways"
    assert words.action_words("made:up") == "made:up"
    assert words.reason_words("odd") == "odd"


def test_times_are_shown_in_utc_wherever_they_come_from():
    at = datetime(2026, 11, 22, 1, 30, 5, 250_000, tzinfo=timezone(timedelta(hours=3)))
    assert words.moment(at) == "21 Nov 2026, 22:30:05 UTC"
    assert words.clock_time(at) == "22:30:05"
    assert words.short_day(at) == "21 Nov 2026"
    assert words.iso(at) == "2026-11-21T22:30:05.250Z"
    assert words.day(datetime(2026, 11, 22, tzinfo=UTC)) == "Sunday 22 November 2026"


def test_large_numbers_are_grouped():
    assert words.grouped(1204311) == "1,204,311"
