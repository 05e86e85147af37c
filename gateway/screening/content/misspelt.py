"""Names with a slip of the finger: "Taylor Swfit", "Scarlet Johansson".

A slip is one letter more, less, other, or two changed places (Damerau 1964); of a long word two. At least one word of
the name must stand as it is, and the other be long enough that no ordinary word is so near to it. A name of one word
("Zuckerberg") may have one slip if it is long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.screening.content.phrases import Phrase
from gateway.screening.content.tokens import Token, Words

MIN_CHARS: Final = 6
MIN_CHARS_BESIDE_A_LONG_WORD: Final = 5
"""Beside six letters or more that stand as they are: "Taylor Swfit"; not beside four: "a knight will smite"."""
TWO_SLIPS_FROM: Final = 9
MAX_GAP_CHARS: Final = 3
MIN_ANCHOR_CHARS: Final = 3
"""The word that stands as it is: "j" and "el" stand in any sentence."""
MIN_WORDS: Final = 2
MIN_CHARS_ALONE: Final = 8
MAX_CHARS_ALONE: Final = 20
"""Of a name of one word: "ronaldo" is a slip away from "rolando" and "ronald", "zuckerberg" from nothing."""


def is_near(word: str, name: str) -> bool:
    """Whether `word` is `name` with a slip or, where the name is long, two. Equal words are not near."""
    allowed = 2 if len(name) >= TWO_SLIPS_FROM else 1
    if word == name or abs(len(word) - len(name)) > allowed or word[0] != name[0]:
        return False
    before, previous = [0] * (len(name) + 1), list(range(len(name) + 1))
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, other in enumerate(name, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == name[j - 2] and word[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > allowed:
            return False
        before, previous = previous, row
    return previous[-1] <= allowed


def _shortened(word: str) -> set[str]:
    """The word, and the word without each of its letters. Two words that are one slip apart share one of these."""
    return {word} | {word[:i] + word[i + 1 :] for i in range(len(word))}


class MisspeltIndex:
    """Names of two words or more, found by one that stands as it is; long names of one word, by what a slip leaves."""

    def __init__(self, phrases: Iterable[Phrase]) -> None:
        self._by_word: dict[str, list[tuple[tuple[frozenset[str], ...], int, frozenset[str]]]] = defaultdict(list)
        self._alone: dict[str, set[str]] = defaultdict(set)
        for phrase in phrases:
            if len(phrase.places) == 1:
                for name in (form for form in phrase.places[0] if len(form) >= MIN_CHARS_ALONE):
                    for shortened in _shortened(name):
                        self._alone[shortened].add(name)
            if len(phrase.places) >= MIN_WORDS:
                for place, forms in enumerate(phrase.places):
                    beside = phrase.places[place + 1 if place + 1 < len(phrase.places) else place - 1]
                    letters = frozenset(word[0] for word in beside if word)
                    for form in forms:
                        if len(form) < MIN_ANCHOR_CHARS:
                            continue
                        self._by_word[form].append((phrase.places, place, letters))

    def __len__(self) -> int:
        return len(self._by_word) + len(self._alone)

    def find(self, words: Words) -> list[tuple[int, int]]:
        """(first token, last token) of each name of which a word is misspelt, in order of place."""
        found: set[tuple[int, int]] = set(self._single(words))
        for form in self._by_word.keys() & words.places.keys():
            for at in words.places[form]:
                near = _letters_beside(words.tokens, at)
                for places, place, letters in self._by_word[form]:
                    if near.isdisjoint(letters):  # a slip leaves the first letter as it is
                        continue
                    span = _span(words.tokens, at, places, place, len(form))
                    if span is not None:
                        found.add(span)
        return sorted(found)

    def _single(self, words: Words) -> Iterator[tuple[int, int]]:
        """Names of one word. Linear in the letters of the text's different words."""
        if not self._alone:
            return
        for word, places in words.places.items():
            if MIN_CHARS_ALONE - 1 <= len(word) <= MAX_CHARS_ALONE and any(
                _is_one_slip(word, name) for key in _shortened(word) for name in self._alone.get(key, ())
            ):
                yield from ((at, at) for at in places)


def _is_one_slip(word: str, name: str) -> bool:
    """Whether one letter is more, less, other, or two changed places; the first letter stands."""
    if word == name or word[0] != name[0] or abs(len(word) - len(name)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(word, name, strict=False)) if a != b), min(len(word), len(name)))
    rest, other = word[start:], name[start:]
    return (
        rest[1:] == other[1:]
        or rest[1:] == other
        or rest == other[1:]
        or (rest[2:] == other[2:] and rest[:2] == other[1::-1])
    )


def _letters_beside(tokens: Sequence[Token], at: int) -> set[str]:
    """First letters of the words on either side."""
    sides = [here for step in (-1, 1) for here in _beside(tokens, at, step)]
    return {form[0] for here in sides for form in tokens[here].forms if form}


def _span(
    tokens: Sequence[Token], at: int, places: tuple[frozenset[str], ...], place: int, known_chars: int
) -> tuple[int, int] | None:
    """The tokens of the name whose word `place` stands at token `at`, when exactly one other is misspelt."""
    slips = 0
    ends = [at, at]
    for step, wanted in ((-1, reversed(places[:place])), (1, places[place + 1 :])):
        here = at
        for forms in wanted:
            beside = next(_beside(tokens, here, step), None)
            if beside is None:
                return None
            here = beside
            if not forms.isdisjoint(tokens[here].forms):
                continue
            slips += 1
            if slips > 1 or not _is_slip(tokens[here].forms, forms, known_chars):
                return None
        ends[(step + 1) // 2] = here
    return (ends[0], ends[1]) if slips else None


def _beside(tokens: Sequence[Token], at: int, step: int) -> Iterator[int]:
    """The nearest token before or after that does not lie over this one, if it is near."""
    here = at + step
    while 0 <= here < len(tokens):
        first, second = (tokens[at], tokens[here]) if step > 0 else (tokens[here], tokens[at])
        if second.start >= first.end:
            if second.start - first.end <= MAX_GAP_CHARS:
                yield here
            return
        here += step


def _is_slip(said: Iterable[str], forms: Iterable[str], known_chars: int) -> bool:
    least = MIN_CHARS_BESIDE_A_LONG_WORD if known_chars >= MIN_CHARS else MIN_CHARS
    return any(len(form) >= least and is_near(word, form) for form in forms for word in said if word)
