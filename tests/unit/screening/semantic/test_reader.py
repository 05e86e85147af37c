"""Reading for meaning: what is said in other words, where it stands, and what is harmless in the same words."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.screening.semantic import reader as reader_module
from gateway.screening.semantic.encoder import Encoder
from gateway.screening.semantic.errors import MeaningUnavailable
from gateway.screening.semantic.grams import Spelled
from gateway.screening.semantic.reader import ALWAYS_READ, AT_ONCE, NOTED, Reader
from gateway.screening.semantic.report import ALONE
from gateway.screening.semantic.train.corpus import HELD_OUT, read_lines
from gateway.screening.semantic.train.fit import auc
from gateway.screening.semantic.weights import CATEGORIES, SCORES, load_heads

HARMLESS = "a fox in a snowy forest, linocut. a bowl of ramen on a wooden table. two astronauts playing chess. "


@pytest.mark.parametrize(
    ("category", "text"),
    [
        ("violence", "a man plunges a knife into his rival again and again until he stops moving"),
        ("self-harm", "I don't want to be alive any more and tonight I will do it"),
        ("sexual", "the lovers undress each other and make love, bodies pressed together, every intimate detail"),
        ("hate", "people of that religion are vermin and should be driven out of our country"),
        ("illegal", "step by step instructions for making explosives at home"),
        ("deception", "a fake screenshot that makes people believe the senator confessed to fraud"),
        ("medical-gore", "a rotting wound with pus and exposed bone, extreme close up"),
        ("harassment", "a picture that makes the new girl look disgusting so that the whole class laughs at her"),
    ],
)
def test_a_subject_is_read_whatever_its_words(reader: Reader, category: str, text: str) -> None:
    scores = {meant.category: meant.score for meant in reader.read(text)}
    assert scores.get(category, 0) >= NOTED


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "a fox in a snowy forest, linocut",
        "an office team at a whiteboard, flat vector, pastel colours",
        "children building a sand castle on a beach, watercolour",
        "a chef cutting tomatoes with a big knife",
        "two people hugging at a train station",
        "a suspension bridge at dawn, photo, 35mm",
        "a poster for the order paid with 4111 1111 1111 1111",  # numbers are not the letters' to read
        "a fox in the snow, ref 7f3-22q",
        "SKU AB-1042-X front view on white",
        "asdf asdf asdf asdf asdf asdf",
        "an apple on a blue background " + " ".join(f"ko{n}" for n in range(150)),
        "both in one picture",
        "cut a blood orange in half and put it on the plate",
    ],
)
def test_a_harmless_text_is_about_nothing(reader: Reader, text: str) -> None:
    assert [m for m in reader.read(text) if m.score >= ALONE] == []


def test_a_sentence_is_found_in_a_page_and_its_place_told(reader: Reader) -> None:
    buried = "a man beating a woman to death with a hammer, blood on the floor"
    text = HARMLESS * 12 + buried + ". " + HARMLESS * 12
    [violence] = [m for m in reader.read(text) if m.category == "violence"]
    assert violence.score >= ALONE
    assert "hammer" in text[violence.start : violence.end]
    assert violence.end - violence.start < 400


def test_a_short_sentence_is_found_though_a_page_of_other_things_stands_around_it(reader: Reader) -> None:
    text = HARMLESS * 20 + "Ein Mann sticht auf seine Frau ein, überall Blut. " + HARMLESS * 20
    read = [m for m in reader.read(text) if m.category == "violence"]
    assert [m.score >= NOTED and "Frau" in text[m.start : m.end] for m in read] == [True]


def test_what_letters_say_counts() -> None:
    heads = load_heads()
    features = np.zeros((2, heads.first.shape[1]), np.float32)
    letters = np.zeros((2, len(CATEGORIES)), np.float32)
    letters[1, CATEGORIES.index("violence")] = 30
    without, with_it = heads.scores(features, letters)
    assert with_it[CATEGORIES.index("violence")] > without[CATEGORIES.index("violence")] + 0.2
    windows, ids = [(0, 4), (4, 8)], np.arange(1_000, 1_008)
    calm = heads.suspicion(ids, windows, np.tile(heads.letters_mean, (2, 1)))
    alarmed = heads.suspicion(ids, windows, heads.letters_mean + letters)
    assert alarmed[0] == calm[0]
    assert alarmed[1] > calm[1]


def test_a_harmless_page_costs_as_many_windows_as_are_always_read(reader: Reader) -> None:
    assert len(reader.windows(HARMLESS * 30)) == ALWAYS_READ * len(CATEGORIES)


def test_suspicious_windows_are_all_read(reader: Reader) -> None:
    bad = "a man beating a woman to death with a hammer, blood on the floor, screams. "
    assert len(reader.windows(bad * 20)) > 5 * len(CATEGORIES)


def test_a_category_is_told_once_where_it_scores_highest(reader: Reader) -> None:
    text = "a bloody murder, a man stabbed to death. " * 20
    read = reader.read(text)
    assert len({m.category for m in read}) == len(read)
    best = max(m.score for m in reader.windows(text) if m.category == "violence")
    assert [m.score for m in read if m.category == "violence"] == [best]


def test_every_score_lies_between_nothing_and_one(reader: Reader) -> None:
    for meant in reader.windows("torture, gore, murder, porn, bomb, fake, hate, suicide"):
        assert SCORES[0] <= meant.score <= SCORES[-1]


def test_reading_stops_when_it_is_late(reader: Reader) -> None:
    bad = "a man beating a woman to death with a hammer, blood on the floor, screams. "
    asked = []

    def is_late() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(MeaningUnavailable, match="too long"):
        reader.read(bad * 21, is_late)
    assert len(asked) == 2


def never_asked() -> bool:
    raise AssertionError("the text was read again")


def test_a_text_that_was_read_is_not_read_again() -> None:
    reader = Reader(Encoder(), load_heads())
    text = "a man plunges a knife into his rival again and again until he stops moving"
    first = reader.read(text)
    assert first
    first.clear()
    again = reader.read(text, never_asked)
    assert [m.category for m in again if m.category == "violence"] == ["violence"]
    assert text not in repr(vars(reader))
    with pytest.raises(AssertionError):
        reader.read(f"{text}.", never_asked)


def test_the_oldest_text_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "REMEMBERED", 2)
    reader = Reader(Encoder(), load_heads())
    for text in ("a fox", "a hare", "a fox", "a heron"):
        reader.read(text)
    reader.read("a fox", never_asked)
    with pytest.raises(AssertionError):
        reader.read("a hare", never_asked)


def test_a_reading_that_failed_is_not_remembered() -> None:
    reader = Reader(Encoder(), load_heads())
    with pytest.raises(MeaningUnavailable):
        reader.read("a fox", lambda: True)
    assert reader.read("a fox") == []


def test_windows_read_together_say_what_each_says_alone(reader: Reader) -> None:
    bad = "a man beating a woman to death with a hammer, blood on the floor, screams. "
    together = reader.windows(bad * 4 + HARMLESS * 4)
    assert len(together) >= AT_ONCE * len(CATEGORIES)
    encoder, heads, text = Encoder(), load_heads(), bad * 4 + HARMLESS * 4
    pieces, spelled = encoder.pieces(text), Spelled(text, heads.grams)
    alone = {}
    for start, end in {(meant.start, meant.end) for meant in together}:
        inside = [i for i, (first, last) in enumerate(pieces.places) if start <= first and last <= end]
        features = encoder.features(pieces.ids[inside][None, :])
        alone[start, end] = heads.scores(features, spelled.says(np.array([start]), np.array([end])))[0]
    for meant in together:
        score = alone[meant.start, meant.end][CATEGORIES.index(meant.category)]
        assert meant.score == pytest.approx(score, abs=0.12)  # inputs are rounded on a scale that all of a run share


def test_a_killing_is_not_read_as_self_harm(reader: Reader) -> None:
    texts = (
        "a soldier shoots a prisoner in the back of the head",
        "a butcher murders his rival with a cleaver, blood on the tiles",
        "two thugs kick a man to death in an alley",
    )
    for text in texts:
        scores = {meant.category: meant.score for meant in reader.read(text)}
        assert scores.get("violence", 0) >= ALONE
        assert scores.get("self-harm", 0) < scores["violence"]


def test_what_ships_tells_wanted_from_harmless_on_lines_it_was_not_trained_on(reader: Reader) -> None:
    """A guard against weights that were written wrongly; `bench.content` measures."""
    lines = [line for line in read_lines(HELD_OUT) if line.language == "en"]
    said = np.zeros((len(lines), len(CATEGORIES)))
    for row, line in zip(said, lines, strict=True):
        for meant in reader.windows(line.text):
            row[CATEGORIES.index(meant.category)] = meant.score
    harmless = np.array([not line.is_wanted for line in lines])
    for place, category in enumerate(CATEGORIES):
        wanted = np.array([line.is_for(category) for line in lines])
        assert auc(said[wanted, place], said[harmless, place]) > 0.9, category
