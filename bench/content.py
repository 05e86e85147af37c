"""Content policy's figures: `python -m bench.content`.

How well meanings are told apart: on lines written to another plan than those for training, in styles and with seeds
that training never saw, within one style at a time, because heads that know styles look better than they are. Recall
where two of a hundred harmless texts are found, what the lexicons find of the same texts, which category is taken for
which, other languages, a sentence buried in a page, harmless prompts stopped, time by length. The lines are our own:
sets by other authors are what counts. Writes `bench/results/content.json`.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import screening_corpus
from bench.support import results
from bench.support.results import Figure
from gateway.screening.facade import Screening
from gateway.screening.semantic.reader import NOTED, Reader, shared_reader
from gateway.screening.semantic.report import ALONE, SURE
from gateway.screening.semantic.service import Meaning
from gateway.screening.semantic.train.corpus import (
    CATEGORIES,
    HELD_OUT,
    LANGUAGES,
    ORDINARY,
    Example,
    examples,
    read_lines,
)
from gateway.screening.semantic.train.fit import auc
from gateway.vocabulary import Effect

ROOT = Path(__file__).resolve().parents[1]
SEED = 1_000
"""Training used seed 1."""
PER_LINE = int(os.environ.get("BENCH_PER_LINE", "6"))
BENIGN = int(os.environ.get("BENCH_BENIGN", "2000"))
BURIED = int(os.environ.get("BENCH_BURIED", "15"))
RUNS = int(os.environ.get("BENCH_RUNS", "100"))
AUC_GOALS = {"sexual": 0.95, "self-harm": 0.97}
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A text and the highest score of each category over its windows."""

    example: Example
    scores: Scores


def scores_of(reader: Reader, text: str) -> Scores:
    best = np.zeros(len(CATEGORIES))
    for meant in reader.windows(text):
        place = CATEGORIES.index(meant.category)
        best[place] = max(best[place], meant.score)
    return best


def judged(reader: Reader) -> list[Judged]:
    lines = read_lines(HELD_OUT)
    made = examples(lines, per_line=PER_LINE, seed=SEED, held_out=True, padding=lines)
    return [Judged(example, scores_of(reader, example.text)) for example in made]


def wilson(share: float, of: int) -> tuple[float, float]:
    """Where the share may lie, 95 % (Wilson 1927). `of`: things that are independent, so lines and not their texts."""
    z = 1.96
    middle, half = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def within_styles(wanted: Sequence[Judged], harmless: Sequence[Judged], place: int) -> float:
    """The mean over the styles of the AUC within one."""
    found = []
    for style in sorted({j.example.style for j in wanted}):
        ours = np.array([j.scores[place] for j in wanted if j.example.style == style])
        theirs = np.array([j.scores[place] for j in harmless if j.example.style == style])
        if len(ours) and len(theirs):
            found.append(auc(ours, theirs))
    return statistics.mean(found)


def quality(all_judged: Sequence[Judged]) -> list[Figure]:
    """The table of categories, in English."""
    figures: list[Figure] = []
    english = [j for j in all_judged if j.example.line.language == "en"]
    harmless = [j for j in english if not j.example.line.is_wanted]
    print(f"{'category':<14}{'AUC':>7}{'near':>7}  {'recall at 2 % of harmless':<34}{'found at 0.5':>13}{'0.8':>7}"
          f"{'0.95':>7}{'harmless at 0.5':>17}{'0.8':>8}")  # fmt: skip
    for place, category in enumerate(CATEGORIES):
        wanted = [j for j in english if j.example.line.is_for(category)]
        near = [j for j in harmless if j.example.line.category == category]
        ours, theirs = (np.array([j.scores[place] for j in group]) for group in (wanted, harmless))
        area, hard = within_styles(wanted, harmless, place), within_styles(wanted, near, place)
        found = int((ours > np.quantile(theirs, 0.98)).sum())
        recall = found / len(ours)
        low, high = wilson(recall, len({j.example.line.text for j in wanted}))
        told = f"{recall:.3f} = {found}/{len(ours)} [{low:.2f}-{high:.2f}]"
        print(f"{category:<14}{area:>7.3f}{hard:>7.3f}  {told:<34}{(ours >= NOTED).mean():>13.3f}"
              f"{(ours >= ALONE).mean():>7.3f}{(ours >= SURE).mean():>7.3f}"
              f"{(theirs >= NOTED).mean():>17.4f}{(theirs >= ALONE).mean():>8.4f}")  # fmt: skip
        goal = AUC_GOALS.get(category, 0.90)
        figures += [
            Figure(figure=f"content: AUC of {category} within a style, all harmless lines", unit="", value=area,
                   target=goal, more_is_better=True),
            Figure(figure=f"content: AUC of {category} within a style, harmless lines in the same words", unit="",
                   value=hard),
            Figure(figure=f"content: recall of {category} at 2 % of harmless", unit="ratio", value=recall, target=0.90,
                   more_is_better=True, beside={"found": found, "texts": len(ours), "low": low, "high": high}),
        ]  # fmt: skip
    print(f"of {len(english):,} texts in English; harmless {len(harmless):,}")
    return figures


def taken_for(all_judged: Sequence[Judged]) -> list[Figure]:
    """How often a text of the one subject scores higher for another that it isn't about."""
    figures = []
    for ours, other in (("violence", "self-harm"), ("self-harm", "violence")):
        texts = [j for j in all_judged if j.example.line.is_for(ours) and not j.example.line.is_for(other)]
        mixed = [j for j in texts if j.scores[CATEGORIES.index(other)] > max(NOTED, j.scores[CATEGORIES.index(ours)])]
        print(f"{ours} taken for {other}: {len(mixed)} of {len(texts)}")
        figures.append(Figure(figure=f"content: {ours} taken for {other}", unit="ratio", value=len(mixed) / len(texts)))
    return figures


def languages(all_judged: Sequence[Judged]) -> list[Figure]:
    """The encoder learnt English; what is left in other languages, all categories together."""
    figures = []
    for language in LANGUAGES:
        ours = [j for j in all_judged if j.example.line.language == language]
        harmless = [j for j in ours if not j.example.line.is_wanted]
        areas, found, of = [], 0, 0
        for place, category in enumerate(CATEGORIES):
            wanted = np.array([j.scores[place] for j in ours if j.example.line.is_for(category)])
            theirs = np.array([j.scores[place] for j in harmless])
            areas.append(auc(wanted, theirs))
            found, of = found + int((wanted >= NOTED).sum()), of + len(wanted)
        false = statistics.mean(bool((j.scores >= NOTED).any()) for j in harmless)
        print(f"{language}: mean AUC {statistics.mean(areas):.3f}, {found} of {of} at 0.5; "
              f"harmless at 0.5 in any category {false:.3f}")  # fmt: skip
        figures.append(Figure(figure=f"content: mean AUC in {language}", unit="", value=statistics.mean(areas)))
    return figures


async def together(screening: Screening, all_judged: Sequence[Judged]) -> list[Figure]:
    """What lexicons and head stop of the wanted lines, and of the harmless ones in the same words."""
    shares: dict[str, list[tuple[bool, bool]]] = {}
    for j in all_judged:
        line = j.example.line
        kind = line.category if line.is_wanted else "ordinary" if line.category == ORDINARY else "near"
        findings = [f for f in await screening.screen_prompt(j.example.text) if f.proposed is not Effect.ALLOW]
        by_word = any(not f.detector.startswith("semantic@") for f in findings)
        shares.setdefault(kind, []).append((by_word, bool(findings)))
    for kind, seen in shares.items():
        words, both = (statistics.mean(column) for column in zip(*seen, strict=True))
        print(f"stopped of {kind:<14} by words {words:.3f}, by words or meaning {both:.3f} (of {len(seen)})")
    return [
        Figure(figure="content: harmless lines on the same subjects stopped", unit="ratio",
               value=statistics.mean(both for _, both in shares["near"])),
        Figure(figure="content: wanted lines stopped by words or meaning", unit="ratio", value=statistics.mean(
            both for kind in CATEGORIES for _, both in shares[kind])),
    ]  # fmt: skip


def page(seed: int, chars: int) -> str:
    return ". ".join(screening_corpus.benign(seed * 100 + i) for i in range(1 + chars // 50))[:chars]


def buried(reader: Reader, all_judged: Sequence[Judged]) -> list[Figure]:
    """A wanted text amid 4,000 harmless characters: how often it comes to a review when it does so alone."""
    alone, found = 0, 0
    for place, category in enumerate(CATEGORIES):
        wanted = [j for j in all_judged if j.example.line.is_for(category) and j.example.line.language == "en"
                  and j.scores[place] >= ALONE]  # fmt: skip
        for i, j in enumerate(wanted[:: max(1, len(wanted) // BURIED)][:BURIED]):
            around = page(SEED + i, 4_000)
            alone += 1
            score = scores_of(reader, f"{around[:2_000]}. {j.example.text}. {around[2_000:]}")[place]
            found += bool(score >= ALONE)
    share = float(found / max(1, alone))
    print(f"buried in 4,000 characters: {found} of {alone} that come to a review alone")
    return [Figure(figure="content: found again when buried in 4,000 characters", unit="ratio", value=share, target=0.9,
                   more_is_better=True)]  # fmt: skip


async def harmless(screening: Screening) -> list[Figure]:
    """Ordinary prompts as people who make pictures write them, stopped by anything: refused, or held for a person."""
    effects: list[set[Effect]] = []
    by_meaning = 0
    for i in range(BENIGN):
        findings = await screening.screen_prompt(screening_corpus.benign(screening_corpus.HELD_OUT_FROM + i))
        effects.append({f.proposed for f in findings} - {Effect.ALLOW})
        by_meaning += any(f.detector.startswith("semantic@") and f.proposed is not Effect.ALLOW for f in findings)
    stopped, refused = sum(map(bool, effects)), sum(Effect.DENY in e for e in effects)
    print(f"ordinary prompts stopped: {stopped} of {BENIGN}, {refused} of them refused; {by_meaning} by meaning")
    return [
        Figure(figure="content: share of ordinary prompts stopped", unit="ratio", value=stopped / BENIGN, target=0.001,
               beside={"refused": refused / BENIGN, "by meaning": by_meaning / BENIGN}),
    ]  # fmt: skip


def speed(reader: Reader) -> list[Figure]:
    """Time of one core by length, of texts that were not read before; wall time beside it."""
    figures = []
    for chars in (100, 400, 4_000):
        times, walls = [], []
        for i in range(RUNS):
            text = page(i, chars)
            start, wall = time.process_time(), time.perf_counter()
            reader.read(text)
            times.append((time.process_time() - start) * 1e3)
            walls.append((time.perf_counter() - wall) * 1e3)
        (p50, p99), (wall50, wall99) = ((statistics.median(t), sorted(t)[int(len(t) * 0.99)]) for t in (times, walls))
        print(f"{chars} characters: CPU p50 {p50:.1f} ms, p99 {p99:.1f} ms; wall p50 {wall50:.1f} ms, "
              f"p99 {wall99:.1f} ms")  # fmt: skip
        figures.append(Figure(figure=f"content: CPU p99 at {chars} characters", unit="ms", value=p99,
                              target=25 if chars >= 400 else None,
                              beside={"CPU p50": p50, "wall p50": wall50, "wall p99": wall99}))  # fmt: skip
    return figures


async def main() -> None:
    reader = shared_reader()
    screening = Screening(
        directory=ROOT / "policies", secret=os.urandom(32), timeout_seconds=30, meaning=Meaning(timeout_seconds=30)
    )
    print(f"rules {screening.revision} on {results.machine()}")
    all_judged = judged(reader)
    figures = quality(all_judged) + taken_for(all_judged) + languages(all_judged)
    figures += await together(screening, all_judged)
    figures += buried(reader, all_judged)
    figures += await harmless(screening)
    figures += speed(reader)
    await screening.aclose()
    print(f"written to {results.write('content', figures)}")


if __name__ == "__main__":
    asyncio.run(main())
