"""Names with a slip in them are found; ordinary words beside half a name are not."""

from __future__ import annotations

import pytest

from gateway.screening.content.misspelt import MisspeltIndex, is_near
from gateway.screening.content.phrases import parse_phrase
from gateway.screening.content.tokens import Words
from gateway.screening.rules.ruleset import RuleSet

NAMES = (
    "=taylor =swift",
    "=scarlett =johansson",
    "=will =smith",
    "=ursula =von =der =leyen",
    "=tom =cruise",
    "=zendaya",
)


@pytest.fixture(scope="module")
def index() -> MisspeltIndex:
    return MisspeltIndex(phrase for name in NAMES for phrase in parse_phrase(name, "en"))


def found(index: MisspeltIndex, text: str) -> list[str]:
    words = Words(text)
    return [text[words.tokens[a].start : words.tokens[b].end] for a, b in index.find(words)]


@pytest.mark.parametrize(
    "text",
    [
        "taylor swfit", "tayler swift", "Taylor  Swifft", "taylor-swif", "scarlet johansson", "scarlett johanson",
        "scarlett jhoansson", "ursula von der leyn", "ursulla von der leyen", "tom criuse",
    ],
)  # fmt: skip
def test_a_slip_in_one_word_is_found(index: MisspeltIndex, text: str) -> None:
    assert found(index, f"a portrait of {text} at a desk") == [text]


@pytest.mark.parametrize(
    "text",
    [
        "taylor swift",  # as it is: the terms' business
        "a knight will smite a dragon",  # "smith" beside a short word
        "taylor sweet tea",  # two slips in a short word
        "tayler swfit",  # nothing stands as it is
        "taylor. The shift begins",  # another word between
        "a tom cruising by",
        "scarlett fever, johansen street",
        "zendayya",  # one word alone
        "taylor" + " " * 8 + "swfit",  # too far
        "swfit taylor",
    ],
)
def test_what_only_comes_near_is_not(index: MisspeltIndex, text: str) -> None:
    assert found(index, text) == []


@pytest.mark.parametrize(
    ("word", "name", "near"),
    [
        ("swfit", "swift", True), ("swif", "swift", True), ("swiift", "swift", True), ("swaft", "swift", True),
        ("swift", "swift", False), ("shaft", "swift", False), ("twift", "swift", False),
        ("johanson", "johansson", True), ("johnason", "johansson", True), ("jonason", "johansson", False),
        ("s", "swift", False),
    ],
)  # fmt: skip
def test_how_near_is_near(word: str, name: str, near: bool) -> None:
    assert is_near(word, name) is near


def test_the_shipped_names_are_found_with_a_slip(shipped: RuleSet) -> None:
    lexicon = next(x for x in shipped.lexicons["prompt"] if x.category == "political-figure")
    assert len(lexicon.misspelt) > 100
    text = "kamala haris at a desk"
    assert [text[m.start : m.end] for m in lexicon.find(text, Words(text))] == ["kamala haris"]


@pytest.mark.parametrize(
    "text",
    ["zuckerburg", "zuckerbeg", "zuckerberrg", "zukcerberg", "zuckerber", "zuckerbergh", "dicpario", "dicaprrio"],
)
def test_a_slip_in_a_long_name_of_one_word_is_found(text: str) -> None:
    index = MisspeltIndex(p for name in ("=zuckerberg", "=dicaprio", "=ronaldo") for p in parse_phrase(name, "en"))
    assert found(index, f"a portrait of {text} at a desk") == [text]


@pytest.mark.parametrize(
    "text", ["zuckerberg", "zukcerbegr", "puckerberg", "zuckerbakery", "rolando", "ronald", "zuckerberg" * 4]
)
def test_a_name_of_one_word_has_one_slip_at_most_and_only_a_long_one(text: str) -> None:
    index = MisspeltIndex(p for name in ("=zuckerberg", "=dicaprio", "=ronaldo") for p in parse_phrase(name, "en"))
    assert found(index, f"a portrait of {text} at a desk") == []
