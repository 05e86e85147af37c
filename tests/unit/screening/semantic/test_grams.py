"""Letters: what is hashed of a text, where it stands, and that a window says what its own text would say."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.screening.semantic.grams import BUCKETS, Spelled, grams
from gateway.screening.semantic.train.letters import counted, fit_letters

WEIGHTS = np.random.default_rng(1).normal(size=(BUCKETS, 3)).astype(np.float32)


def hashed(text: str) -> list[int]:
    return sorted(grams(text)[1].tolist())


def test_words_pairs_and_runs_of_letters_are_counted() -> None:
    # " ab", "ab ", " ab ", and the word; the same again for "cd"; the pair
    assert len(grams("ab cd")[1]) == 2 * 4 + 1
    # runs of three, four and five of " fox ", and the word
    assert len(grams("fox")[1]) == 3 + 2 + 1 + 1


@pytest.mark.parametrize("text", ["", " ", "!?", "\n\t", "\ud800"])
def test_a_text_without_letters_says_nothing(text: str) -> None:
    assert len(grams(text)[1]) == 0
    assert Spelled(text, WEIGHTS).says(np.array([0]), np.array([len(text)])).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("other", ["The RED fox!", "the  red, fox", " the-red-fox "])
def test_case_and_what_is_no_letter_do_not_matter(other: str) -> None:
    assert hashed(other) == hashed("the red fox")


def test_another_word_an_accent_or_another_order_matters() -> None:
    assert hashed("the red fax") != hashed("the red fox")
    assert hashed("schon") != hashed("schön")
    assert hashed("red fox") != hashed("fox red")


def test_a_letter_that_grows_when_it_is_made_small_keeps_its_place() -> None:
    places, _ = grams("İİ fox")
    assert set(places.tolist()) >= {3, 4}  # "fox" and "ox ", as if each letter before them were one
    assert places.max() == 4


def test_places_rise_and_lie_in_the_text() -> None:
    text = "eine alte Brücke im Nebel, 35mm"
    places, buckets = grams(text)
    assert (np.diff(places) >= 0).all()
    assert places.min() == 0
    assert places.max() < len(text)
    assert buckets.min() >= 0
    assert buckets.max() < BUCKETS


def test_a_window_says_what_its_words_say_alone() -> None:
    text, inside = "a bowl of soup. two old friends. a fox", "two old friends"
    start = text.index(inside)
    window = Spelled(text, WEIGHTS).says(np.array([start]), np.array([start + len(inside) + 2]))
    alone = Spelled(inside, WEIGHTS).says(np.array([0]), np.array([len(inside)]))
    # the pair that leads out of the window counts, and nothing else differs
    pair = set(hashed("friends a")) - set(hashed("friends")) - set(hashed("a"))
    count = len(hashed(inside))
    expected = (alone * count**0.5 + WEIGHTS[list(pair)].sum(axis=0)) / (count + 1) ** 0.5
    assert window == pytest.approx(expected, abs=1e-4)


def test_what_is_repeated_counts_once_in_each_window_that_it_stands_in() -> None:
    once = Spelled("ko12 ", WEIGHTS).says(np.array([0]), np.array([5]))
    text = "ko12 " * 50
    starts = np.array([0, 50, 200])
    many = Spelled(text, WEIGHTS).says(starts, starts + 50)
    pair = next(iter(set(hashed("ko12 ko12")) - set(hashed("ko12"))))
    count = len(set(hashed("ko12")))
    expected = (once[0] * count**0.5 + WEIGHTS[pair]) / (count + 1) ** 0.5
    assert many == pytest.approx(np.tile(expected, (3, 1)), abs=1e-4)


def test_a_text_s_words_are_not_shown() -> None:
    assert "secret" not in repr(Spelled("a secret plan", WEIGHTS))


def test_training_counts_as_the_reader_does() -> None:
    texts = ["a red fox, a red fox", "two old friends"]
    rows = counted(texts) @ WEIGHTS
    for row, text in zip(rows, texts, strict=True):
        assert Spelled(text, WEIGHTS).says(np.array([0]), np.array([len(text)]))[0] == pytest.approx(row, abs=1e-4)


def test_words_that_tell_are_learnt_in_any_language_and_the_same_again() -> None:
    wanted = [
        f"{who} {what}" for who in ("ein Mann", "una mujer", "le voisin") for what in ("würgt jemanden", "étrangle")
    ]
    harmless = [f"{who} {what}" for who in ("ein Mann", "una mujer", "le voisin") for what in ("backt Brot", "chante")]
    rows = counted(wanted + harmless)
    flags = np.array([[True]] * len(wanted) + [[False]] * len(harmless))
    weights = fit_letters(rows, flags, np.ones(flags.shape))
    assert (fit_letters(rows, flags, np.ones(flags.shape)) == weights).all()
    says = {t: float((counted([t]) @ weights)[0, 0]) for t in ("wuergt jemanden", "er backt", "étranglement", "zebra")}
    assert says["wuergt jemanden"] > 0.5
    assert says["étranglement"] > 0.5
    assert says["er backt"] < -0.5
    assert abs(says["zebra"]) < abs(says["er backt"])
