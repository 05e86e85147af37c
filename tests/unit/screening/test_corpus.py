"""The shipped rules over the vectors: what must be found is, whole; what is harmless passes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from gateway.screening.content.tokens import Words
from gateway.screening.facade import Screening
from gateway.screening.rules.ruleset import RuleSet
from gateway.screening.text.normalise import normalise

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "screening"
KINDS = sorted(p.stem for p in VECTORS.glob("*.yaml") if p.stem not in ("content", "disguises"))
HARMLESS = [line for line in (VECTORS / "benign.txt").read_text("utf-8").splitlines() if not line.startswith("# ")]
DISGUISES = yaml.safe_load((VECTORS / "disguises.yaml").read_text("utf-8"))


def unmarked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The prompt without its « », and where they stood."""
    plain, spans = "", []
    for i, part in enumerate(text.replace("»", "«").split("«")):
        if i % 2:
            spans.append((len(plain), len(plain) + len(part)))
        plain += part
    return plain, spans


def cases(side: str) -> list[tuple[str, str]]:
    return [
        (kind, text) for kind in KINDS for text in yaml.safe_load((VECTORS / f"{kind}.yaml").read_text("utf-8"))[side]
    ]


@pytest.mark.parametrize(("kind", "text"), cases("positive"))
def test_the_value_is_found_where_it_stands(kind: str, text: str, shipped: RuleSet) -> None:
    plain, spans = unmarked(text)
    assert spans
    hits = shipped.scanners["prompt"].scan_text(plain)
    assert [(h.start, h.end) for h in hits if h.detector.rule_id == kind] == spans


@pytest.mark.parametrize(("kind", "text"), cases("negative"))
def test_what_only_looks_like_a_value_passes(kind: str, text: str, shipped: RuleSet) -> None:
    assert [h.detector.rule_id for h in shipped.scanners["prompt"].scan_text(text)] == []


@pytest.mark.parametrize("case", DISGUISES, ids=[f"{i}-{c['disguise']}" for i, c in enumerate(DISGUISES)])
def test_a_disguised_value_is_found(case: dict[str, str], shipped: RuleSet) -> None:
    hits = shipped.scanners["prompt"].scan_text(case["text"])
    assert [f"dlp.{h.detector.rule_id}" for h in hits] == [case["type"]]


async def test_every_shipped_kind_has_vectors_of_both_sides(screening: Screening) -> None:
    dlp = {t.removeprefix("dlp.") for t in screening._book.current.rules if t.startswith("dlp.")}
    assert dlp == set(KINDS)
    for kind in KINDS:
        vectors = yaml.safe_load((VECTORS / f"{kind}.yaml").read_text("utf-8"))
        assert len(vectors["negative"]) >= 25, kind
        assert len(vectors["positive"]) >= (3 if kind == "aws-secret-key" else 25), kind


async def test_no_harmless_prompt_is_stopped(screening: Screening) -> None:
    assert len(HARMLESS) >= 300
    stopped = {t: [f.type for f in found] for t in HARMLESS if (found := await screening.screen_prompt(t))}
    assert stopped == {}


@pytest.mark.parametrize("text", ["4 " * 50_000, "a@" * 50_000, "&amp;" * 20_000, "-" * 100_000, "four one " * 11_000])
def test_the_work_on_hostile_text_grows_with_its_length_and_not_faster(text: str, shipped: RuleSet) -> None:
    """Counted by Python's own call events, not timed: ten times the text may cost ten times the calls."""

    def calls(sample: str) -> int:
        count = 0

        def count_call(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(count_call)
        try:
            plain = normalise(sample)
            shipped.scanners["prompt"].scan_text(sample)
            words = Words(plain.text)
            for lexicon in shipped.lexicons["prompt"]:
                lexicon.find(plain.text, words)
        finally:
            sys.setprofile(None)
        return count

    small = calls(text[: len(text) // 10])
    assert calls(text) <= 11 * small + 1_000
