"""Rules over a text: budgets, overlaps, exemptions."""

from __future__ import annotations

import pytest

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.cues import Cues
from gateway.screening.text.normalise import normalise
from gateway.screening.text.scan import MAX_HITS, Budget, Detector, Hit, OverBudget, TextScanner, without_overlaps
from gateway.vocabulary import Effect, Severity


def detector(rule_id: str = "r", *patterns: str, severity: Severity = Severity.MEDIUM, effect: Effect = Effect.MASK,
             **more: object) -> Detector:  # fmt: skip
    return Detector(rule_id=rule_id, severity=severity, effect=effect, patterns=patterns or (r"\d+",), **more)  # type: ignore[arg-type]


def hit(start: int, end: int, **more: object) -> Hit:
    maskable = bool(more.pop("maskable", True))
    return Hit(detector=detector(**more), start=start, end=end, canonical="", maskable=maskable)  # type: ignore[arg-type]


def spans(hits: list[Hit]) -> list[tuple[int, int]]:
    return [(h.start, h.end) for h in hits]


def test_candidates_are_counted() -> None:
    scanner = TextScanner([detector()])
    with pytest.raises(OverBudget):
        scanner.scan(normalise("1 2 3 4"), Budget(candidates=3))
    assert len(scanner.scan(normalise("1 2 3"), Budget(candidates=3))) == 3


def test_time_is_looked_at_between_candidates() -> None:
    ticks = iter(range(100))
    scanner = TextScanner([detector()])
    with pytest.raises(OverBudget):
        scanner.scan(normalise("1 2 3 4 5 6 7 8"), Budget(3, clock=lambda: next(ticks)))


def test_more_values_than_can_be_handled_one_by_one_is_no_answer() -> None:
    scanner = TextScanner([detector("r", "kiwi")])
    assert len(scanner.scan_text("kiwi, " * MAX_HITS)) == MAX_HITS
    with pytest.raises(OverBudget):
        scanner.scan_text("kiwi, " * (MAX_HITS + 1))


def test_a_hit_within_a_weightier_one_is_dropped() -> None:
    weighty = hit(0, 10, severity=Severity.CRITICAL, effect=Effect.DENY)
    assert without_overlaps([hit(2, 5), weighty]) == [weighty]


def test_a_hit_that_reaches_beyond_a_weightier_one_stays() -> None:
    assert spans(without_overlaps([hit(5, 15), hit(0, 10, severity=Severity.CRITICAL)])) == [(0, 10), (5, 15)]


def test_a_rule_in_monitor_mode_never_hides_an_enforced_one() -> None:
    monitored = hit(0, 10, severity=Severity.CRITICAL, effect=Effect.DENY, is_enforced=False)
    enforced = hit(0, 10, severity=Severity.LOW, effect=Effect.MASK)
    assert without_overlaps([monitored, enforced]) == [enforced]


def test_the_stricter_effect_wins_a_place() -> None:
    strict = hit(0, 10, effect=Effect.DENY, severity=Severity.LOW)
    assert without_overlaps([hit(0, 10, effect=Effect.MASK, severity=Severity.CRITICAL), strict]) == [strict]


def test_a_hidden_value_that_points_at_the_whole_text_is_not_hidden_by_an_open_one() -> None:
    opened, hidden = hit(3, 8), hit(0, 20, maskable=False)
    assert hidden in without_overlaps([opened, hidden])


def test_exempt_values_pass_however_written() -> None:
    scanner = TextScanner([detector("r", r"[\d-]+", exempt=frozenset({"5550123"}))])
    assert scanner.scan_text("555-0123") == []
    assert spans(scanner.scan_text("555-0124")) == [(0, 8)]


def test_each_validator_narrows_what_the_one_before_took() -> None:
    def first_half(c: Candidate) -> list[Accepted]:
        return [Accepted(c.start, (c.start + c.end) // 2, "x")]

    scanner = TextScanner([detector("r", r"\d{8}", validators=(first_half, first_half))])
    assert spans(scanner.scan_text("12345678")) == [(0, 2)]


def test_a_required_cue_is_required() -> None:
    scanner = TextScanner([detector("r", r"\d+", cues=Cues(("card",), (), 20), cue_required=True)])
    assert scanner.scan_text("12345") == []
    assert spans(scanner.scan_text("card 12345")) == [(5, 10)]


def test_a_word_against_a_value_drops_it_unless_the_validator_weighs_it_itself() -> None:
    cues = Cues((), ("order",), 20)
    assert TextScanner([detector("r", r"\d+", cues=cues)]).scan_text("order 12345") == []
    itself = detector("r", r"\d+", cues=cues, validators_look_around=True)
    assert spans(TextScanner([itself]).scan_text("order 12345")) == [(6, 11)]


def test_what_a_view_repeats_is_told_once() -> None:
    scanner = TextScanner([detector("r", "[a-z]+@[a-z.]+")])
    hits = scanner.scan_text("jane@corp.com and jo&#64;corp.com")
    assert [(h.start, h.end, h.maskable) for h in hits] == [(0, 13, True), (18, 33, False)]


def test_reprs_show_no_value() -> None:
    assert "4711" not in repr(TextScanner([detector()]).scan_text("4711"))


def test_many_values_of_a_rule_are_proposed_for_review_and_few_are_not() -> None:
    scanner = TextScanner([detector("r", r"\d+", review_from=3), detector("s", r"[A-Z]+")])
    assert [h.detector.effect for h in scanner.scan_text("1 2 A")] == [Effect.MASK] * 3
    assert [h.detector.effect for h in scanner.scan_text("1 1 1 2")] == [Effect.MASK] * 4
    assert [h.detector.effect for h in scanner.scan_text("1 2 3 A")] == [Effect.REVIEW] * 3 + [Effect.MASK]


def test_review_is_never_proposed_by_a_rule_in_monitor_mode_or_instead_of_a_denial() -> None:
    watched = detector("r", effect=Effect.ALLOW, review_from=2, is_enforced=False)
    assert [h.detector.effect for h in TextScanner([watched]).scan_text("1 2")] == [Effect.ALLOW] * 2
    strict = detector("r", effect=Effect.DENY, review_from=2)
    assert [h.detector.effect for h in TextScanner([strict]).scan_text("1 2")] == [Effect.DENY] * 2
