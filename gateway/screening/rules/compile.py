"""From a rule file to a detector that runs, and the proof that it does what its own tests say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import TypeVar

from pydantic import ValidationError

from gateway.screening.content.lexicon import Lexicon, PhraseIndex, Together
from gateway.screening.content.phrases import Phrase, PhraseError, parse_phrase
from gateway.screening.content.tokens import Words
from gateway.screening.rules.document import Document
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.schema import EFFECTS, Action, ContentLexicon, DlpRule, Form, Mode, RuleTests
from gateway.screening.text.cues import Cues, alternatives
from gateway.screening.text.normalise import normalise
from gateway.screening.text.patterns import PatternError, compile_pattern
from gateway.screening.text.scan import Detector, TextScanner, flatten
from gateway.screening.text.validators import LOOK_AROUND, VALIDATORS
from gateway.vocabulary import Effect

F = TypeVar("F", bound=Form)


def read(document: Document, form: type[F]) -> F:
    """The document in its form. Raises `RuleError` at the line of the first thing that is wrong."""
    try:
        rule = form.model_validate(document.data)
    except ValidationError as error:
        # A misspelt name shows twice, as missing and as unknown: the unknown one is where to look.
        faults = error.errors(include_url=False, include_input=False)
        first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
        path = tuple(part for part in first["loc"])
        where = ".".join(str(part) for part in path) or "file"
        raise document.error(path, f"{where}: {first['msg']}") from None
    identity = getattr(rule, "id", "")
    if PurePath(document.file).stem != identity:
        # A copied file with its old id would else stand in for the rule it was copied from.
        raise document.error(("id",), f"id must be the file's name: expected {PurePath(document.file).stem}")
    return rule


def _proposed(action: Action, mode: Mode) -> Effect:
    return EFFECTS[action.default] if mode == "enforce" else Effect.ALLOW


def compile_rule(document: Document, rule: DlpRule) -> Detector:
    """A detector that passed the rule's own tests. Raises `RuleError`."""
    patterns = []
    for i, pattern in enumerate(rule.detect.any):
        name = "regex" if pattern.regex else "terms"
        patterns.append(pattern.regex or alternatives(pattern.terms))
        try:
            compile_pattern(patterns[-1])
        except PatternError as error:
            raise document.error(("detect", "any", i, name), str(error)) from None
    for i, name in enumerate(rule.detect.validate_):
        if name not in VALIDATORS:
            known = ", ".join(sorted(VALIDATORS))
            raise document.error(("detect", "validate", i), f"no such validator; expected one of: {known}")
    context = rule.detect.context
    try:
        cues = Cues(context.cues, context.against, context.window) if context else None
    except PatternError as error:
        raise document.error(("detect", "context"), str(error)) from None
    detector = Detector(
        rule_id=rule.id,
        severity=rule.severity,
        effect=_proposed(rule.action, rule.mode),
        patterns=tuple(patterns),
        cued=frozenset(i for i, p in enumerate(rule.detect.any) if p.cue),
        min_count=rule.detect.min_count,
        validators=tuple(VALIDATORS[name] for name in rule.detect.validate_),
        cues=cues,
        validators_look_around=not LOOK_AROUND.isdisjoint(rule.detect.validate_),
        cue_required=context.required if context else False,
        exempt=frozenset(flatten(v) for e in rule.exceptions for v in e.values),
        is_enforced=rule.mode == "enforce",
        scope=frozenset(rule.scope),
    )
    scanner = TextScanner([detector])
    _prove(document, rule.tests, lambda text: bool(scanner.scan_text(text)))
    if rule.action.replacement and scanner.scan_text(rule.action.replacement):
        raise document.error(
            ("action", "replacement"), "the rule finds its own replacement; put that under `exceptions`"
        )
    return detector


def compile_lexicon(document: Document, rule: ContentLexicon) -> Lexicon:
    """A lexicon that passed its own tests. Raises `RuleError`."""
    terms: list[Phrase] = []
    exceptions: list[Phrase] = []
    together: list[Together] = []
    for language, words in rule.words.items():
        path = ("words", language)
        terms += _phrases(document, (*path, "terms"), words.terms, language)
        exceptions += _phrases(document, (*path, "exceptions"), words.exceptions, language)
        for i, pair in enumerate(words.together):
            here = (*path, "together", i)
            together.append(
                Together(
                    PhraseIndex(_phrases(document, (*here, "these"), pair.these, language)),
                    PhraseIndex(_phrases(document, (*here, "those"), pair.those, language)),
                    pair.within_words,
                )
            )
    lexicon = Lexicon(
        category=rule.id,
        severity=rule.severity,
        effect=_proposed(rule.action, rule.mode),
        terms=PhraseIndex(terms),
        together=tuple(together),
        exceptions=PhraseIndex(exceptions),
        is_enforced=rule.mode == "enforce",
        scope=frozenset(rule.scope),
    )
    _prove(document, rule.tests, lambda text: bool(_mentions(lexicon, text)))
    return lexicon


def _mentions(lexicon: Lexicon, text: str) -> bool:
    plain = normalise(text).text
    return bool(lexicon.find(plain, Words(plain)))


def _phrases(document: Document, path: tuple[str | int, ...], texts: Iterable[str], language: str) -> list[Phrase]:
    phrases: list[Phrase] = []
    for i, text in enumerate(texts):
        try:
            phrases += parse_phrase(text, language)
        except PhraseError as error:
            raise document.error((*path, i), str(error)) from None
    return phrases


def _prove(document: Document, tests: RuleTests, finds: Callable[[str], bool]) -> None:
    """The rule's own tests, run each time it is loaded. The error names the test by its place, not its text."""
    for i, text in enumerate(tests.match):
        if not finds(text):
            raise document.error(("tests", "match", i), f"tests.match[{i}]: expected a finding, got none")
    for i, text in enumerate(tests.no_match):
        if finds(text):
            raise document.error(("tests", "no_match", i), f"tests.no_match[{i}]: expected no finding, got one")


__all__ = ["RuleError", "compile_lexicon", "compile_rule", "read"]
