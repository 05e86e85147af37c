"""Words around a value speak for it or against it."""

from __future__ import annotations

import pytest

from gateway.screening.text.candidate import Surroundings
from gateway.screening.text.cues import Cues

CUES = Cues(("card", "téléphone", "social security", "a.b"), ("seed", "order no"), 30)
NOTHING, FOR, AGAINST = Surroundings(), Surroundings(cued=True), Surroundings(countered=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat 123", NOTHING),
        ("my card 123", FOR),
        ("my CARD: 123", FOR),
        ("mon telephone 123", FOR),
        ("Téléphone 123", FOR),
        ("social-security 123", FOR),
        ("social_security=123", FOR),
        ("123 is my card", FOR),
        ("cardigan 123", NOTHING),
        ("postcard 123", NOTHING),
        ("seed 123", AGAINST),
        ("order no. 123", AGAINST),
        ("123, seed", NOTHING),
        ("seed 7, 123", NOTHING),
        ("card, seed 123", AGAINST),
        ("seed, card 123", FOR),
        ("seed 123 on a card", AGAINST),
        ("card" + " " * 40 + "123", NOTHING),
        ("axb 123", NOTHING),
    ],
)
def test_the_nearest_word_wins(text: str, expected: Surroundings) -> None:
    start = text.index("123")
    assert CUES.judge(text, start, start + 3) == expected


def test_without_words_nothing_is_said() -> None:
    assert Cues((), (), 40).judge("card 123", 5, 8) == NOTHING
