"""From a rule file that asks for names to a rule that runs, or the line that says why it may not."""

from __future__ import annotations

from typing import Final

from gateway.screening.entities.model import shared_model
from gateway.screening.entities.scan import NameRule, fault
from gateway.screening.rules.document import Document, Path
from gateway.screening.rules.schema import Detect, DlpRule
from gateway.screening.text.normalise import normalise
from gateway.screening.text.scan import Detector
from gateway.vocabulary import Severity

PROPOSES: Final = ("review", "allow")


def check_form(document: Document, rule: DlpRule, detect: Detect) -> None:
    """A name alone says nothing (half of all prompts for art name somebody), and a model guesses: so names are looked
    for beside a cue only, and a person looks at most. Raises `RuleError` where a rule asks for more."""

    def refuse(path: Path, message: str) -> None:
        raise document.error(path, message)

    for place, pattern in enumerate(detect.any):
        if pattern.entity is None:
            refuse(("detect", "any", place), "names go in a rule of their own: move this to another file")
    if detect.context is None or not detect.context.required:
        where = ("detect", "any", 0, "entity") if detect.context is None else ("detect", "context")
        refuse(where, "a name alone says nothing: give `context` the words beside which it counts as `cues`, and "
                      "`required: true`")  # fmt: skip
    if detect.validate_:
        refuse(("detect", "validate"), "validators check values by their form, and a name has none: leave them out")
    if rule.action.default not in PROPOSES:
        refuse(("action", "default"), f"names are found by guessing: expected {' or '.join(PROPOSES)}, "
                                      f"got {rule.action.default}")  # fmt: skip
    if rule.severity is Severity.CRITICAL:
        refuse(("severity",), "names are found by guessing, and nobody can be exempt from a critical finding: expected "
                              "low, medium or high")  # fmt: skip


def compile_names(document: Document, rule: DlpRule, detector: Detector) -> NameRule:
    """The rule, ready to run. Its tests need the model (see `prove`); here each `match` must at least hold a cue."""
    for place, text in enumerate(rule.tests.match):
        cues = detector.cues
        if cues is None or not any(cues.places(normalise(text).text)):
            message = f"tests.match[{place}]: expected a finding, but none of `context.cues` stands in it"
            raise document.error(("tests", "match", place), message)
    return NameRule(detector, rule.tests.match, rule.tests.no_match)


def prove(document: Document, rule: NameRule) -> None:
    """The rule's own tests, with the model. Raises `RuleError` for one that goes wrong, `NamesUnavailable`."""
    wrong = fault(rule, shared_model())
    if wrong is not None:
        kind, place = wrong
        expected = "expected a finding, got none" if kind == "match" else "expected no finding, got one"
        raise document.error(("tests", kind, place), f"tests.{kind}[{place}]: {expected}")
