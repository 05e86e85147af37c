"""Who a prompt is about, and what it says of them already: gender, origin, a name.

Reads words, not grammar. In doubt something counts as said: what a person wrote goes before what would be drawn.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.diversity.vocabulary import Gender, Kind, Language

TOKEN: Final = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*|\d+|[^\s\w]")
MAX_TOKENS: Final = 6_000
NEAR: Final = 3
"""Words between which an adjective and its noun may stand."""
NOUNS: Final[tuple[tuple[str, Gender | None, Kind, bool], ...]] = (
    ("person", None, "adult", False), ("people", None, "adult", True),
    ("child", None, "child", False), ("children", None, "child", True),
    ("woman", "woman", "adult", False), ("women", "woman", "adult", True),
    ("man", "man", "adult", False), ("men", "man", "adult", True),
    ("girl", "woman", "child", False), ("girls", "woman", "child", True),
    ("boy", "man", "child", False), ("boys", "man", "child", True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mention:
    """One noun for a person in a prompt, and whether the prompt says the gender and origin."""

    start: int
    end: int
    gender: Gender | None
    kind: Kind
    is_many: bool
    has_origin: bool = False


class Phrases:
    """Words of one or several parts, found by their first one."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._by_first: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for phrase in phrases:
            parts = tuple(part.lower() for part in TOKEN.findall(phrase))
            if parts:
                self._by_first[parts[0]].append(parts)
        for known in self._by_first.values():
            known.sort(key=len, reverse=True)

    def at(self, words: Sequence[str], place: int) -> int:
        """How many words from `place` on are one of the phrases, the longest first; 0 = none."""
        for parts in self._by_first.get(words[place], ()):
            if tuple(words[place : place + len(parts)]) == parts:
                return len(parts)
        return 0

    def places(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """(start, end) of each occurrence."""
        for place in range(len(words)):
            if length := self.at(words, place):
                yield place, place + length


class Reader:
    """Reads prompts of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._common = {word.lower() for word in language.common}
        self._nouns = [(Phrases(getattr(language.nouns, n)), gender, kind, many) for n, gender, kind, many in NOUNS]
        self._woman, self._man = Phrases(language.woman_words), Phrases(language.man_words)
        self._origins, self._colours = Phrases(language.origin_words), Phrases(language.colour_words)
        self._anywhere, self._from = Phrases(language.origin_anywhere), Phrases(language.from_words)
        self._styles, self._like = Phrases(language.style_words), {w.lower() for w in language.like_words}
        self._not_human, self._not_people = Phrases(language.not_human), Phrases(language.not_people)
        self._between = {word.lower() for word in language.between}
        self._being = {word.lower() for word in language.being_words}
        self._articles = {word.lower() for word in language.feminine_articles}
        self._after_being = self._being | {word.lower() for word in language.articles}
        self._known_words = self._common | self._between | self._being | self._like
        self._either = {word.lower() for word in language.either}

    def weight(self, words: Sequence[str]) -> int:
        """How much of a text is of this language."""
        nouns = sum(1 for _ in self._find(words)) + sum(1 for _ in self._not_human.places(words))
        return sum(word in self._known_words for word in words) + nouns

    def mentions(self, tokens: Sequence[str]) -> list[Mention]:
        """People the prompt is about; none where it names one, or is about creatures."""
        words = [token.lower().replace("’", "'") for token in tokens]
        found = list(self._joined(words, list(self._find(words))))
        if not found or self._is_named(tokens, words, found):
            return []
        if any(self._anywhere.places(words)) or self._is_from_somewhere(tokens, words):
            found = [replace(mention, has_origin=True) for mention in found]
        found = [self._described(words, mention) for mention in found if not self._is_creature(words, mention)]
        return self._with_pronouns(words, found)

    def _find(self, words: Sequence[str]) -> Iterator[Mention]:
        place = 0
        while place < len(words):
            if skipped := self._not_people.at(words, place):
                place += skipped
                continue
            best: Mention | None = None
            for phrases, gender, kind, many in self._nouns:
                length = phrases.at(words, place)
                # The later list wins a tie: where a word is on two, the one that says more.
                if length and (best is None or place + length >= best.end):
                    best = Mention(place, place + length, gender, kind, many)
            if best is None:
                place += 1
                continue
            yield best
            place = best.end

    def _joined(self, words: Sequence[str], found: Sequence[Mention]) -> Iterator[Mention]:
        """Nouns that follow on are one person: a woman doctor, a child actor, a doctor who is a Black woman."""
        open_: Mention | None = None
        for mention in found:
            if open_ is not None and self._follows_on(words[open_.end : mention.start]):
                open_ = Mention(
                    open_.start,
                    mention.end,
                    mention.gender or open_.gender,
                    "child" if "child" in (mention.kind, open_.kind) else "adult",
                    mention.is_many,
                )
                continue
            if open_ is not None:
                yield open_
            open_ = mention
        if open_ is not None:
            yield open_

    def _follows_on(self, gap: Sequence[str]) -> bool:
        if not gap:
            return True
        is_being = gap[0] in self._being and len(gap) <= 2 * NEAR
        return is_being and all(
            word in self._after_being or self._origins.at(gap, place) or self._colours.at(gap, place)
            for place, word in enumerate(gap)
        )

    def _described(self, words: Sequence[str], mention: Mention) -> Mention:
        """`mention` with what the words around it say."""
        gender, has_origin = mention.gender, mention.has_origin
        if gender is None and mention.start and words[mention.start - 1] in self._articles:
            gender = "woman" if " ".join(words[mention.start : mention.end]) in self._either else None
        for place in (*self._before(words, mention), *range(mention.start, mention.end), *self._after(words, mention)):
            if gender is None and self._woman.at(words, place):
                gender = "woman"
            elif gender is None and self._man.at(words, place):
                gender = "man"
            has_origin = has_origin or bool(self._origins.at(words, place) or self._colours.at(words, place))
        return replace(mention, gender=gender, has_origin=has_origin)

    def _before(self, words: Sequence[str], mention: Mention) -> Iterator[int]:
        for place in range(mention.start - 1, max(-1, mention.start - 1 - NEAR), -1):
            if words[place] in self._between or not words[place][0].isalpha():
                return
            yield place

    def _after(self, words: Sequence[str], mention: Mention) -> Iterator[int]:
        place, end = mention.end, mention.end
        while end < len(words) and words[end] in self._being:
            end += 1
        if end == place and not self.language.adjectives_follow:
            return
        for place in range(end, min(len(words), end + NEAR)):
            if words[place] in self._between or not words[place][0].isalpha():
                return
            yield place

    def _with_pronouns(self, words: Sequence[str], found: Sequence[Mention]) -> list[Mention]:
        """A pronoun says the gender of whoever it may stand for."""
        says: Gender | None = None
        if any(self._woman.places(words)):
            says = "woman"
        elif any(self._man.places(words)):
            says = "man"
        return [replace(m, gender=m.gender or (None if m.is_many else says)) for m in found]

    def _is_creature(self, words: Sequence[str], mention: Mention) -> bool:
        """A robot doctor; a cat dressed as a chef; the doctor is a robot's costume."""
        for start, end in self._not_human.places(words):
            gap = words[end : mention.start]
            if end <= mention.start and (not gap or (len(gap) <= NEAR + 1 and any(w in self._like for w in gap))):
                return True
            if self.language.adjectives_follow and start == mention.end:
                return True
        return False

    def _is_from_somewhere(self, tokens: Sequence[str], words: Sequence[str]) -> bool:
        ends = [end for _, end in self._from.places(words)]
        return any(end < len(tokens) and tokens[end][0].isupper() for end in ends)

    def _is_named(self, tokens: Sequence[str], words: Sequence[str], found: Sequence[Mention]) -> bool:
        """A name beside a noun (Dr Adams; the singer Adele), or a first and last name anywhere but behind "by"."""
        if _is_titled(tokens):
            return False
        nouns = {place for mention in found for place in range(mention.start, mention.end)}
        for mention in found:
            after = tokens[mention.end] if mention.end < len(tokens) else ""
            if after and after[0].isupper() and after[1:].islower() and not self._known(words, mention.end):
                return True
        if self.language.language == "de":  # every noun has a capital there
            return False
        artists = [end for _, end in self._styles.places(words)]
        for place in range(1, len(tokens)):
            pair = tokens[place - 1], tokens[place]
            if not all(len(t) > 1 and t[0].isupper() and t[1:].islower() for t in pair):
                continue
            if nouns & {place - 1, place} or self._known(words, place - 1) or self._known(words, place):
                continue
            if not any(0 <= place - 1 - end <= NEAR for end in artists):
                return True
        return False

    def _known(self, words: Sequence[str], place: int) -> bool:
        """Whether the word is one of ours or a plain one, so not a name."""
        return bool(
            words[place] in self._common
            or words[place] in self._between
            or self._origins.at(words, place)
            or self._colours.at(words, place)
            or any(phrases.at(words, place) for phrases, *_ in self._nouns)
        )


def _is_titled(tokens: Sequence[str]) -> bool:
    """Whether Every Word Has A Capital, so that a capital says nothing."""
    words = [token for token in tokens if token[0].isalpha()]
    return len(words) > 3 and sum(word[0].isupper() for word in words) > 0.7 * len(words)
