"""Words, their forms and disguises; what only sounds alike passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.screening.content.lexicon import Lexicon, PhraseIndex, Together
from gateway.screening.content.phrases import PhraseError, inflections, parse_phrase
from gateway.screening.content.tokens import Words
from gateway.screening.rules.ruleset import RuleSet
from gateway.screening.text.normalise import normalise
from gateway.vocabulary import Effect, Severity

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "screening"


def index(*texts: str, language: str = "en") -> PhraseIndex:
    return PhraseIndex([p for t in texts for p in parse_phrase(t, language)])


def lexicon(*terms: str, exceptions: tuple[str, ...] = (), together: tuple[Together, ...] = ()) -> Lexicon:
    return Lexicon(
        category="test", severity=Severity.LOW, effect=Effect.DENY,
        terms=index(*terms), exceptions=index(*exceptions), together=together,
    )  # fmt: skip


def found(lex: Lexicon, text: str) -> list[str]:
    plain = normalise(text).text
    return [plain[m.start : m.end] for m in lex.find(plain, Words(plain))]


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("run", {"run", "runs", "running"}),
        ("stab", {"stab", "stabs", "stabbed", "stabbing"}),
        ("rape", {"rape", "rapes", "raped", "raping"}),
        ("body", {"body", "bodies", "bodied", "bodying"}),
        ("crush", {"crush", "crushes", "crushed", "crushing"}),
    ],
)
def test_english_words_have_their_regular_forms(word: str, forms: set[str]) -> None:
    assert inflections(word, "en") >= forms


def test_inflection_never_makes_a_shorter_word() -> None:
    assert "rap" not in inflections("rape", "en")
    assert inflections("kkk", "en") >= {"kkk"}


DISGUISES = (
    "kill", "KILL", "Killing", "k1ll", "ki11ing", "k i l l", "k.i.l.l", "k-i-l-l", "kiiiill", "кill", "ｋｉｌｌ",
    "ki\u200bll", "k!ll", "kill's",
)  # fmt: skip


@pytest.mark.parametrize("text", DISGUISES)
def test_a_word_is_found_in_its_disguises(text: str) -> None:
    assert found(lexicon("kill"), f"a {text} b")


@pytest.mark.parametrize("text", ["skill", "kilt", "killer", "kil l", "k8", "bill", "k. ill", "painkillers"])
def test_a_word_is_not_found_in_another(text: str) -> None:
    assert found(lexicon("kill"), f"a {text} b") == []


@pytest.mark.parametrize("text", ["sh00t p3ople", "shoot p3ople", "s h o o t people", "sh00t, p e o p l e"])
def test_a_phrase_is_found_when_any_of_its_words_is_disguised(text: str) -> None:
    assert found(lexicon("shoot people"), f"go {text} now") == [text]


def test_accents_make_no_difference() -> None:
    assert found(lexicon("égorgé"), "un homme egorge ici") == ["egorge"]
    assert found(lexicon("egorge"), "l'égorgé") == ["l'égorgé"]


def test_exact_words_have_no_other_form() -> None:
    assert found(lexicon("=cum"), "cums") == []
    assert found(lexicon("=cum"), "cum") == ["cum"]


def test_choices_and_options() -> None:
    lex = lexicon("slit (his|her)? (wrist|throat)")
    assert found(lex, "slit throats") == ["slit throats"]
    assert found(lex, "slitting her wrist") == ["slitting her wrist"]
    assert found(lex, "slit my wrist") == []


def test_a_phrase_does_not_reach_over_a_sentence_end() -> None:
    assert found(lexicon("kill people"), "kill   . people") == []
    assert found(lexicon("kill people"), "kill, people") == ["kill, people"]


def test_an_exception_excuses_only_the_place_it_covers() -> None:
    lex = lexicon("nude", exceptions=("nude lipstick",))
    assert found(lex, "nude lipstick") == []
    assert found(lex, "nude lipstick on a nude model") == ["nude"]
    assert found(lex, "lipstick, nude") == ["nude"]


def test_things_together_count_only_near_each_other() -> None:
    lex = lexicon("zzz", together=(Together(index("child"), index("nude"), 4),), exceptions=("naked mole rat",))
    assert found(lex, "a nude laughing child") == ["nude laughing child"]
    assert found(lex, "a child, nude") == ["child, nude"]
    assert found(lex, "a child far away over there from any nude") == []
    assert found(lex, "a nude") == []


def test_the_longest_phrase_at_a_place_is_told_once() -> None:
    assert found(lexicon("dead", "dead body"), "a dead body") == ["dead body"]


@pytest.mark.parametrize("text", ["", "(a|b", "a)", "(a b|c)", "(a|)", "?", "(a|b)? (c)?", "a " * 11, "((a))", "| a"])
def test_a_phrase_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(PhraseError):
        parse_phrase(text, "en")


@given(st.text(alphabet=st.characters(), max_size=80))
def test_any_line_is_read_or_refused(text: str) -> None:
    try:
        phrases = parse_phrase(text, "en")
    except PhraseError:
        return
    assert phrases


@given(st.text(max_size=200))
def test_no_text_upsets_a_lexicon_and_mentions_do_not_overlap(text: str) -> None:
    plain = normalise(text).text
    words = Words(plain)
    for mention in lexicon("a (b|c)? d", "e").find(plain, words):
        assert 0 <= mention.start < mention.end <= len(plain)
    assert list(words.tokens) == sorted(words.tokens, key=lambda t: (t.start, t.end))


CASES: list[dict[str, str]] = yaml.safe_load((VECTORS / "content.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[c["text"] for c in CASES])
def test_the_shipped_lexicons_speak_of(case: dict[str, str], shipped: RuleSet) -> None:
    plain = normalise(case["text"]).text
    words = Words(plain)
    told = {lex.category for lex in shipped.lexicons["prompt"] if lex.find(plain, words)}
    assert case["category"] in told


def test_the_work_grows_with_the_text_and_not_faster() -> None:
    """Counted, not timed: phrases tried for a text ten times as long are ten times as many."""

    class Counted(list[Any]):
        looks = 0

        def __getitem__(self, key: Any) -> Any:
            Counted.looks += 1
            return super().__getitem__(key)

    def looks(times: int) -> int:
        words = Words("open heart shoot the child " * times)
        words.tokens = Counted(words.tokens)
        Counted.looks = 0
        lexicon("open (heart|skull) surgery", "shoot (a|the)? (man|child)").find("", words)
        return Counted.looks

    assert looks(1_000) <= 10.5 * looks(100)


def test_reprs_show_no_text() -> None:
    words = Words("secret words here")
    assert "secret" not in repr(words.tokens)
    assert "kill" not in repr(lexicon("kill").find("kill", Words("kill")))
