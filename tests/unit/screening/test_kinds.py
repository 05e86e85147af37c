"""Every kind of value that ships: found where it stands, told from what only looks like it, no check without a use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import screening_corpus as corpus
from gateway.screening.rules.ruleset import RuleSet
from gateway.screening.rules.schema import DlpRule
from gateway.screening.text.candidate import Candidate
from gateway.screening.text.scan import Detector, TextScanner
from gateway.screening.text.validators import VALIDATORS

POLICIES = Path(__file__).resolve().parents[3] / "policies"
RULES = {p.stem: yaml.safe_load(p.read_text("utf-8")) for p in sorted((POLICIES / "dlp").glob("*.yaml"))}
LISTED = {kind for kind, rule in RULES.items() if "exact_match" in rule}
NAMED = {kind for kind, rule in RULES.items() if any("entity" in p for p in rule.get("detect", {}).get("any", ()))}
"""Names: `entities/` has their tests."""
SEEDS = range(25)
TOLD_BY_LETTERS_ALONE = {"confidentiality-marking", "contract-text", "source-code", "internal-hostname", "health-data"}
"""Kinds in which some other kind may well stand: code holds hosts, contracts hold markings."""


def detector(rules: RuleSet, kind: str) -> Detector:
    return next(d for d in rules.scanners["prompt"].detectors if d.rule_id == kind)


def faults(one: Detector, tests: Mapping[str, list[str]]) -> int:
    """How many of a rule's own tests go wrong with it."""
    scanner = TextScanner([one])
    missed = sum(not scanner.scan_text(text) for text in tests["match"])
    return missed + sum(bool(scanner.scan_text(text)) for text in tests["no_match"])


@pytest.mark.parametrize("kind", sorted(corpus.MAKERS))
def test_a_made_value_is_found_where_it_stands(kind: str, shipped: RuleSet) -> None:
    scanner = TextScanner([detector(shipped, kind)])
    missed = []
    for seed in SEEDS:
        sample = corpus.positive(kind, seed)
        _, start, end = sample.values[0]
        hits = scanner.scan_text(sample.text)
        if not any(hit.start < end and start < hit.end for hit in hits):
            missed.append(sample.text)
    assert missed == []


@pytest.mark.parametrize("kind", sorted(set(corpus.MAKERS) - TOLD_BY_LETTERS_ALONE))
def test_a_made_value_is_taken_for_nothing_else_that_stops_more(kind: str, shipped: RuleSet) -> None:
    """A value may also look like another kind; in twenty-five, at most two are reported as that alone."""
    others = 0
    for seed in SEEDS:
        sample = corpus.positive(kind, seed)
        hits = shipped.scanners["prompt"].scan_text(sample.text)
        others += kind not in {hit.detector.rule_id for hit in hits}
    assert others <= 2


@pytest.mark.parametrize("seed", range(400))
def test_what_only_looks_like_a_value_is_none_of_any_kind(seed: int, shipped: RuleSet) -> None:
    text = corpus.near_miss(seed).text
    assert [hit.detector.rule_id for hit in shipped.scanners["prompt"].scan_text(text)] == []


def test_every_shipped_kind_can_be_made() -> None:
    made_by_hand = {"aws-secret-key"}
    assert set(RULES) - LISTED - NAMED - made_by_hand - set(corpus.MAKERS) == set()


@pytest.mark.parametrize("kind", sorted(set(RULES) - LISTED - NAMED))
def test_each_part_of_a_rule_is_needed_by_a_test_of_its_own(kind: str, shipped: RuleSet) -> None:
    """Validators, cues, the count: with one of them taken away, a test in the rule's file goes wrong."""
    one, tests = detector(shipped, kind), RULES[kind]["tests"]
    assert faults(one, tests) == 0
    if one.validators and kind not in {"private-key"}:
        assert faults(replace(one, validators=()), tests) > 0, "validate"
    if one.cue_required or one.cued:
        assert faults(replace(one, cue_required=False, cued=frozenset()), tests) > 0, "cues that are required"
    if one.min_count > 1:
        assert faults(replace(one, min_count=1), tests) > 0, "min_count"
    if one.exempt:
        assert faults(replace(one, exempt=frozenset()), tests) > 0, "exceptions"


@pytest.mark.parametrize("kind", sorted(RULES))
def test_each_rule_says_what_to_do_instead(kind: str) -> None:
    """The message coaches; where the rule masks, it names the value that it masks with."""
    rule = DlpRule.model_validate(RULES[kind])
    assert any(
        word in rule.message
        for word in ("instead", "leave it out", "Leave", "Take", "ask for", "write", "Change", "To ")
    )
    if rule.action.default == "mask" and len(rule.action.replacement) > 8 and kind != "password-assignment":
        assert rule.action.replacement in " ".join(rule.message.split())


@pytest.mark.parametrize("name", sorted(VALIDATORS))
@settings(deadline=None)  # the first number of a country loads its register
@given(text=st.text(alphabet="0123456789ABCXYZabcxyz.-/ :@=<ñ°_$&", min_size=1, max_size=40))
def test_no_text_upsets_a_validator(name: str, text: str) -> None:
    for accepted in VALIDATORS[name](Candidate(text, 0, len(text))):
        assert 0 <= accepted.start < accepted.end <= len(text)


@pytest.mark.parametrize("kind", sorted(RULES))
def test_what_is_put_in_a_value_s_place_would_be_drawn_and_belongs_to_nobody(kind: str, shipped: RuleSet) -> None:
    """A kind is masked with something that looks real and that no rule finds, or it is stopped."""
    action = RULES[kind]["action"]
    if action["default"] != "mask":
        assert action["default"] in ("block", "review")
        return
    replacement = action["replacement"]
    assert not set(replacement) & set("[]<>{}*_#"), "a placeholder gets drawn"
    assert "REDACTED" not in replacement.upper()
    for text in (
        replacement,
        f"a poster that says {replacement} in red",
        f"my {kind.replace('-', ' ')}: {replacement}",
    ):
        assert [hit.detector.rule_id for hit in shipped.scanners["prompt"].scan_text(text)] == []


def test_masks_are_of_what_is_reserved_for_it() -> None:
    """RFC 2606, RFC 5737, and the telephone numbers of no subscriber (555-01xx)."""
    masks = {kind: RULES[kind]["action"].get("replacement", "") for kind in RULES}
    assert masks["email-address"].endswith("@example.com")
    assert masks["internal-hostname"].endswith(".example.com")
    assert masks["ip-address"].startswith("192.0.2.")
    assert "555-01" in masks["phone-number"]
