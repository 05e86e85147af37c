"""All rules over one text: patterns, cues, validators, decoded views, overlaps. Linear in the text's length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.screening.exact.lists import ExactList
from gateway.screening.exact.match import Reading, find
from gateway.screening.text.candidate import Accepted, Candidate, Surroundings, Validator
from gateway.screening.text.cues import Cues
from gateway.screening.text.normalise import Normalised, fold, normalise
from gateway.screening.text.patterns import EncodedText, PatternSet
from gateway.screening.text.views import to_parent, views
from gateway.vocabulary import Effect, Severity

_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
_STRICTNESS: Final = {effect: rank for rank, effect in enumerate(Effect)}
MAX_CANDIDATES: Final = 20_000
"""More stretches that may be values than any honest prompt holds (100,000 characters of nothing but numbers: 8,000)."""
MAX_HITS: Final = 500
"""A prompt with more values in it is a list of people or accounts, and not handled one by one."""


UNCUED_SCORE: Final = 0.8


class OverBudget(Exception):
    """The scan would take longer than allowed. Carries no text."""


class Budget:
    """What one scan may spend: candidates, and time on a clock that never goes back."""

    def __init__(
        self,
        deadline: float = float("inf"),
        *,
        clock: Callable[[], float] = time.monotonic,
        candidates: int = MAX_CANDIDATES,
    ) -> None:
        self.deadline = deadline
        self._clock = clock
        self.left = candidates

    def spend(self, candidates: int = 1) -> None:
        """So many more candidates; raises `OverBudget` when candidates or time are used up."""
        self.left -= candidates
        if self.left < 0 or self._clock() > self.deadline:
            raise OverBudget


@dataclass(frozen=True, slots=True)
class Exact:
    """What a rule wants of a list: so many values of one row, so near each other."""

    known: ExactList
    require: int
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One rule, ready to run."""

    rule_id: str
    severity: Severity
    effect: Effect
    """What the rule file proposes."""
    patterns: tuple[str, ...] = field(repr=False)
    exact: Exact | None = field(repr=False, default=None)
    """For a rule that looks its values up instead: it has no patterns."""
    entities: frozenset[str] = frozenset()
    """For a rule that wants names: what the model of names calls them. It has no patterns, and no `TextScanner` runs
    it."""
    validators: tuple[Validator, ...] = field(repr=False, default=())
    cues: Cues | None = field(repr=False, default=None)
    cue_required: bool = False
    cued: frozenset[int] = frozenset()
    """Places in `patterns` of those that count only beside a cue."""
    min_count: int = 1
    """Fewer different values than this are none; so many are one finding, from the first to the last."""
    review_from: int = 0
    """From so many different values on the rule proposes review instead of something milder; 0 = never."""
    validators_look_around: bool = False
    """Whether a validator weighs the words around a value itself; else a word against it is enough to drop it."""
    exempt: frozenset[str] = field(repr=False, default=frozenset())
    """Values, as `flatten` writes them, that are nobody's: the ones we mask with."""
    is_enforced: bool = True
    scope: frozenset[str] = frozenset({"prompt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A value found. Offsets are into the text as the person sent it; `repr` shows no text."""

    detector: Detector
    start: int
    end: int
    canonical: str = field(repr=False)
    score: float = 1.0
    maskable: bool = True


def flatten(value: str) -> str:
    """A value without its writing, to compare it with the exempt ones."""
    return "".join(c for c in value.casefold() if c.isalnum() or c in "@+")


class TextScanner:
    """Runs a set of detectors. Immutable, safe to use from several threads."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.detectors = tuple(detectors)
        self._owners = [
            (d, d.cue_required or place in d.cued) for d in self.detectors for place in range(len(d.patterns))
        ]
        needy = [d for d in self.detectors if d.cues is not None and d.cues.pattern]
        self._cue_places = {d.rule_id: place for place, d in enumerate(needy)}
        self._cues = PatternSet([d.cues.pattern for d in needy if d.cues is not None])
        self._by_list = [(d, d.exact) for d in self.detectors if d.exact is not None]
        self._patterns = PatternSet([p for d in self.detectors for p in d.patterns])

    def scan(self, original: Normalised, budget: Budget) -> list[Hit]:
        """What stands in the text, in order of place. Raises `OverBudget`."""
        hits: list[Hit] = []
        for detector, accepted in self._accepted(original.text, budget):
            span = original.source_span(accepted.start, accepted.end)
            _keep(hits, _hit(detector, accepted, span, maskable=_is_one_stretch(detector)))
        for chain in views(original):
            view = chain[-1]
            budget.spend(0)
            for detector, accepted in self._accepted(view.text, budget):
                if view.is_new(accepted.start, accepted.end):
                    span = original.source_span(*to_parent(chain, accepted.start, accepted.end))
                    _keep(hits, _hit(detector, accepted, span, maskable=False))
        return settled(hits)

    def cued(self, text: str) -> frozenset[str]:
        """The rules of which a cue stands anywhere in a normalised text."""
        named = set(self._cues.matching(fold(text)))
        return frozenset(rule_id for rule_id, place in self._cue_places.items() if place in named)

    def listed(self, text: str, budget: Budget) -> dict[str, frozenset[int]]:
        """List name -> what stands for its values in a normalised text, for rules that want two values of a row."""
        found: dict[str, frozenset[int]] = {}
        reading = Reading(text) if self._by_list else None
        for _, exact in self._by_list:
            if reading is not None and exact.require > 1 and exact.known.name not in found:
                tokens = set()
                for value in reading.values(exact.known):
                    budget.spend()
                    tokens.add(value.token)
                found[exact.known.name] = frozenset(tokens)
        return found

    def scan_text(self, text: str) -> list[Hit]:
        """`scan` without a limit: for a rule's own tests."""
        return self.scan(normalise(text), Budget())

    def _accepted(self, text: str, budget: Budget) -> Iterator[tuple[Detector, Accepted]]:
        if not text:
            return
        encoded = EncodedText(text)
        cued: set[int] | None = None
        for index in self._patterns.matching(encoded):
            detector, needs_cue = self._owners[index]
            if needs_cue:
                if cued is None:  # one pass tells which rules have a cue anywhere: most have none
                    cued = set(self._cues.matching(fold(text)))
                if self._cue_places[detector.rule_id] not in cued:
                    continue
            for start, end in self._patterns.spans(index, encoded):
                budget.spend()
                for accepted in _validate(detector, text, start, end, needs_cue=needs_cue):
                    if flatten(accepted.canonical) not in detector.exempt:
                        yield detector, accepted
        if self._by_list:
            yield from self._listed(text, budget)

    def _listed(self, text: str, budget: Budget) -> Iterator[tuple[Detector, Accepted]]:
        reading = Reading(text)
        for detector, exact in self._by_list:
            found = find(reading, exact.known, require=exact.require, window=exact.window, spend=budget.spend)
            for start, end, token in found:
                yield detector, Accepted(start, end, f"{token:016x}")


def settled(hits: Sequence[Hit]) -> list[Hit]:
    """What is reported of everything that was found: counted, without overlaps, with review where there are many."""
    return _escalated(without_overlaps(_counted(hits)))


def _hit(detector: Detector, accepted: Accepted, span: tuple[int, int], *, maskable: bool) -> Hit:
    return Hit(
        detector=detector, start=span[0], end=span[1],
        canonical=accepted.canonical, score=accepted.score, maskable=maskable,
    )  # fmt: skip


def _is_one_stretch(detector: Detector) -> bool:
    """Whether a finding of this rule is a value and nothing else, so that it can be replaced one for one."""
    return detector.exact is None or detector.exact.require == 1


def _keep(hits: list[Hit], hit: Hit) -> None:
    hits.append(hit)
    if len(hits) > MAX_HITS:
        raise OverBudget


def _validate(detector: Detector, text: str, start: int, end: int, *, needs_cue: bool) -> Sequence[Accepted]:
    cues = detector.cues
    seen: list[Surroundings] = []

    def look() -> Surroundings:
        if not seen:
            seen.append(Surroundings() if cues is None else cues.judge(text, start, end))
        return seen[0]

    found: Sequence[Accepted] = (Accepted(start, end, text[start:end]),)
    for validator in detector.validators:
        found = [
            accepted for earlier in found for accepted in validator(Candidate(text, earlier.start, earlier.end, look))
        ]
    if not found or cues is None:
        return found
    if needs_cue and not look().cued:
        return ()
    if detector.validators_look_around or look().cued:
        return found
    if look().countered:
        return ()
    # Twelve digits may be this country's number or that one's: the one that is named goes before.
    return [replace(accepted, score=accepted.score * UNCUED_SCORE) for accepted in found]


def _counted(hits: Sequence[Hit]) -> list[Hit]:
    """`hits` with those of a rule that counts made one, or none where they are too few."""
    single = [hit for hit in hits if hit.detector.min_count == 1]
    if len(single) == len(hits):
        return single
    for detector in {hit.detector.rule_id: hit.detector for hit in hits if hit.detector.min_count > 1}.values():
        mine = [hit for hit in hits if hit.detector is detector]
        values = sorted({hit.canonical for hit in mine})
        if len(values) >= detector.min_count:
            start, end = min(h.start for h in mine), max(h.end for h in mine)
            # What stands between the values is not looked at, so it can't be replaced with them.
            single.append(Hit(detector=detector, start=start, end=end, canonical="\n".join(values), maskable=False))
    return single


def _escalated(hits: Sequence[Hit]) -> list[Hit]:
    """`hits` with review proposed for those of a rule that asks for it and was found so often."""
    values: dict[str, set[str]] = {}
    for hit in hits:
        values.setdefault(hit.detector.rule_id, set()).add(hit.canonical)
    return [
        replace(hit, detector=replace(hit.detector, effect=Effect.REVIEW))
        if hit.detector.is_enforced
        and 0 < hit.detector.review_from <= len(values[hit.detector.rule_id])
        and _STRICTNESS[hit.detector.effect] < _STRICTNESS[Effect.REVIEW]
        else hit
        for hit in hits
    ]


def without_overlaps(hits: Sequence[Hit]) -> list[Hit]:
    """`hits` in order of place, less those that lie wholly within a weightier one.

    A hit that reaches beyond the weightier one stays: masking the one would leave a piece of the other standing. An
    enforced rule goes before one in monitor mode whatever their severities: an experiment must not hide a protection.
    """
    kept: list[Hit] = []
    for hit in sorted(hits, key=_weight, reverse=True):
        if not any(k.start <= hit.start and hit.end <= k.end for k in kept):
            kept.append(hit)
    return sorted(kept, key=lambda h: (h.start, h.end))


def _weight(hit: Hit) -> tuple[bool, int, int, bool, float, int, int]:
    detector = hit.detector
    return (
        detector.is_enforced, _STRICTNESS[detector.effect], _RANK[detector.severity],
        hit.maskable, hit.score, hit.end - hit.start, -hit.start,
    )  # fmt: skip
