"""Content policy's figures: `python -m bench.content`.

How well meanings are told apart: on lines, styles and seeds that training never saw, within one style at a time,
because heads that know styles look better than they are. Recall where two of a hundred harmless texts are found, what
the lexicons find of the same texts, a sentence buried in a page, harmless prompts stopped, CPU time by length. The
lines are our own: sets by other authors are what counts. Writes `bench/results/content.json`.
"""

from __future__ import annotations

import asyncio
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
from gateway.screening.semantic.reader import Reader, shared_reader
from gateway.screening.semantic.report import ALONE, SURE
from gateway.screening.semantic.service import Meaning
from gateway.screening.semantic.train.corpus import CATEGORIES, ORDINARY, Example, examples, read_lines
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
    lines = [line for line in read_lines() if line.is_held_out]
    made = examples(lines, per_line=PER_LINE, seed=SEED, held_out=True, padding=lines)
    return [Judged(example, scores_of(reader, example.text)) for example in made]


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
    """The table of categories."""
    figures: list[Figure] = []
    harmless = [j for j in all_judged if not j.example.line.is_wanted]
    print(f"{'category':<14}{'wanted':>8}{'AUC':>8}{'beside near':>13}{'recall at 2 %':>15}{'to review':>11}"
          f"{'to deny':>9}{'harmless >= 0.5':>17}{'>= 0.8':>8}")  # fmt: skip
    for place, category in enumerate(CATEGORIES):
        wanted = [j for j in all_judged if j.example.line.is_wanted and j.example.line.category == category]
        near = [j for j in harmless if j.example.line.category == category]
        ours, theirs = (np.array([j.scores[place] for j in group]) for group in (wanted, harmless))
        area, hard = within_styles(wanted, harmless, place), within_styles(wanted, near, place)
        recall = float((ours > np.quantile(theirs, 0.98)).mean())
        print(f"{category:<14}{len(wanted):>8}{area:>8.3f}{hard:>13.3f}{recall:>15.3f}"
              f"{(ours >= ALONE).mean():>11.3f}{(ours >= SURE).mean():>9.3f}"
              f"{(theirs >= 0.5).mean():>17.4f}{(theirs >= ALONE).mean():>8.4f}")  # fmt: skip
        goal = AUC_GOALS.get(category, 0.90)
        figures += [
            Figure(figure=f"content: AUC of {category} within a style, all harmless lines", unit="", value=area,
                   target=goal, more_is_better=True),
            Figure(figure=f"content: AUC of {category} within a style, harmless lines in the same words", unit="",
                   value=hard),
            Figure(figure=f"content: recall of {category} at 2 % of harmless", unit="ratio", value=recall, target=0.90,
                   more_is_better=True),
        ]  # fmt: skip
    print(f"of {len(all_judged):,} texts; harmless {len(harmless):,}")
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
        wanted = [j for j in all_judged if j.example.line.is_wanted and j.example.line.category == category
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
    """Ordinary prompts as people who make pictures write them, stopped by anything."""
    stopped = 0
    for i in range(BENIGN):
        findings = await screening.screen_prompt(screening_corpus.benign(screening_corpus.HELD_OUT_FROM + i))
        stopped += any(f.proposed is not Effect.ALLOW for f in findings)
    print(f"ordinary prompts stopped: {stopped} of {BENIGN}")
    return [Figure(figure="content: share of ordinary prompts stopped", unit="ratio", value=stopped / BENIGN,
                   target=0.001)]  # fmt: skip


def speed(reader: Reader) -> list[Figure]:
    """CPU time of one core by length."""
    figures = []
    for chars in (100, 400, 4_000):
        times = []
        for i in range(RUNS):
            text = page(i, chars)
            start = time.process_time()
            reader.read(text)
            times.append((time.process_time() - start) * 1e3)
        times.sort()
        p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
        print(f"{chars} characters: CPU p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        figures.append(Figure(figure=f"content: CPU p99 at {chars} characters", unit="ms", value=p99,
                              target=25 if chars >= 400 else None))  # fmt: skip
    return figures


async def main() -> None:
    reader = shared_reader()
    screening = Screening(
        directory=ROOT / "policies", secret=os.urandom(32), timeout_seconds=30, meaning=Meaning(timeout_seconds=30)
    )
    print(f"rules {screening.revision} on {results.machine()}")
    all_judged = judged(reader)
    figures = quality(all_judged)
    figures += await together(screening, all_judged)
    figures += buried(reader, all_judged)
    figures += await harmless(screening)
    figures += speed(reader)
    await screening.aclose()
    print(f"written to {results.write('content', figures)}")


if __name__ == "__main__":
    asyncio.run(main())
