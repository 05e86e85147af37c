"""Screening's figures: `python -m bench.screening`.

Precision, recall and F1 a kind of value on generated held-out seeds, recall a disguise, harmless prompts stopped, CPU
time by length, and the cost a byte of hostile texts. Writes `bench/results/screening.json`. No peer is run yet.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench import screening_corpus as corpus
from bench.screening_corpus import MAKERS
from bench.support import results
from bench.support.results import Figure
from gateway.exchange import Finding
from gateway.screening.facade import Screening

ROOT = Path(__file__).resolve().parents[1]
PER_KIND = 300
MISSES = 1_500
BENIGN = 3_000
PER_DISGUISE = 60
RUNS = 400


def _overlaps(finding: Finding, value: tuple[str, int, int]) -> bool:
    return finding.type == value[0] and finding.start < value[2] and value[1] < finding.end


async def quality(screening: Screening) -> list[Figure]:
    """Precision and recall by kind: a finding is right when it has the type of the value that it overlaps."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    seeds = range(corpus.HELD_OUT_FROM, corpus.HELD_OUT_FROM + PER_KIND)
    samples = [corpus.positive(kind, seed) for kind in MAKERS for seed in seeds]
    samples += [corpus.near_miss(corpus.HELD_OUT_FROM + i) for i in range(MISSES)]
    for sample in samples:
        findings = [f for f in await screening.screen_prompt(sample.text) if f.type.startswith("dlp.")]
        for value in sample.values:
            if any(_overlaps(f, value) for f in findings):
                right[value[0]] += 1
            else:
                missed[value[0]] += 1
        wrong.update(f.type for f in findings if not any(_overlaps(f, v) for v in sample.values))
    figures: list[Figure] = []
    print(f"{'kind':<22}{'precision':>10}{'recall':>10}{'F1':>10}   of {PER_KIND} values and {MISSES} near misses")
    for kind in (*MAKERS, "all"):
        types = list(right | missed | wrong) if kind == "all" else [f"dlp.{kind}"]
        hit, bad, gone = (sum(c[t] for t in types) for c in (right, wrong, missed))
        precision, recall = hit / max(1, hit + bad), hit / max(1, hit + gone)
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        goal = {"all": 0.97, "phone-number": 0.90}.get(kind, 0.95)
        print(f"{kind:<22}{precision:>10.3f}{recall:>10.3f}{f1:>10.3f}")
        figures.append(
            Figure(figure=f"text: {kind}, 1 - F1 on our held-out seeds", unit="ratio", value=1 - f1, target=1 - goal)
        )
    return figures


async def disguises(screening: Screening) -> list[Figure]:
    """Recall of a card number by disguise."""
    found: Counter[str] = Counter()
    for name in corpus.DISGUISES:
        for i in range(PER_DISGUISE):
            sample = corpus.disguised(name, corpus.HELD_OUT_FROM + i)
            findings = await screening.screen_prompt(sample.text)
            found[name] += any(f.type == sample.values[0][0] for f in findings)
        print(f"disguise {name:<24}{found[name] / PER_DISGUISE:>8.3f}")
    recall = sum(found.values()) / (PER_DISGUISE * len(corpus.DISGUISES))
    return [Figure(figure="text: share of our own disguises missed", unit="ratio", value=1 - recall, target=0.15)]


async def harmless(screening: Screening) -> list[Figure]:
    """The share of harmless prompts in which anything at all is found."""
    stopped = 0
    for i in range(BENIGN):
        stopped += bool(await screening.screen_prompt(corpus.benign(corpus.HELD_OUT_FROM + i)))
    print(f"harmless prompts with a finding: {stopped} of {BENIGN}")
    share = stopped / BENIGN
    return [Figure(figure="text: share of harmless prompts stopped", unit="ratio", value=share, target=0.001)]


async def _cpu_ms(screening: Screening, texts: Sequence[str]) -> list[float]:
    times = []
    for text in texts:
        start = time.process_time()
        await screening.screen_prompt(text)
        times.append((time.process_time() - start) * 1_000)
    return sorted(times)


async def speed(screening: Screening) -> list[Figure]:
    """CPU time a prompt by length, and a byte of hostile texts against the mean."""
    figures: list[Figure] = []
    for chars, goal in ((400, 1.0), (4_000, 5.0)):
        texts = []
        for i in range(RUNS):
            text = ". ".join(corpus.benign(i * 50 + j) for j in range(1 + chars // 60))
            texts.append(text[:chars])
        await _cpu_ms(screening, texts[:20])
        times = await _cpu_ms(screening, texts)
        p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
        print(f"{chars} characters: CPU p50 {p50 * 1e3:.0f} µs, p99 {p99 * 1e3:.0f} µs")
        figures.append(Figure(figure=f"text: CPU p99 at {chars} characters", unit="ms", value=p99, target=goal))
    size = 100_000
    usual = ". ".join(corpus.benign(j) for j in range(2_000))[:size]
    mean = (await _cpu_ms(screening, [usual] * 3))[1]
    hostile = {
        "digits one by one": "4 " * (size // 2), "digits in a row": "4" * size, "at signs": "a@" * (size // 2),
        "dashes": "-" * size, "private key heads": "-----BEGIN PRIVATE KEY-----" * (size // 27),
        "number words": "four one " * (size // 9), "base64": "QUJD" * (size // 4), "percent": "%41" * (size // 3),
        "phone-like": "+1 212 555 01" * (size // 13), "iban-like": "DE89 " * (size // 5), "ands": "&amp;" * (size // 5),
        "zero-width": "a\u200b" * (size // 2), "one word": "shoot " * (size // 6), "open": "open heart " * (size // 11),
    }  # fmt: skip
    worst = 0.0
    for name, text in hostile.items():
        start = time.process_time()
        findings = await screening.screen_prompt(text)
        ratio = (time.process_time() - start) * 1_000 / len(text) / (mean / size)
        ends = "refused as unavailable" if findings and findings[0].type == "screening.unavailable" else "answered"
        print(f"100 kB of {name:<20} {ratio:>6.2f} times the mean a character, {ends}")
        worst = max(worst, ratio)
    print(f"100 kB of usual text: {mean:.0f} ms CPU")
    figures.append(
        Figure(figure="text: worst hostile 100 kB, over the mean a character", unit="times", value=worst, target=2)
    )
    return figures


async def main() -> None:
    screening = Screening(directory=ROOT / "policies", secret=os.urandom(32), timeout_seconds=30)
    print(f"rules {screening.revision} on {results.machine()}")
    figures: list[Figure] = []
    for part in (quality, disguises, harmless, speed):
        figures += await part(screening)
    await screening.aclose()
    print("beside: not run (no peer is installed)")
    print(f"written to {results.write('screening', figures)}")


if __name__ == "__main__":
    asyncio.run(main())
