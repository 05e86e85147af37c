"""Each check earns its place: with it taken out, some vector goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.screening.rules.ruleset import RuleSet
from gateway.screening.text import normalise as normalise_module
from gateway.screening.text import scan as scan_module
from gateway.screening.text.candidate import Candidate, Surroundings
from gateway.screening.text.normalise import Normalised
from gateway.screening.text.scan import Detector, TextScanner
from gateway.screening.text.validators import LOOK_AROUND, VALIDATORS

# The package's own names are the functions; these are their modules.
payment_card, phone, us_ssn, guard = (
    import_module(f"gateway.screening.text.validators.{name}") for name in ("payment_card", "phone", "us_ssn", "guard")
)

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "screening"
WITH_VALIDATORS = (
    "payment-card", "iban", "us-ssn", "email-address", "phone-number", "aws-access-key", "aws-secret-key",
    "github-token", "slack-token", "google-api-key", "jwt",
)  # fmt: skip


def vectors(kind: str) -> dict[str, list[str]]:
    loaded: dict[str, list[str]] = yaml.safe_load((VECTORS / f"{kind}.yaml").read_text("utf-8"))
    return loaded


def detector(rules: RuleSet, kind: str) -> Detector:
    return next(d for d in rules.scanners["prompt"].detectors if d.rule_id == kind)


def faults(kind: str, one: Detector) -> int:
    """Vectors that a detector alone gets wrong."""
    scanner = TextScanner([one])
    cases = vectors(kind)
    wrong = sum(bool(scanner.scan_text(text)) for text in cases["negative"])
    for text in cases["positive"]:
        wrong += not scanner.scan_text(text.replace("«", "").replace("»", ""))
    return wrong


def test_with_every_check_in_place_no_vector_goes_wrong(shipped: RuleSet) -> None:
    assert {kind: faults(kind, detector(shipped, kind)) for kind in (*WITH_VALIDATORS, "private-key")} == dict.fromkeys(
        (*WITH_VALIDATORS, "private-key"), 0
    )


@pytest.mark.parametrize("kind", WITH_VALIDATORS)
def test_without_its_validator_a_rule_goes_wrong(kind: str, shipped: RuleSet) -> None:
    assert faults(kind, replace(detector(shipped, kind), validators=())) > 0


@pytest.mark.parametrize("kind", ["payment-card", "us-ssn", "phone-number", "aws-secret-key"])
def test_without_its_cues_a_rule_goes_wrong(kind: str, shipped: RuleSet) -> None:
    one = detector(shipped, kind)
    assert faults(kind, replace(one, cues=None, cue_required=False)) > 0


@pytest.mark.parametrize("kind", ["email-address", "phone-number"])
def test_without_its_exceptions_a_rule_finds_its_own_mask(kind: str, shipped: RuleSet) -> None:
    assert faults(kind, replace(detector(shipped, kind), exempt=frozenset())) > 0


Patch = tuple[str, Any, str, Any]


def yes(*_: object, **__: object) -> bool:
    return True


def no(*_: object, **__: object) -> bool:
    return False


PATCHES: Sequence[Patch] = (
    ("payment-card", payment_card._Run, "is_luhn", yes),
    ("payment-card", payment_card._Run, "is_grouped_like_a_card", yes),
    ("payment-card", payment_card, "_issuer_lengths", lambda _d, _s: tuple(range(12, 20))),
    ("us-ssn", us_ssn, "_NEVER", frozenset()),
    ("phone-number", phone, "_is_counting", no),
    ("phone-number", phone, "_is_valid", yes),
    ("phone-number", phone, "_is_valid", no),
    ("github-token", guard, "is_stand_in", no),
    ("github-token", guard, "MIN_BITS_A_CHARACTER", 0.0),
)


@pytest.mark.parametrize(("kind", "owner", "name", "mutant"), PATCHES, ids=[f"{p[0]}: {p[2]}" for p in PATCHES])
def test_without_one_check_of_a_validator_a_rule_goes_wrong(
    kind: str, owner: Any, name: str, mutant: Any, shipped: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, mutant)
    assert faults(kind, detector(shipped, kind)) > 0


def as_it_stands(source: str) -> Normalised:
    return Normalised(source, source, None)


def ladder_misses(rules: RuleSet) -> set[str]:
    cases = yaml.safe_load((VECTORS / "disguises.yaml").read_text("utf-8"))
    scan: Callable[[str], object] = rules.scanners["prompt"].scan_text
    missed = set()
    for case in cases:
        try:
            if not scan(case["text"]):
                missed.add(case["disguise"])
        except UnicodeEncodeError:
            missed.add(case["disguise"])
    return missed


def test_without_normalising_the_disguises_of_writing_work(shipped: RuleSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "normalise", as_it_stands)
    assert ladder_misses(shipped) >= {
        "full-width", "mathematical digits", "arabic-indic digits", "circled digits", "full-width iban",
        "zero-width key",
    }  # fmt: skip


def test_without_views_the_encodings_work(shipped: RuleSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "views", lambda _: iter(()))
    assert ladder_misses(shipped) >= {
        "base64", "base64 twice", "hexadecimal", "url", "html decimal", "english", "german", "spanish", "french",
        "letters for digits", "bracketed e-mail", "worded e-mail", "tag characters", "backwards", "right to left",
    }  # fmt: skip


def test_without_the_table_of_twins_other_alphabets_work(shipped: RuleSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise_module, "_TWINS", {})
    monkeypatch.setattr(normalise_module, "_FORMS", normalise_module._PlainForms())
    plain = normalise_module.normalise("write to jаne@cоrp.com").text
    assert "jane@corp.com" not in plain


def test_the_validators_that_look_around_are_the_ones_that_say_so() -> None:
    """One that looks and isn't listed would never see a countered candidate; one that is listed and doesn't look
    would let every countered candidate through."""
    looking = set()
    for name, validator in VALIDATORS.items():
        for text in ("4111111111111111", "415-867-5309", "536-90-4399", "DE89370400440532013000", "jane@corp.com"):
            looks: list[int] = []

            def look(looks: list[int] = looks) -> Surroundings:
                looks.append(1)
                return Surroundings()

            validator(Candidate(text, 0, len(text), look))
            if looks:
                looking.add(name)
    assert looking == LOOK_AROUND


def test_a_candidate_without_surroundings_is_neither_cued_nor_countered() -> None:
    assert Candidate("1", 0, 1).look() == Surroundings(cued=False, countered=False)
