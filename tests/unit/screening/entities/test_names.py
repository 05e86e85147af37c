"""Which of the model's finds names somebody, which parts of a text are read for it, and what a scan comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.screening.entities.errors import NamesUnavailable
from gateway.screening.entities.model import Named, shared_model
from gateway.screening.entities.names import name_in
from gateway.screening.entities.scan import NameRule, NameScanner, Wanted, fault, read, sound
from gateway.screening.entities.stretches import MOST_CHARS, around
from gateway.screening.rules.ruleset import load
from gateway.screening.text.cues import Cues
from gateway.screening.text.normalise import normalise
from gateway.screening.text.scan import MAX_HITS, Budget, Hit, OverBudget
from gateway.vocabulary import Effect

from .rulefile import GOOD, Told, compiled, rules

CUES = Cues(["client", "kundin", "our client"], ["by"], 30)


def named_in(text: str, found: str, label: str = "PERSON", kinds: tuple[str, ...] = ("PERSON",)) -> str | None:
    at = text.index(found)
    place = name_in(text, Named(label, at, at + len(found)), CUES, kinds)
    return text[slice(*place)] if place else None


@pytest.mark.parametrize(
    ("text", "found", "name"),
    [
        ("client Anna Berger here", "Anna Berger", "Anna Berger"),
        ("unserer Kundin Anna Berger vor", "Kundin Anna Berger", "Anna Berger"),
        ("Client Anna Berger", "Client Anna Berger", "Anna Berger"),
        ("the client and Anna Berger's house", "Anna Berger's", "Anna Berger"),
        ("client Anna Berger vor ihrem Haus", "Anna Berger vor ihrem Haus", "Anna Berger"),
        ("client in a café: J. Roe", "J. Roe", "J. Roe"),
        ("client Ludwig van der Velde", "Ludwig van der Velde", "Ludwig van der Velde"),
        ("client Jean-Luc O'Neill", "Jean-Luc O'Neill", "Jean-Luc O'Neill"),
        ("client Mrs. Berger", "Berger", "Berger"),
        ("client and Frau Berger", "Frau Berger", "Frau Berger"),
        ("client Anna Berger as a queen", "Anna Berger", "Anna Berger"),
        ("client Anna", "Anna", None),
        ("client A. B.", "A. B.", None),
        ("client Mr Dr", "Mr Dr", None),
        ("client ein Bild von einem", "ein Bild von einem", None),
        ("client ihrem Haus", "ihrem Haus", None),
        ("client jane roe", "jane roe", None),
        ("client Success Manager", "Success Manager", None),
        ("client ...", "...", None),
    ],
)
def test_of_a_person_both_names_or_a_title_and_nothing_else(text: str, found: str, name: str | None) -> None:
    assert named_in(text, found) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a client called Anna Ash", "Anna Ash"),
        ("a client and Anna Ash", "Anna Ash"),
        ("client: Anna Ash", "Anna Ash"),
        ("a client with Dr. Anna Ash", "Anna Ash"),
        ("a client, Anna Ash", None),
        ("a client. Anna Ash", None),
        ("Anna Ash, our client", "Anna Ash"),
        ("Anna Ash, client", None),
        ("Anna Ash, born on 3 May", "Anna Ash"),
        ("Anna Ash as our client", None),
        ("Anna Ash, als unsere Kundin", None),
        ("a client Anna Ash style", None),
        ("a client Anna Ash-style", None),
        ("a client called Anna Ash's style", None),
        ("a client by Anna Ash", None),
        ("a client of Anna Ash", None),
        ("a client at the Anna Ash", None),
        ("une cliente, client à la Anna Ash", None),
        ("by a client called Anna Ash", "Anna Ash"),
    ],
)
def test_the_cue_has_to_speak_of_the_name(text: str, name: str | None) -> None:
    cues = Cues(["client", "kundin", "born on"], ["by"], 32)
    at = text.index("Anna Ash")
    place = name_in(text, Named("PERSON", at, at + 8), cues, {"PERSON"})
    assert (text[slice(*place)] if place else None) == name


@pytest.mark.parametrize(
    ("text", "found", "label", "name"),
    [
        ("notre client Nadia Girard part", "Nadia Girard", "ORG", "Nadia Girard"),
        ("our client Marcus Girard Doyle", "Girard", "PERSON", "Marcus Girard Doyle"),
        ("our client Marcus Doyle", "Marcus", "GPE", "Marcus Doyle"),
        ("die Kundin Sabine Lindner im Garten", "Kundin Sabine Lindner", "ORG", "Sabine Lindner"),
        ("Nadia Girard, our client", "Nadia Girard", "ORG", "Nadia Girard"),
        ("Nadia Girard of a client", "Nadia Girard", "ORG", None),
        ("our client in Central Park", "Central Park", "LOC", None),
        ("our client Siemens", "Siemens", "ORG", None),
        ("our client visits Burger King", "Burger King", "ORG", None),
        ("The Client Anna Berger", "Anna", "PERSON", "Anna Berger"),
        ("The Client Anna Berger", "The Client Anna Berger", "PERSON", "Anna Berger"),
        ("An Old Client Leaves Two Coats With Us Every Single Monday", "Leaves Two", "ORG", None),
        ("The Birthday Card For Our Client Anna Berger With Flowers", "Anna Berger", "PERSON", "Anna Berger"),
    ],
)
def test_right_beside_a_cue_it_is_a_person_s_name_whatever_the_model_takes_it_for(
    text: str, found: str, label: str, name: str | None
) -> None:
    assert named_in(text, found, label) == name


def test_a_company_or_a_place_may_be_one_word_with_a_capital() -> None:
    assert named_in("client Siemens", "Siemens", "ORG", ("ORG",)) == "Siemens"
    assert named_in("client Bank of Canada", "Bank of Canada", "ORG", ("ORG",)) == "Bank of Canada"
    assert named_in("client munich", "munich", "GPE", ("GPE",)) is None
    assert named_in("client Anna Berger", "Anna Berger", "PERSON", ("ORG",)) is None


def test_only_what_surrounds_a_cue_is_read() -> None:
    far = "A Mill In The Hills. " * 100
    text = f"{far}a letter for our client Anna Berger, on blue paper. {far}"
    [stretch] = around(text, [CUES], lambda: None)
    cue = text.index("our client")
    assert stretch.start <= cue - 15
    assert stretch.end >= cue + len("our client") + 30
    assert stretch.end - stretch.start < 300
    assert " " not in (text[stretch.start], text[stretch.end - 1])
    assert text[stretch.start - 1] == text[stretch.end] == " "


@pytest.mark.parametrize("text", ["a client in a café", "a client", "A mill on a hill, far away from it a client"])
def test_nothing_is_read_where_no_capital_is_near_the_cue(text: str) -> None:
    assert around(text, [CUES], lambda: None) == []


def test_cues_near_each_other_are_read_together_and_many_not_at_once() -> None:
    assert len(around("client Anna Ash and client Bob Beech", [CUES], lambda: None)) == 1
    text = "client Anna Ash and " * 500
    stretches = around(text, [CUES], lambda: None)
    assert all(stretch.end - stretch.start <= MOST_CHARS for stretch in stretches)
    covered = set()
    for stretch in stretches:
        covered.update(range(*stretch))
    assert set(range(len(text) - 60)) <= covered


def test_the_clock_is_looked_at_while_cues_are_looked_for() -> None:
    looks: list[int] = []
    around("client Anna " * 2_000, [CUES], lambda: looks.append(1))
    assert len(looks) >= 7


def test_a_cue_s_place_is_right_where_folding_changes_lengths() -> None:
    text = "Straße Straße œuvre große CLIENT Anna"
    [(start, end)] = Cues(["client"], [], 30).places(text)
    assert text[start:end] == "CLIENT"
    assert list(Cues(["größe"], [], 30).places("eine Größe, die GRÖSSE")) == [(5, 10), (16, 22)]


def scanned(directory: Path, text: str, *words: str, rule: str = GOOD, **told: object) -> list[Hit]:
    scanner = rules(directory, rule).names["prompt"]
    plain = normalise(text)
    wanted = scanner.wanted(plain.text, Budget())
    return read(wanted.rules, plain, wanted.stretches, Told(*words, **told))  # type: ignore[arg-type]


def test_a_hit_lies_in_the_text_as_it_was_sent(tmp_path: Path) -> None:
    text = "\u200bour cl\u200bient\u200b Аnnа\u200b Berger, ½ now"  # Cyrillic А and а
    [hit] = scanned(tmp_path, text, "Anna Berger")
    assert text[hit.start : hit.end].strip("\u200b") == "Аnnа\u200b Berger"
    assert hit.canonical == "anna berger"
    assert hit.detector.effect is Effect.REVIEW
    assert not hit.maskable
    assert 0 < hit.score < 1
    assert "Berger" not in repr(hit)


def test_a_name_without_a_cue_is_none(tmp_path: Path) -> None:
    assert scanned(tmp_path, "Anna Berger in a park", "Anna Berger") == []
    assert scanned(tmp_path, f"a client {'and a mill ' * 5}Anna Berger", "Anna Berger") == []


def test_a_word_against_it_that_is_nearer_wins(tmp_path: Path) -> None:
    assert scanned(tmp_path, "a Client in a park by Anna Berger", "Anna Berger") == []
    assert len(scanned(tmp_path, "by a Client Anna Berger", "Anna Berger")) == 1


def test_a_made_up_name_may_stand(tmp_path: Path) -> None:
    assert scanned(tmp_path, "our client Jane Doe", "Jane Doe") == []
    assert scanned(tmp_path, "our client JANE DOE", "JANE DOE") == []


def test_only_names_of_the_kinds_that_are_wanted_count(tmp_path: Path) -> None:
    assert scanned(tmp_path, "our client Siemens", "Siemens", label="ORG") == []
    firms = GOOD.replace("PERSON", "ORG\n    - entity: GPE")
    assert len(scanned(tmp_path, "our client Siemens", "Siemens", label="ORG", rule=firms)) == 1
    assert len(scanned(tmp_path, "our client in Berlin", "Berlin", label="GPE", rule=firms)) == 1
    assert scanned(tmp_path, "our client Anna Berger", "Anna Berger", rule=firms) == []


def test_equal_names_meet_however_written(tmp_path: Path) -> None:
    hits = scanned(tmp_path, "client Anna Berger, client ANNA  BERGER", "Anna Berger", "ANNA  BERGER")
    assert len({hit.canonical for hit in hits}) == 1
    assert len(hits) == 2


def test_a_list_of_names_may_be_one_finding_and_review_may_begin_with_several(tmp_path: Path) -> None:
    text = "our clients: client Anna Ash, client Bob Beech, client Cora Cedar"
    names = ("Anna Ash", "Bob Beech", "Cora Cedar")
    [hit] = scanned(tmp_path, text, *names, rule=GOOD.replace("  context:", "  min_count: 3\n  context:"))
    assert text[hit.start : hit.end] == "Anna Ash, client Bob Beech, client Cora Cedar"
    milder = GOOD.replace("default: review", "default: allow\n  review_if: {values: 3}")
    assert [h.detector.effect for h in scanned(tmp_path, text, *names, rule=milder)] == [Effect.REVIEW] * 3
    assert [h.detector.effect for h in scanned(tmp_path, text, *names[:2], rule=milder)] == [Effect.ALLOW] * 2


def test_more_names_than_a_prompt_holds_are_too_many(tmp_path: Path) -> None:
    with pytest.raises(OverBudget):
        scanned(tmp_path, "client Anna Berger and " * (MAX_HITS + 1), "Anna Berger")


def test_lateness_is_asked_for_before_each_part(tmp_path: Path) -> None:
    scanner = rules(tmp_path).names["prompt"]
    plain = normalise("client Anna Berger and " * 500)
    wanted = scanner.wanted(plain.text, Budget())
    told = Told()
    with pytest.raises(NamesUnavailable, match="took too long"):
        read(wanted.rules, plain, wanted.stretches, told, lambda: len(told.texts) == 3)
    assert len(told.texts) == 3 < len(wanted.stretches)


def test_a_text_without_a_cue_asks_for_nothing(tmp_path: Path) -> None:
    scanner = rules(tmp_path).names["prompt"]
    assert scanner.wanted("Anna Berger in a park", Budget()) == Wanted()
    assert scanner.wanted("", Budget()) == Wanted()
    assert scanner.wanted("our client Anna", Budget()).is_enforced


@pytest.mark.parametrize("effect", [Effect.DENY, Effect.MASK])
def test_no_scanner_is_made_of_a_rule_that_may_do_more_than_review(effect: Effect, tmp_path: Path) -> None:
    [good] = rules(tmp_path).names["prompt"].rules
    with pytest.raises(ValueError, match="for review at most"):
        NameScanner([replace(good, detector=replace(good.detector, effect=effect))])


def test_no_scanner_is_made_of_a_rule_without_required_cues(tmp_path: Path) -> None:
    [good] = rules(tmp_path).names["prompt"].rules
    for detector in (replace(good.detector, cues=None), replace(good.detector, cue_required=False)):
        with pytest.raises(ValueError, match="only looked for beside a cue"):
            NameScanner([NameRule(detector, (), ())])


def test_a_rule_in_force_that_fails_its_own_tests_has_no_answer_and_one_that_watches_goes(
    tmp_path: Path,
) -> None:
    finds_nothing = Told()
    [good] = rules(tmp_path).names["prompt"].rules
    assert fault(good, finds_nothing) == ("match", 0)
    assert fault(good, Told("Anna Berger", "a client")) is None
    with pytest.raises(NamesUnavailable, match=r"client-name: tests\.match\[0\]"):
        sound([good], finds_nothing)
    [watching] = rules(tmp_path, GOOD.replace("enforce", "monitor")).names["prompt"].rules
    assert sound([watching], finds_nothing) == []


def test_a_rule_is_tried_once_for_the_process(tmp_path: Path) -> None:
    [good] = rules(tmp_path).names["prompt"].rules
    told = Told("Anna Berger")
    assert sound([good], told) == sound([good], told) == [good]
    tried = len(told.texts)
    sound([good], told)
    assert len(told.texts) == tried > 0


ARTISTS = (
    "Greg Rutkowski",
    "Alphonse Mucha",
    "Edward Hopper",
    "Zdzisław Beksiński",
    "Hayao Miyazaki",
    "Annie Leibovitz",
)
FIGURES = ("Ada Lovelace", "Harry Potter", "Homer Simpson", "Sherlock Holmes", "Lara Croft", "Nikola Tesla")
FRAMES = (
    "a castle by {}, trending on artstation",
    "portrait of {}",
    "portrait of {}, born in 1815, oil on canvas",
    "{} riding a dragon",
    "{} in the style of a children's book",
    "a happy customer in a bakery, by {}",
    "a patient old man at the sea, {} style, by {}",
    "an employee at a desk, painted by {}",
    "{} as a customer in a coffee shop",
    "our colleague dressed as {}",
    "a statue of {} in front of the client centre",
    "movie poster starring {}, tenant of a haunted house",
    "ein Kunde in einer Bäckerei, gemalt von {}",
    "une cliente dans un café, style de {}",
    "una paciente en una sala, retrato de {}",
)


@pytest.mark.parametrize("frame", FRAMES)
def test_the_shipped_rule_leaves_artists_and_characters_alone(frame: str, policies: Path) -> None:
    scanner = load(policies).names["prompt"]
    for name in (*ARTISTS, *FIGURES):
        plain = normalise(frame.replace("{}", name))
        wanted = scanner.wanted(plain.text, Budget())
        assert read(wanted.rules, plain, wanted.stretches, shared_model()) == [], plain.text


class Everything:
    """Takes every stretch between two blanks, every two of them and the whole for a name of each kind."""

    def read(self, texts: Sequence[str]) -> list[list[Named]]:
        return [[Named(label, *span) for span in self._spans(text) for label in ("PERSON", "ORG")] for text in texts]

    @staticmethod
    def _spans(text: str) -> list[tuple[int, int]]:
        blanks = [0, *(i for i, c in enumerate(text) if c == " "), len(text)]
        return [(a, b) for n in (1, 2) for a, b in zip(blanks, blanks[n:], strict=False) if a < b] + [(0, len(text))]


PIECES = [
    *(
        "client",
        "Client",
        "our client",
        "KUNDE",
        "by",
        "Anna",
        "Berger",
        "ß",
        "Æther",
        "von",
        "Mr.",
        "as",
        "½",
        "\u200b",
    ),
    *("ﬁ", "İ", ",", ":", "Jane Doe", "style", "\n", "Аnnа", "é", "'s", "客户", "𝓐nna"),
]
LINES = st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join) | st.text(max_size=200).map("our client Anna ".__add__)
)
def test_whatever_the_model_says_a_hit_lies_in_the_text_beside_a_cue_and_is_for_review(text: str) -> None:
    plain = normalise(text)
    wanted = SCANNER.wanted(plain.text, Budget())
    for hit in read(wanted.rules, plain, wanted.stretches, Everything()):
        assert 0 <= hit.start < hit.end <= len(text)
        assert hit.detector.effect is Effect.REVIEW
        assert any(CLIENT.places(plain.text))
        assert hit.canonical


CLIENT = Cues(["client", "kunde"], ["by"], 30)
SCANNER = NameScanner([NameRule(compiled(), (), ())])
