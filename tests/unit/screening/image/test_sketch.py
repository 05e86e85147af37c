"""Which prompts are about the same, from a few numbers."""

from __future__ import annotations

import pytest

from gateway.screening.image.sketch import BUCKETS, MOST_WORDS, are_related, packed, sketch, unpacked

SECRET = b"s" * 32
LONG = " ".join(f"word{number}" for number in range(40))


def related(one: str, other: str) -> bool:
    return are_related(sketch(one, SECRET), sketch(other, SECRET))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a red fox in the snow", "the fox, red, watercolour"),
        ("red foxes", "a red fox, photograph, 4k"),
        ("Ein roter Fuchs im Schnee", "roter FUCHS"),
        ("a lighthouse", "a lighthouse at night, storm, oil painting, by the sea"),
        ("雪の中の狐", "狐が雪の中"),
        (LONG, LONG + " and one more"),
        ("🍎", "🍎 "),
        ("A picture", "a picture"),
    ],
)
def test_prompts_about_the_same_are_related(one: str, other: str) -> None:
    assert related(one, other)
    assert related(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a red fox in the snow", "portrait of an accountant at her desk"),
        ("a photo of a cat", "a photo of a harbour"),  # only what says how it is made is the same
        ("a man in a park with trees and benches", "an old man cooking soup for his family"),
        ("", "a fox"),
        ("🍎", "🍐"),
        ("a picture", "an image"),
        ("", ""),
        (LONG, LONG.replace("word", "other")),
    ],
)
def test_prompts_about_something_else_are_not(one: str, other: str) -> None:
    assert not related(one, other)
    assert not related(other, one)


def test_a_sketch_is_small_and_says_nothing_without_its_secret() -> None:
    numbers = sketch(LONG, SECRET)
    assert list(numbers) == sorted(set(numbers))
    assert (len(numbers), max(numbers) < BUCKETS) == (MOST_WORDS, True)
    assert unpacked(packed(numbers)) == numbers
    assert len(packed(numbers)) == 2 * MOST_WORDS
    assert sketch(LONG, b"t" * 32) != numbers


def test_of_long_prompts_only_what_both_sketches_can_hold_counts() -> None:
    """The sixteen lowest of forty lie lower than those of eighteen: compared as they are, half would be missing."""
    part = " ".join(LONG.split()[:18])
    assert related(LONG, part)
