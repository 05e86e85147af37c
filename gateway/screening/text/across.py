"""Values that stand in two prompts together and in neither alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.screening.text.normalise import Normalised, normalise
from gateway.screening.text.recent import Before, Joined, Piece, Recent, joined, pieces_of
from gateway.screening.text.scan import Budget, Detector, Hit, TextScanner, without_overlaps
from gateway.vocabulary import Severity

GRAVE: Final = frozenset({Severity.HIGH, Severity.CRITICAL})
"""Two harmless numbers side by side may well look like a telephone; they seldom look like a card."""
CERTAIN: Final = 1.0
BETWEEN: Final = "\nand\n"
"""Letters between the readings, so that no pattern reaches from one into the next."""
MIN_SIDE_CHARS: Final = 2


def across(scanner: TextScanner, recent: Recent, actor: str, plain: Normalised, budget: Budget) -> list[Hit]:
    """What this prompt completes of the actor's prompts before; then remembers this one. Raises `OverBudget`."""
    before = recent.before(actor)
    pieces, cued, tokens = pieces_of(plain.text), scanner.cued(plain.text), scanner.listed(plain.text, budget)
    recent.keep(actor, pieces, cued, tokens)
    hits = _completed(scanner, before, cued, pieces, plain, budget)
    for detector in scanner.detectors:
        exact = detector.exact
        if exact is None or exact.require < 2:
            continue
        name = exact.known.name
        for now in sorted(tokens.get(name, ())):
            for earlier in sorted(before.tokens.get(name, frozenset()) - {now}):
                budget.spend()
                pair = exact.known.key.pair(earlier, now)
                if pair in exact.known.pairs:
                    hits.append(_hit(detector, 0, len(plain.source), f"{pair:016x}"))
    return without_overlaps(hits)


def _completed(
    scanner: TextScanner,
    before: Before,
    cued: frozenset[str],
    pieces: Sequence[Piece],
    plain: Normalised,
    budget: Budget,
) -> list[Hit]:
    readings = list(joined(before.pieces, pieces))
    if not readings:
        return []
    hits = []
    for found, reading, at in _found(scanner, readings, budget):
        detector = found.detector
        is_sure = detector.cues is None or found.score >= CERTAIN or detector.rule_id in (cued | before.cued)
        reaches = found.start <= at + reading.seam - MIN_SIDE_CHARS and found.end >= at + reading.seam + MIN_SIDE_CHARS
        if detector.severity in GRAVE and is_sure and reaches:
            start, end = plain.source_span(reading.start, reading.end)
            hits.append(_hit(detector, start, end, found.canonical))
    return hits


def _found(scanner: TextScanner, readings: Sequence[Joined], budget: Budget) -> list[tuple[Hit, Joined, int]]:
    """Each hit in the readings, with the reading that it lies in and where that begins."""
    places, at = [], 0
    for reading in readings:
        places.append((at, at + len(reading.text), reading))
        at += len(reading.text) + len(BETWEEN)
    text = BETWEEN.join(reading.text for reading in readings)
    return [
        (hit, reading, begin)
        for hit in scanner.scan(normalise(text), budget)
        for begin, end, reading in places
        if begin <= hit.start and hit.end <= end
    ]


def _hit(detector: Detector, start: int, end: int, canonical: str) -> Hit:
    # Half of the value was sent before: there is nothing here to put something else in the place of.
    return Hit(detector=detector, start=start, end=end, canonical=canonical, maskable=False)
