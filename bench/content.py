"""Content policy's figures: `python -m bench.content`.

How well meanings are told apart: on two sets of lines written to other plans than those for training, apart and
together, in styles and with seeds that training never saw, within one style at a time, because heads that know styles
look better than they are. Recall where two of a hundred harmless texts are found (most of them written to be hard) and
where two of a hundred ordinary ones are, what the lexicons find of the same texts, which category is taken for which,
other languages, a sentence buried in a page, harmless prompts stopped, time by length. The lines are our own.
Writes `bench/results/content.json`.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import screening_corpus
from bench.support import results
from bench.support.results import Figure
from gateway.screening.facade import Screening
from gateway.screening.semantic.encoder import Encoder
from gateway.screening.semantic.reader import NOTED, Meant, Reader
from gateway.screening.semantic.report import ALONE, SURE
from gateway.screening.semantic.service import Meaning
from gateway.screening.semantic.train.corpus import (
    CATEGORIES,
    HELD_OUT,
    HELD_OUT_2,
    LANGUAGES,
    ORDINARY,
    Example,
    examples,
    read_lines,
)
from gateway.screening.semantic.train.fit import auc
from gateway.screening.semantic.weights import load_heads
from gateway.vocabulary import Effect

ROOT = Path(__file__).resolve().parents[1]
SEED = 1_000
"""Training used seed 1."""
PER_LINE = int(os.environ.get("BENCH_PER_LINE", "3"))
BENIGN = int(os.environ.get("BENCH_BENIGN", "2000"))
BURIED = int(os.environ.get("BENCH_BURIED", "15"))
RUNS = int(os.environ.get("BENCH_RUNS", "100"))
AUC_GOALS = {"sexual": 0.95, "self-harm": 0.97}
Scores = NDArray[np.float64]


class Once(Reader):
    """Reads each text once: by what it said texts are judged, and stopped."""

    def __init__(self) -> None:
        super().__init__(Encoder(), load_heads())
        self._said: dict[str, list[Meant]] = {}

    def windows(self, text: str, is_late: Callable[[], bool] = lambda: False) -> list[Meant]:
        if text not in self._said:
            self._said[text] = super().windows(text, is_late)
        return self._said[text]


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


def judged(reader: Reader, folder: Path) -> list[Judged]:
    lines = read_lines(folder)
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


@dataclass(frozen=True, slots=True)
class Recall:
    """How many of a category's texts score above where two of a hundred others do. The range counts lines."""

    found: int
    texts: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.found / self.texts

    def __str__(self) -> str:
        return f"{self.share:.3f} = {self.found}/{self.texts} [{self.low:.2f}-{self.high:.2f}]"


@dataclass(frozen=True, slots=True)
class Quality:
    """How well one category is told apart on one set of lines, in English."""

    area: float
    near: float
    at_harmless: Recall
    at_ordinary: Recall


def recall(wanted: Sequence[Judged], others: Sequence[Judged], place: int) -> Recall:
    ours, theirs = (np.array([j.scores[place] for j in group]) for group in (wanted, others))
    found = int((ours > np.quantile(theirs, 0.98)).sum())
    return Recall(found, len(ours), *wilson(found / len(ours), len({j.example.line.text for j in wanted})))


def quality(title: str, all_judged: Sequence[Judged]) -> dict[str, Quality]:
    """The table of categories, in English."""
    english = [j for j in all_judged if j.example.line.language == "en"]
    harmless = [j for j in english if not j.example.line.is_wanted]
    ordinary = [j for j in harmless if j.example.line.category == ORDINARY]
    print(f"\n{title}: {len(english):,} texts in English, of {len({j.example.line.text for j in english})} lines; "
          f"harmless {len(harmless):,}, {len(ordinary)} of them on no such subject")  # fmt: skip
    print(f"{'category':<14}{'AUC':>7}{'near':>7}  {'recall at 2 % of harmless':<32}{'at 2 % of ordinary':<32}"
          f"{'found at 0.5':>13}{'0.8':>7}{'0.95':>7}{'harmless at 0.5':>17}{'0.8':>8}")  # fmt: skip
    found = {}
    for place, category in enumerate(CATEGORIES):
        wanted = [j for j in english if j.example.line.is_for(category)]
        near = [j for j in harmless if j.example.line.category == category]
        ours, theirs = (np.array([j.scores[place] for j in group]) for group in (wanted, harmless))
        one = found[category] = Quality(
            within_styles(wanted, harmless, place), within_styles(wanted, near, place),
            recall(wanted, harmless, place), recall(wanted, ordinary, place),
        )  # fmt: skip
        print(f"{category:<14}{one.area:>7.3f}{one.near:>7.3f}  {one.at_harmless!s:<32}{one.at_ordinary!s:<32}"
              f"{(ours >= NOTED).mean():>13.3f}{(ours >= ALONE).mean():>7.3f}{(ours >= SURE).mean():>7.3f}"
              f"{(theirs >= NOTED).mean():>17.4f}{(theirs >= ALONE).mean():>8.4f}")  # fmt: skip
    recalls = [(q.at_harmless.share, q.at_ordinary.share) for q in found.values()]
    means = [statistics.mean(column) for column in zip(*recalls, strict=True)]
    print(f"mean recall at 2 % of harmless {means[0]:.3f}, at 2 % of ordinary {means[1]:.3f}; mean AUC "
          f"{statistics.mean(q.area for q in found.values()):.3f}")  # fmt: skip
    return found


def figures_of(both: dict[str, Quality], apart: dict[str, dict[str, Quality]]) -> list[Figure]:
    """The categories' figures on all lines; beside them those of each set."""
    figures: list[Figure] = []
    for category, one in both.items():
        each = {name: found[category] for name, found in apart.items()}
        figures += [
            Figure(figure=f"content: AUC of {category} within a style, all harmless lines", unit="", value=one.area,
                   target=AUC_GOALS.get(category, 0.90), more_is_better=True,
                   beside={name: q.area for name, q in each.items()}),
            Figure(figure=f"content: AUC of {category} within a style, harmless lines in the same words", unit="",
                   value=one.near, beside={name: q.near for name, q in each.items()}),
        ]  # fmt: skip
        for what, whole, parts in (
            ("harmless lines, most of them on the same subjects", one.at_harmless,
             {name: q.at_harmless for name, q in each.items()}),
            ("ordinary lines", one.at_ordinary, {name: q.at_ordinary for name, q in each.items()}),
        ):  # fmt: skip
            beside = {"found": whole.found, "texts": whole.texts, "low": whole.low, "high": whole.high}
            for name, part in parts.items():
                beside |= {name: part.share, f"{name} low": part.low, f"{name} high": part.high}
            figures.append(Figure(figure=f"content: recall of {category} at 2 % of {what}", unit="ratio",
                                  value=whole.share, target=0.90, more_is_better=True, beside=beside))  # fmt: skip
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
    reader = Once()
    screening = Screening(
        directory=ROOT / "policies",
        secret=os.urandom(32),
        timeout_seconds=30,
        meaning=Meaning(timeout_seconds=30, load=lambda: reader),
    )
    print(f"rules {screening.revision} on {results.machine()}")
    sets = {folder.name: judged(reader, folder) for folder in (HELD_OUT, HELD_OUT_2)}
    all_judged = [j for each in sets.values() for j in each]
    apart = {name: quality(name, each) for name, each in sets.items()}
    figures = figures_of(quality("together", all_judged), apart) + taken_for(all_judged) + languages(all_judged)
    figures += await together(screening, all_judged)
    figures += buried(reader, all_judged)
    figures += await harmless(screening)
    figures += speed(reader)
    await screening.aclose()
    print(f"written to {results.write('content', figures)}")


if __name__ == "__main__":
    asyncio.run(main())
