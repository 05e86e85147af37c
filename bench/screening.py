"""Screening's figures: `python -m bench.screening`.

Precision, recall and F1 a kind of value on generated held-out seeds with their counts, recall a disguise, values cut in
two over two prompts, harmless prompts stopped, names beside a cue, CPU time by length and with a list of customers, and
the cost of hostile texts. Beside it, in the same run, Presidio with spaCy's small English model on the same texts,
where it is installed (`bench/screening_peer.py`). Writes `bench/results/screening.json`.

The corpus is generated here. Public sets by other authors (presidio-research's `synth_dataset_v2`, PartiPrompts, I2P,
COCO captions) are in no Python package, so they are not at hand and nothing is reported on them.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import screening_corpus as corpus
from bench import screening_names, screening_peer
from bench.screening_corpus import MAKERS
from bench.support import results
from bench.support.results import Figure
from bench.support.screening_cpu import cpu_ms
from gateway.exchange import Finding
from gateway.screening.exact.key import ListKey
from gateway.screening.exact.lists import build, write
from gateway.screening.facade import Screening

ROOT = Path(__file__).resolve().parents[1]
PER_KIND = 300
MISSES = 1_500
BENIGN = 3_000
PER_DISGUISE = 60
RUNS = 400
CUSTOMERS = 100_000


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
    print(f"{'kind':<26}{'right':>7}{'wrong':>7}{'missed':>7}{'precision':>11}{'recall':>8}{'F1':>8}")
    for kind in (*MAKERS, "all"):
        types = list(right | missed | wrong) if kind == "all" else [f"dlp.{kind}"]
        hit, bad, gone = (sum(c[t] for t in types) for c in (right, wrong, missed))
        precision, recall = hit / max(1, hit + bad), hit / max(1, hit + gone)
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        goal = {"all": 0.97, "phone-number": 0.90}.get(kind, 0.95)
        print(f"{kind:<26}{hit:>7}{bad:>7}{gone:>7}{precision:>11.3f}{recall:>8.3f}{f1:>8.3f}")
        figures.append(
            Figure(figure=f"text: {kind}, 1 - F1 on our held-out seeds", unit="ratio", value=1 - f1, target=1 - goal)
        )
    print(f"of {PER_KIND} values a kind and {MISSES} near misses")
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


async def halves(screening: Screening) -> list[Figure]:
    """Card numbers cut in two over two prompts of one person; harmless prompts one after another."""
    found = stopped = 0
    for i in range(PER_DISGUISE * 5):
        sample = corpus.positive("payment-card", corpus.HELD_OUT_FROM + i)
        _, start, end = sample.values[0]
        middle = (start + end) // 2
        await screening.screen_across(f"p{i}", sample.text[:middle])
        found += bool(await screening.screen_across(f"p{i}", "and then " + sample.text[middle:]))
    for i in range(BENIGN):
        stopped += bool(await screening.screen_across("somebody", corpus.benign(corpus.HELD_OUT_FROM + i)))
    missed = 1 - found / (PER_DISGUISE * 5)
    print(f"cards cut in two over two prompts: {found} of {PER_DISGUISE * 5} found")
    print(f"harmless prompts in a row with a finding: {stopped} of {BENIGN}")
    return [
        Figure(figure="text: share of halved cards missed", unit="ratio", value=missed, target=0.15),
        Figure(
            figure="text: share of harmless prompts in a row stopped",
            unit="ratio",
            value=stopped / BENIGN,
            target=0.001,
        ),
    ]


def _name(number: int) -> str:
    """A made-up name of letters."""
    return "Q" + "".join(chr(ord("a") + int(digit)) for digit in f"{number:06}") + "z"


async def listed(directory: Path) -> list[Figure]:
    """CPU time of 400 characters with a list of 100,000 customers, and what the list takes on disk."""
    secret = os.urandom(32)
    rows = [{"name": f"{_name(i)} {_name(i % 9973)}", "account": f"KD-{100_000 + i}"} for i in range(CUSTOMERS)]
    body, kept = build(ListKey(secret), rows, ("name", "account"))
    write(directory / "customers.edm", ListKey(secret), ("name", "account"), body, kept.rows)
    screening = Screening(directory=ROOT / "policies", secret=secret, timeout_seconds=30, lists=directory)
    texts = [". ".join(corpus.benign(i * 50 + j) for j in range(8))[:400] for i in range(2 * RUNS)]
    await cpu_ms(screening, texts[RUNS:])
    times = await cpu_ms(screening, texts[:RUNS])
    [finding] = await screening.screen_prompt(f"a letter to {_name(7)} {_name(7)} about KD 100007")
    if finding.type != "dlp.customer-list":
        raise AssertionError("the list does not find its own rows")
    await screening.aclose()
    p99 = times[int(len(times) * 0.99)]
    print(f"400 characters beside {CUSTOMERS:,} customers: CPU p50 {statistics.median(times) * 1e3:.0f} µs, "
          f"p99 {p99 * 1e3:.0f} µs; the list takes {len(body) / 1e6:.1f} MB")  # fmt: skip
    return [Figure(figure="text: CPU p99 at 400 characters beside 100,000 customers", unit="ms", value=p99, target=1.0)]


async def harmless(screening: Screening) -> list[Figure]:
    """The share of harmless prompts in which anything at all is found."""
    stopped = 0
    for i in range(BENIGN):
        stopped += bool(await screening.screen_prompt(corpus.benign(corpus.HELD_OUT_FROM + i)))
    print(f"harmless prompts with a finding: {stopped} of {BENIGN}")
    share = stopped / BENIGN
    return [Figure(figure="text: share of harmless prompts stopped", unit="ratio", value=share, target=0.001)]


async def speed(screening: Screening) -> list[Figure]:
    """CPU time a prompt by length, and a byte of hostile texts against the mean."""
    figures: list[Figure] = []
    for chars, goal in ((400, 1.0), (4_000, 5.0)):
        texts = []
        for i in range(2 * RUNS):
            text = ". ".join(corpus.benign(i * 50 + j) for j in range(1 + chars // 60))
            texts.append(text[:chars])
        await cpu_ms(screening, texts[RUNS:])  # other texts, until the patterns' automata have been built
        times = await cpu_ms(screening, texts[:RUNS])
        p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
        print(f"{chars} characters: CPU p50 {p50 * 1e3:.0f} µs, p99 {p99 * 1e3:.0f} µs")
        figures.append(Figure(figure=f"text: CPU p99 at {chars} characters", unit="ms", value=p99, target=goal))
    size = 100_000
    usual = ". ".join(corpus.benign(j) for j in range(2_000))[:size]
    mean = (await cpu_ms(screening, [usual] * 3))[1]
    hostile = {
        "digits one by one": "4 " * (size // 2), "digits in a row": "4" * size, "at signs": "a@" * (size // 2),
        "dashes": "-" * size, "private key heads": "-----BEGIN PRIVATE KEY-----" * (size // 27),
        "number words": "four one " * (size // 9), "base64": "QUJD" * (size // 4), "percent": "%41" * (size // 3),
        "phone-like": "+1 212 555 01" * (size // 13), "iban-like": "DE89 " * (size // 5), "ands": "&amp;" * (size // 5),
        "cards": "4111 1111 1111 1112 " * (size // 20), "years": "1999 " * (size // 5),
        "spaced": "a b c d " * (size // 8),
        "names": "taylor michael king " * (size // 20), "glued": "fourone" * (size // 7),
        "binary": "01000001 " * (size // 9),
        "zero-width": "a\u200b" * (size // 2), "one word": "shoot " * (size // 6), "open": "open heart " * (size // 11),
    }  # fmt: skip
    worst = 0.0
    for name, text in hostile.items():
        findings = await screening.screen_prompt(text)
        ratio = (await cpu_ms(screening, [text] * 3))[1] / len(text) / (mean / size)  # as the mean was measured
        ends = "refused as unavailable" if findings and findings[0].type == "screening.unavailable" else "answered"
        print(f"100 kB of {name:<20} {ratio:>6.2f} times the mean a character, {ends}")
        worst = max(worst, ratio)
    print(f"100 kB of usual text: {mean:.0f} ms CPU")
    figures.append(
        Figure(figure="text: worst hostile 100 kB, over the mean a character", unit="times", value=worst, target=2)
    )
    return figures


COMMON = "text: kinds that Presidio knows too, 1 - F1 on our held-out seeds"


async def common(screening: Screening, kinds: Sequence[str]) -> Figure:
    """Our own F1 on just the texts that count for Presidio: the kinds that it knows, and near misses."""
    right = wrong = missed = 0
    types = {f"dlp.{kind}" for kind in kinds}
    seeds = range(corpus.HELD_OUT_FROM, corpus.HELD_OUT_FROM + screening_peer.PER_KIND)
    samples = [corpus.positive(kind, seed) for kind in kinds for seed in seeds]
    samples += [corpus.near_miss(corpus.HELD_OUT_FROM + i) for i in range(screening_peer.MISSES)]
    for sample in samples:
        findings = [f for f in await screening.screen_prompt(sample.text) if f.type in types]
        found = sum(any(_overlaps(f, value) for f in findings) for value in sample.values)
        right, missed = right + found, missed + len(sample.values) - found
        wrong += sum(not any(_overlaps(f, value) for value in sample.values) for f in findings)
    f1 = 2 * right / max(1, 2 * right + wrong + missed)
    print(f"ours on those {len(kinds)} kinds: {right} right, {wrong} wrong, {missed} missed, F1 {f1:.3f}")
    return Figure(figure=COMMON, unit="ratio", value=1 - f1, target=0.03)


def beside(figures: Sequence[Figure], peer: screening_peer.Beside) -> list[Figure]:
    """The same figures with Presidio's next to them, where it has any."""
    theirs = {f"text: {kind}, 1 - F1 on our held-out seeds": 1 - f1 for kind, f1 in peer.f1.items() if kind != "all"}
    if peer.f1:
        theirs[COMMON] = 1 - peer.f1["all"]
    if peer.disguises_found is not None and peer.benign_stopped is not None:
        theirs["text: share of our own disguises missed"] = 1 - peer.disguises_found
        theirs["text: share of harmless prompts stopped"] = peer.benign_stopped
    for chars, ms in (peer.p99_ms or {}).items():
        theirs[f"text: CPU p99 at {chars} characters"] = ms
        theirs[screening_names.figure_at(chars)] = ms
    return [
        replace(figure, beside={**figure.beside, "Presidio": theirs[figure.figure]})
        if figure.figure in theirs
        else figure
        for figure in figures
    ]


async def main() -> None:
    screening = Screening(directory=ROOT / "policies", secret=os.urandom(32), timeout_seconds=30)
    print(f"rules {screening.revision} on {results.machine()}")
    figures: list[Figure] = []
    for part in (quality, disguises, halves, harmless, speed, screening_names.names):
        figures += await part(screening)
    with tempfile.TemporaryDirectory() as directory:
        figures += await listed(Path(directory))
    peer = screening_peer.measure()
    figures.append(await common(screening, peer.kinds))
    await screening.aclose()
    figures = beside(figures, peer)
    print(f"written to {results.write('screening', figures)}")


if __name__ == "__main__":
    asyncio.run(main())
