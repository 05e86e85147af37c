"""The shipped rules over the vectors: what must be found is, whole; what is harmless passes."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from bench.screening_corpus import MAKERS
from gateway.screening.content.tokens import Words
from gateway.screening.facade import Screening
from gateway.screening.rules.ruleset import RuleSet
from gateway.screening.text.normalise import normalise
from gateway.screening.text.scan import Budget, OverBudget

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
    assert dlp >= set(KINDS)
    by_list = {name for name in dlp if screening._book.current.rules[f"dlp.{name}"].model_dump().get("exact_match")}
    names = {named.detector.rule_id for named in screening.rules.names["prompt"].rules}  # entities/ has their tests
    assert dlp - by_list - names - set(KINDS) <= set(MAKERS), "test_kinds.py makes the vectors of these"
    for kind in KINDS:
        vectors = yaml.safe_load((VECTORS / f"{kind}.yaml").read_text("utf-8"))
        assert len(vectors["negative"]) >= 25, kind
        assert len(vectors["positive"]) >= (3 if kind == "aws-secret-key" else 25), kind


async def test_no_harmless_prompt_is_stopped(screening: Screening) -> None:
    assert len(HARMLESS) >= 300
    stopped = {t: [f.type for f in found] for t in HARMLESS if (found := await screening.screen_prompt(t))}
    assert stopped == {}


SIZE = 60_000
HOSTILE = {
    "digits one by one": "4 " * SIZE, "digits in a row": "4" * SIZE, "at signs": "a@" * SIZE, "dots": "a." * SIZE,
    "dashes": "-" * SIZE, "key heads": "-----BEGIN PRIVATE KEY-----" * SIZE, "percent": "%41" * SIZE,
    "key head and dashes": ("-----BEGIN PRIVATE KEY-----" + "-" * 8_000) * 8, "number words": "four one " * SIZE,
    "small words between digits": "111" + " o" * (SIZE // 2) + " 111x", "base64": "QUJD" * SIZE, "hex": "41 " * SIZE,
    "phones": "+1 212 555 01" * SIZE, "phones joined": "415-867-5309 " * SIZE, "ibans": "DE89 " * SIZE,
    "entities": "&amp;" * SIZE, "escapes": "\\x41" * SIZE, "zero-width": "a\u200b" * SIZE, "strokes": "a\u0336" * SIZE,
    "letters spaced": "k " * SIZE, "letters drawn out": "k" * SIZE, "leet": "a1" * SIZE, "signs": "a!!!!!!!!" * SIZE,
    "one word": "shoot " * SIZE, "phrase heads": "open heart " * SIZE, "excused": "killer whale " * SIZE,
    "pairs": "nude child " * SIZE, "half names": "taylor michael king " * SIZE,
    "tags": "\U000e0034" * SIZE, "e-mail words": "a at b dot " * SIZE,
    "tokens": "eyJhbGciOiJIUzI1NiJ9." * SIZE, "backwards": "backwards " + "4 1 " * SIZE, "blanks": " " * SIZE,
    "expanding": "ﷺ" * (SIZE // 9),
    "quotes": "a'" * SIZE, "newlines": "QUJDREVGR0hJSktM\n" * SIZE, "cues": "card 4111 " * SIZE,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_done_with_in_time_that_only_a_linear_scan_has(name: str, shipped: RuleSet) -> None:
    """Usual text of this size takes 40 ms of CPU. A quadratic step over it would take minutes, so a bound fifty times
    the usual can't fail by a busy machine and can't pass with one."""
    text = HOSTILE[name][:SIZE]
    began = time.process_time()
    plain = normalise(text)
    with suppress(OverBudget):
        shipped.scanners["prompt"].scan(plain, Budget())
    words = Words(plain.text)
    for lexicon in shipped.lexicons["prompt"]:
        lexicon.find(plain.text, words)
    assert time.process_time() - began < 2
