"""Rules that want names, over one text: cheap where no cue stands, and never more than review."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from gateway.screening.entities.errors import NamesUnavailable
from gateway.screening.entities.model import Named
from gateway.screening.entities.names import name_in
from gateway.screening.entities.stretches import Stretch, around, batches
from gateway.screening.text.normalise import Normalised, fold, normalise
from gateway.screening.text.patterns import PatternSet
from gateway.screening.text.scan import MAX_HITS, Budget, Detector, Hit, OverBudget, flatten, settled
from gateway.vocabulary import Effect

ALLOWED: Final = frozenset({Effect.ALLOW, Effect.REVIEW})
SCORE: Final = 0.6
"""Of the names that the model finds in prompts, about so many are somebody's; it gives no figure of its own."""
KEPT_PROOFS: Final = 256
log = logging.getLogger(__name__)


class ReadsNames(Hashable, Protocol):
    """What a scanner wants of a model; `model.Model` is one."""

    def read(self, texts: Sequence[str]) -> list[list[Named]]: ...


@dataclass(frozen=True, slots=True)
class NameRule:
    """A rule that wants names, with its own tests: they need the model, so they are run when it is there."""

    detector: Detector
    match: tuple[str, ...] = field(repr=False)
    no_match: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of one text has to be read, and for which rules."""

    rules: tuple[NameRule, ...] = ()
    """Those of which a cue stands in the text."""
    stretches: tuple[Stretch, ...] = ()

    @property
    def is_enforced(self) -> bool:
        """Whether it matters to the request that it is read."""
        return any(rule.detector.is_enforced for rule in self.rules)


class NameScanner:
    """Runs a set of name rules. Immutable, safe to use from several threads. Raises `ValueError` for a rule that may
    propose more than review: a name is found by guessing."""

    def __init__(self, rules: Sequence[NameRule]) -> None:
        for rule in rules:
            detector = rule.detector
            if detector.effect not in ALLOWED or detector.cues is None or not detector.cue_required:
                raise ValueError(f"{detector.rule_id}: names are only looked for beside a cue, and for review at most")
        self.rules = tuple(rules)
        self._cues = [rule.detector.cues for rule in self.rules if rule.detector.cues is not None]
        self._gate = PatternSet([cues.pattern for cues in self._cues])

    def wanted(self, text: str, budget: Budget) -> Wanted:
        """What of a normalised text has to be read: parts around cues. Raises `OverBudget`."""
        if not self.rules or not text:
            return Wanted()
        rules = tuple(self.rules[place] for place in self._gate.matching(fold(text)))
        return _wanted(rules, text, lambda: budget.spend(0))


def _wanted(rules: tuple[NameRule, ...], text: str, look_at_the_clock: Callable[[], None]) -> Wanted:
    cues = [rule.detector.cues for rule in rules if rule.detector.cues is not None]
    return Wanted(rules, tuple(around(text, cues, look_at_the_clock)))


def sound(rules: Sequence[NameRule], model: ReadsNames) -> list[NameRule]:
    """Those of the rules that pass their own tests; each is tried once for the process. Takes milliseconds a test.

    Raises `NamesUnavailable` where one in force fails. One in monitor mode is left out: it would only make noise.
    """
    passed = []
    for rule in rules:
        wrong = _kept_fault(rule, model)
        if wrong is None:
            passed.append(rule)
            continue
        where = f"{rule.detector.rule_id}: tests.{wrong[0]}[{wrong[1]}] goes wrong"
        if rule.detector.is_enforced:
            raise NamesUnavailable(where)
        log.warning("screening.names-rule-left-out", extra={"cause": where})
    return passed


def read(
    rules: Sequence[NameRule],
    original: Normalised,
    stretches: Sequence[Stretch],
    model: ReadsNames,
    is_late: Callable[[], bool] = lambda: False,
) -> list[Hit]:
    """The names in these parts of a text, in order of place; places are in the text as it was sent.

    `is_late` is asked before each few parts. Raises `NamesUnavailable`: late or broken; `OverBudget` for more names
    than a prompt holds.
    """
    hits: list[Hit] = []
    for hit in _found(rules, original, stretches, model, is_late):
        hits.append(hit)
        if len(hits) > MAX_HITS:
            raise OverBudget
    return settled(hits)


def fault(rule: NameRule, model: ReadsNames) -> tuple[str, int] | None:
    """Which of the rule's own tests goes wrong (`match` or `no_match`, and its place); None when all go right."""
    for kind, texts, expected in (("match", rule.match, True), ("no_match", rule.no_match, False)):
        for place, text in enumerate(texts):
            plain = normalise(text)
            stretches = _wanted((rule,), plain.text, lambda: None).stretches
            if bool(read([rule], plain, stretches, model)) is not expected:
                return kind, place
    return None


@lru_cache(maxsize=KEPT_PROOFS)
def _kept_fault(rule: NameRule, model: ReadsNames) -> tuple[str, int] | None:
    """A rule and a model never change while the process lives."""
    return fault(rule, model)


def _found(
    rules: Sequence[NameRule],
    original: Normalised,
    stretches: Sequence[Stretch],
    model: ReadsNames,
    is_late: Callable[[], bool],
) -> Iterator[Hit]:
    text = original.text
    for batch in batches(stretches):
        if is_late():
            raise NamesUnavailable("reading names took too long")
        answers = model.read([text[stretch.start : stretch.end] for stretch in batch])
        for stretch, found in zip(batch, answers, strict=True):
            for named in found:
                placed = Named(named.label, stretch.start + named.start, stretch.start + named.end)
                for rule in rules:
                    hit = _hit(rule.detector, original, placed)
                    if hit is not None:
                        yield hit


def _hit(detector: Detector, original: Normalised, named: Named) -> Hit | None:
    text, cues = original.text, detector.cues
    place = name_in(text, named, cues, detector.entities) if cues is not None else None
    if place is None:
        return None
    if flatten(text[place[0] : place[1]]) in detector.exempt:
        return None
    start, end = original.source_span(*place)
    said = " ".join(fold(text[place[0] : place[1]]).split())
    # The model may have cut the name short, so nothing is put in its place.
    return Hit(detector=detector, start=start, end=end, canonical=said, score=SCORE, maskable=False)
