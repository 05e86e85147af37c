"""Presidio on the same texts in the same run, where it is installed: for `bench.screening`.

It is asked in a child process with a virtual environment of its own. Kinds that it has no recognizer for are not held
against it, and of two thresholds for its scores the one that gives it the better F1 counts. Its share of the texts is
smaller than ours (it takes forty times as long): the first seeds of each kind that it could know, and a third of the
near misses.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import screening_corpus as corpus
from bench.screening_corpus import Sample
from bench.support import presidio_child

ROOT: Final = Path(__file__).resolve().parents[1]
PYTHON: Final = ROOT / ".cache/presidio/bin/python"
INSTALL: Final = "python3 -m venv .cache/presidio && .cache/presidio/bin/pip install -r bench/requirements-presidio.txt"
THRESHOLDS: Final = (0.0, 0.4)
KINDS: Final[Mapping[str, str]] = {
    "CREDIT_CARD": "payment-card",
    "IBAN_CODE": "iban",
    "US_SSN": "us-ssn",
    "US_ITIN": "us-itin",
    "EMAIL_ADDRESS": "email-address",
    "PHONE_NUMBER": "phone-number",
    "IP_ADDRESS": "ip-address",
    "UK_NHS": "gb-nhs-number",
    "UK_NINO": "gb-nino",
    "IN_PAN": "in-pan",
    "IN_AADHAAR": "in-aadhaar",
    "AU_TFN": "au-tfn",
    "IT_FISCAL_CODE": "it-codice-fiscale",
    "ES_NIF": "es-dni",
    "KR_RRN": "kr-rrn",
}
PER_KIND, MISSES, BENIGN, PER_DISGUISE = 100, 500, 1_000, 20
LENGTHS: Final = {400: 60, 4_000: 30}
"""Characters, and how many such texts."""


@dataclass(frozen=True, slots=True)
class Entity:
    """What it found."""

    type: str
    start: int
    end: int
    score: float

    @property
    def kind(self) -> str | None:
        return KINDS.get(self.type)


@dataclass(frozen=True, slots=True)
class Beside:
    """Its figures, by what they are called in our own table; empty when it is not there."""

    f1: Mapping[str, float]
    disguises_found: float | None = None
    benign_stopped: float | None = None
    p99_ms: Mapping[int, float] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of ours that it knows; when it is not there, those that it could."""
        return tuple(kind for kind in self.f1 if kind != "all") or tuple(KINDS.values())


def is_there() -> bool:
    return PYTHON.exists()


def ask(texts: Sequence[str]) -> tuple[dict[str, object], list[tuple[float, list[Entity]]]]:
    """What it is, and its CPU time and findings for each text."""
    environment = {"OMP_NUM_THREADS": "1", "PATH": os.environ.get("PATH", "")}
    done = subprocess.run(
        [PYTHON, "-P", presidio_child.__file__],
        input=json.dumps(list(texts)),
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(f"Presidio could not run: {done.stderr.strip()[-500:]}")
    about, answers = json.loads(done.stdout)
    return about, [(ms, [Entity(*entity) for entity in found]) for ms, found in answers]


def texts_of(chars: int, number: int) -> list[str]:
    """Harmless texts of a length, the ones that our own time is measured on."""
    return [". ".join(corpus.benign(i * 50 + j) for j in range(1 + chars // 60))[:chars] for i in range(number)]


def measure() -> Beside:
    """Ask, count, print; `Beside` without figures, and how to get some, when it is not installed."""
    if not is_there():
        print(f"beside: Presidio is not installed. To measure beside it: {INSTALL}")
        return Beside(f1={})
    first = corpus.HELD_OUT_FROM
    labelled = [corpus.positive(kind, first + i) for kind in KINDS.values() for i in range(PER_KIND)]
    labelled += [corpus.near_miss(first + i) for i in range(MISSES)]
    disguised = [corpus.disguised(name, first + i) for name in corpus.DISGUISES for i in range(PER_DISGUISE)]
    benign = [corpus.benign(first + i) for i in range(BENIGN)]
    long = [text for chars, number in LENGTHS.items() for text in texts_of(chars, number)]
    parts = [[s.text for s in labelled], [s.text for s in disguised], benign, long]
    about, answers = ask([text for part in parts for text in part])
    cut: list[list[tuple[float, list[Entity]]]] = []
    for part in parts:
        cut.append(answers[: len(part)])
        answers = answers[len(part) :]
    print(f"\nbeside: {about['versions']}, the same texts, one thread")
    known = {KINDS[entity] for entity in about["entities"] if entity in KINDS}  # type: ignore[attr-defined]
    print(f"kinds that it knows too: {len(known)} of ours; without a recognizer: {sorted(set(KINDS.values()) - known)}")
    f1, threshold = max(
        ((quality(labelled, cut[0], known, least), least) for least in THRESHOLDS), key=lambda pair: pair[0]["all"]
    )
    quality(labelled, cut[0], known, threshold, show=True)
    found = sum(_has(sample, entities) for sample, (_, entities) in zip(disguised, cut[1], strict=True))
    stopped = Counter(entity.type for _, entities in cut[2] for entity in {e.type: e for e in entities}.values())
    strict = sum(any(e.kind in known and e.score >= threshold for e in entities) for _, entities in cut[2])
    print(f"Presidio, disguised cards found: {found} of {len(disguised)}")
    print(
        f"Presidio, harmless prompts with a finding of these kinds: {strict} of {BENIGN}; with each of all its kinds:"
    )
    print("  " + ", ".join(f"{name} {number}" for name, number in stopped.most_common()))
    p99: dict[int, float] = {}
    times = [ms for ms, _ in cut[3]]
    for chars, number in LENGTHS.items():
        some, times = sorted(times[:number]), times[number:]
        p99[chars] = some[min(number - 1, int(number * 0.99))]
        print(f"Presidio, {chars} characters: CPU p50 {statistics.median(some):.1f} ms, p99 {p99[chars]:.1f} ms")
    return Beside(f1, found / len(disguised), strict / BENIGN, p99)


def _has(sample: Sample, entities: Sequence[Entity]) -> bool:
    return any(f"dlp.{entity.kind}" == sample.values[0][0] for entity in entities)


def quality(
    samples: Sequence[Sample],
    answers: Sequence[tuple[float, list[Entity]]],
    known: set[str],
    threshold: float,
    *,
    show: bool = False,
) -> dict[str, float]:
    """F1 by kind, and of all kinds that it knows: counted as our own findings are."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for sample, (_, entities) in zip(samples, answers, strict=True):
        counted = [e for e in entities if e.kind in known and e.score >= threshold]
        values = [(type.removeprefix("dlp."), start, end) for type, start, end in sample.values]
        for kind, start, end in values:
            if kind in known:
                is_found = any(e.kind == kind and e.start < end and start < e.end for e in counted)
                (right if is_found else missed)[kind] += 1
        for e in counted:
            if not any(e.kind == kind and e.start < end and start < e.end for kind, start, end in values):
                wrong[str(e.kind)] += 1
    f1: dict[str, float] = {}
    if show:
        print(f"{'Presidio, score >= ' + str(threshold):<26}{'right':>7}{'wrong':>7}{'missed':>7}{'F1':>8}")
    for kind in (*sorted(known), "all"):
        kinds = known if kind == "all" else {kind}
        hit, bad, gone = (sum(c[k] for k in kinds) for c in (right, wrong, missed))
        f1[kind] = 2 * hit / max(1, 2 * hit + bad + gone)
        if show:
            print(f"{kind:<26}{hit:>7}{bad:>7}{gone:>7}{f1[kind]:>8.3f}")
    return f1
