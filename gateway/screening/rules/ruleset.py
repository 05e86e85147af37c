"""All rule files of a folder as one set, loaded whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, get_args

from gateway.screening.content.lexicon import Lexicon
from gateway.screening.entities.errors import NamesUnavailable
from gateway.screening.entities.model import SHA256, absent
from gateway.screening.entities.scan import NameRule, NameScanner
from gateway.screening.exact.lists import ListShelf
from gateway.screening.rules.compile import compile_lexicon, compile_rule, read
from gateway.screening.rules.document import MAX_FILE_BYTES, parse
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.names import compile_names, prove
from gateway.screening.rules.schema import ContentLexicon, DlpRule, Mode, Scope
from gateway.screening.text.scan import Detector, TextScanner

FOLDERS: Final = ("dlp", "content")
MAX_FILES: Final = 2_000
KEPT_FILES: Final = 256
"""A reload, a rollback or another gateway in this process compiles and tests only the files that differ."""
KEPT_SCANNERS: Final = 8
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """What is in force. `revision` names it: the same files give the same revision everywhere."""

    revision: str
    scanners: Mapping[Scope, TextScanner] = field(repr=False)
    """One for each field of a request, with the rules whose scope names it."""
    lexicons: Mapping[Scope, tuple[Lexicon, ...]] = field(repr=False)
    rules: Mapping[str, DlpRule | ContentLexicon] = field(repr=False)
    """By finding type: `dlp.iban`, `content.violence`."""
    names: Mapping[Scope, NameScanner] = field(repr=False, default_factory=dict)
    """Rules that want names, for each field; empty where none does."""
    waiting: tuple[str, ...] = ()
    """Rules that are not run because the list that they look up has not been imported."""
    without_model: tuple[str, ...] = ()
    """Rules that want names, and the model of names is not installed. Those in monitor mode are not run; a text with a
    cue of one in force is not let through."""


def rule_files(directory: Path) -> list[Path]:
    """The rule files under `directory`, in order. Links count: a Kubernetes ConfigMap mounts its files as links."""
    return sorted(path for folder in FOLDERS for path in (directory / folder).glob("*.y*ml") if path.is_file())


def load(directory: Path, lists: ListShelf | None = None, *, prove_names: bool = False) -> RuleSet:
    """Every rule under `directory`, each checked, compiled and tested. Raises `RuleError`; then nothing has changed.

    Without `lists`, rules that look values up wait, or don't load where they say so. Rules that want names are tested
    by their own tests when they are first used, which loads the model; with `prove_names` now, where it is installed.
    """
    files = rule_files(directory)
    if not files:
        raise RuleError(directory.name, 1, "no rule files: a gate without rules would let everything through")
    if len(files) > MAX_FILES:
        raise RuleError(directory.name, 1, f"too many rule files: expected at most {MAX_FILES}, got {len(files)}")
    digest = hashlib.sha256()
    rules: dict[str, DlpRule | ContentLexicon] = {}
    detectors, lexicons, waiting = [], [], []
    naming: list[NameRule] = []
    without_model: list[str] = []
    for path in files:
        name = path.relative_to(directory).as_posix()
        try:
            with path.open("rb") as stream:
                raw = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise RuleError(name, 1, f"can't be read: {type(error).__name__}") from None
        digest.update(b"%d %s %d\n" % (len(name), name.encode(), len(raw)))
        digest.update(raw)
        kind = f"{path.parent.name}."
        rule: DlpRule | ContentLexicon
        if path.parent.name == "dlp":
            rule, detector = _dlp(name, raw)
            if rule.exact_match and rule.mode != "off":
                detector = compile_rule(parse(name, raw), rule, lists)
            if detector is not None and detector.entities:
                named = _named(name, raw)
                if rule.mode == "off":
                    pass
                elif absent():
                    without_model.append(rule.id)
                    naming += [named] if rule.mode == "enforce" else []
                else:
                    digest.update(SHA256.encode())  # found or not: another model is another set of rules
                    naming.append(named)
                    if prove_names:
                        _prove_names(name, raw)
            elif detector is None:
                waiting += [rule.id] if rule.mode != "off" else []
            elif rule.mode != "off":
                detectors.append(detector)
                digest.update(detector.exact.known.seal.encode() if detector.exact else b"")
        else:
            rule, lexicon = _content(name, raw)
            if rule.mode != "off":
                lexicons.append(lexicon)
        if kind + rule.id in rules:
            raise parse(name, raw).error(("id",), f"id is taken: {rule.id} stands in two files")
        rules[kind + rule.id] = rule
    scanners: dict[tuple[Detector, ...], TextScanner] = {}  # most rules are for all texts, so scopes share one
    of_scope = {scope: tuple(d for d in detectors if scope in d.scope) for scope in SCOPES}
    for wanted in of_scope.values():
        if wanted not in scanners:
            scanners[wanted] = TextScanner(wanted) if any(d.exact for d in wanted) else _scanner(wanted)
    return RuleSet(
        revision=digest.hexdigest()[:12],
        scanners={scope: scanners[wanted] for scope, wanted in of_scope.items()},
        lexicons={scope: tuple(x for x in lexicons if scope in x.scope) for scope in SCOPES},
        rules=rules,
        names={scope: NameScanner([n for n in naming if scope in n.detector.scope]) for scope in SCOPES},
        waiting=tuple(waiting),
        without_model=tuple(without_model),
    )


def wanting_names(directory: Path) -> list[tuple[str, Mode]]:
    """The rules under `directory` that want names, with their modes; those that are off don't. Raises `RuleError`."""
    found: list[tuple[str, Mode]] = []
    for path in rule_files(directory):
        if path.parent.name == "dlp":
            rule, _ = _dlp(path.relative_to(directory).as_posix(), path.read_bytes())
            if rule.detect is not None and rule.detect.wants_names and rule.mode != "off":
                found.append((rule.id, rule.mode))
    return found


# What bytes come to never changes while the program doesn't, so it is worked out once for the process: detectors,
# lexicons and scanners are immutable. What looks into a list is left out: lists come and go beside the files.


@lru_cache(maxsize=KEPT_FILES)
def _dlp(name: str, raw: bytes) -> tuple[DlpRule, Detector | None]:
    """A rule, checked and tested, with its detector unless that looks values up."""
    document = parse(name, raw)
    rule = read(document, DlpRule)
    return rule, compile_rule(document, rule) if rule.detect else None


@lru_cache(maxsize=KEPT_FILES)
def _named(name: str, raw: bytes) -> NameRule:
    """A rule that wants names."""
    rule, detector = _dlp(name, raw)
    if detector is None:  # the caller has looked
        raise ValueError(name)
    return compile_names(parse(name, raw), rule, detector)


@lru_cache(maxsize=KEPT_FILES)
def _prove_names(name: str, raw: bytes) -> None:
    document = parse(name, raw)
    try:
        prove(document, _named(name, raw))
    except NamesUnavailable as error:
        raise document.error(("detect", "any"), str(error)) from None


@lru_cache(maxsize=KEPT_FILES)
def _content(name: str, raw: bytes) -> tuple[ContentLexicon, Lexicon]:
    document = parse(name, raw)
    rule = read(document, ContentLexicon)
    return rule, compile_lexicon(document, rule)


@lru_cache(maxsize=KEPT_SCANNERS)
def _scanner(detectors: tuple[Detector, ...]) -> TextScanner:
    return TextScanner(detectors)
