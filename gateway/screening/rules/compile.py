"""From a rule file to a detector that runs, and the proof that it does what its own tests say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Final, TypeVar

from pydantic import ValidationError

from gateway.screening.content.lexicon import Lexicon, PhraseIndex, Together
from gateway.screening.content.misspelt import MisspeltIndex
from gateway.screening.content.phrases import Phrase, PhraseError, parse_phrase
from gateway.screening.content.tokens import Words
from gateway.screening.exact.lists import ListError, ListShelf
from gateway.screening.rules.document import Document
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.names import check_form
from gateway.screening.rules.schema import EFFECTS, Action, ContentLexicon, Detect, DlpRule, Form, Mode, RuleTests
from gateway.screening.text.cues import Cues, alternatives
from gateway.screening.text.normalise import normalise
from gateway.screening.text.patterns import PatternError, compile_pattern
from gateway.screening.text.scan import Detector, Exact, TextScanner, flatten
from gateway.screening.text.validators import LOOK_AROUND, VALIDATORS
from gateway.vocabulary import Effect

FOR_WHOM: Final = frozenset({"monitor_roles", "group", "groups", "until", "approved_by_role"})
POLICY_FILE: Final = "put it under `exceptions` or `monitor_roles` in gateway/config/findings/data.yaml"

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
        if first["type"] == "extra_forbidden" and path[-1] in FOR_WHOM:
            raise document.error(path, f"{where}: for whom a rule holds is policy's to say: {POLICY_FILE}") from None
        raise document.error(path, f"{where}: {first['msg']}") from None
    identity = getattr(rule, "id", "")
    if PurePath(document.file).stem != identity:
        # A copied file with its old id would else stand in for the rule it was copied from.
        raise document.error(("id",), f"id must be the file's name: expected {PurePath(document.file).stem}")
    return rule


def _proposed(action: Action, mode: Mode) -> Effect:
    return EFFECTS[action.default] if mode == "enforce" else Effect.ALLOW


def compile_rule(document: Document, rule: DlpRule, lists: ListShelf | None = None) -> Detector | None:
    """A detector that passed the rule's own tests; None for a rule that waits for its list. Raises `RuleError`.

    A rule that wants names is only looked at for its form: `names.compile_names` goes on with its detector.
    """
    detector = _by_form(document, rule, rule.detect) if rule.detect else _by_list(document, rule, lists)
    if detector is None or detector.entities:
        return detector
    scanner = TextScanner([detector])
    _prove(document, rule.tests, lambda text: bool(scanner.scan_text(text)))
    if rule.action.replacement and scanner.scan_text(rule.action.replacement):
        raise document.error(
            ("action", "replacement"), "the rule finds its own replacement; put that under `exceptions`"
        )
    return detector


def _by_list(document: Document, rule: DlpRule, lists: ListShelf | None) -> Detector | None:
    wanted = rule.exact_match
    if wanted is None:  # the form says that a rule has one or the other
        raise document.error(("exact_match",), "expected either `detect` or `exact_match`")
    if wanted.if_missing == "skip" and (lists is None or not lists.has(wanted.list)):
        return None
    if lists is None:
        raise document.error(("exact_match", "list"), "lists can't be read here: there is no screening secret")
    try:
        known = lists.open(wanted.list)
    except ListError as error:
        raise document.error(("exact_match", "list"), str(error)) from None
    return Detector(
        rule_id=rule.id,
        severity=rule.severity,
        effect=_proposed(rule.action, rule.mode),
        patterns=(),
        exact=Exact(known, wanted.require, wanted.window),
        review_from=rule.action.review_if.values if rule.action.review_if else 0,
        is_enforced=rule.mode == "enforce",
        scope=frozenset(rule.scope),
    )


def _by_form(document: Document, rule: DlpRule, detect: Detect) -> Detector:
    patterns = []
    review_if = rule.action.review_if
    if detect.wants_names:
        check_form(document, rule, detect)
    for i, pattern in enumerate(detect.any):
        if pattern.entity is not None:
            continue
        name = "regex" if pattern.regex else "terms"
        patterns.append(pattern.regex or alternatives(pattern.terms))
        try:
            compile_pattern(patterns[-1])
        except PatternError as error:
            raise document.error(("detect", "any", i, name), str(error)) from None
    for i, name in enumerate(detect.validate_):
        if name not in VALIDATORS:
            known = ", ".join(sorted(VALIDATORS))
            raise document.error(("detect", "validate", i), f"no such validator; expected one of: {known}")
    context = detect.context
    try:
        cues = Cues(context.cues, context.against, context.window) if context else None
    except PatternError as error:
        raise document.error(("detect", "context"), str(error)) from None
    return Detector(
        rule_id=rule.id,
        severity=rule.severity,
        effect=_proposed(rule.action, rule.mode),
        patterns=tuple(patterns),
        entities=frozenset(p.entity for p in detect.any if p.entity is not None),
        cued=frozenset(i for i, p in enumerate(detect.any) if p.cue and p.entity is None),
        min_count=detect.min_count,
        review_from=review_if.values if review_if else 0,
        validators=tuple(VALIDATORS[name] for name in detect.validate_),
        cues=cues,
        validators_look_around=not LOOK_AROUND.isdisjoint(detect.validate_),
        cue_required=context.required if context else False,
        exempt=frozenset(flatten(v) for e in rule.exceptions for v in e.values),
        is_enforced=rule.mode == "enforce",
        scope=frozenset(rule.scope),
    )


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
        misspelt=MisspeltIndex(terms if rule.misspellings else ()),
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
    """The rule's own tests, run before a process uses the file's bytes for the first time. The error names the test by
    its place, not its text."""
    for i, text in enumerate(tests.match):
        if not finds(text):
            raise document.error(("tests", "match", i), f"tests.match[{i}]: expected a finding, got none")
    for i, text in enumerate(tests.no_match):
        if finds(text):
            raise document.error(("tests", "no_match", i), f"tests.no_match[{i}]: expected no finding, got one")


__all__ = ["RuleError", "compile_lexicon", "compile_rule", "read"]
