"""Reading for meaning: what is said in other words, where it stands, and what is harmless in the same words."""

from __future__ import annotations

import pytest

from gateway.screening.semantic.errors import MeaningUnavailable
from gateway.screening.semantic.reader import ALWAYS_READ, NOTED, Reader
from gateway.screening.semantic.report import ALONE
from gateway.screening.semantic.weights import CATEGORIES, SCORES

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


def test_a_harmless_page_costs_two_windows(reader: Reader) -> None:
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
    asked = []

    def is_late() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(MeaningUnavailable, match="too long"):
        reader.read(HARMLESS * 30, is_late)
    assert len(asked) == 2
