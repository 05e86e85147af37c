"""The first of three content layers: words and phrases by category. Linear in the number of words.

A lexicon knows words, not meaning: it catches what is said outright, in four languages and common disguises. Meaning
is for the semantic head, and pictures are looked at whatever the prompt says.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from gateway.screening.content.misspelt import MisspeltIndex
from gateway.screening.content.phrases import Phrase
from gateway.screening.content.tokens import Token, Words
from gateway.screening.text.normalise import fold
from gateway.vocabulary import Effect, Severity

MAX_GAP_CHARS: Final = 3
"""Between the words of one phrase: a blank, a hyphen, a comma and a blank. Not a sentence."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A stretch of the normalised text that a lexicon speaks of. `repr` shows no text."""

    start: int
    end: int
    said: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Together:
    """Two things that are harmless alone: `these` within `within_words` words of `those`."""

    these: PhraseIndex
    those: PhraseIndex
    within_words: int


class PhraseIndex:
    """Phrases, found by their first word."""

    def __init__(self, phrases: Iterable[Phrase]) -> None:
        self._by_first: dict[str, list[tuple[frozenset[str], ...]]] = defaultdict(list)
        for phrase in phrases:
            for form in phrase.places[0]:
                self._by_first[form].append(phrase.places)

    def __len__(self) -> int:
        return len(self._by_first)

    def find(self, words: Words) -> list[tuple[int, int]]:
        """(first token, last token) of the longest phrase at each token where one begins, in order of place."""
        longest: dict[int, int] = {}
        said = words.places.keys()
        for form in self._by_first.keys() & said:
            # A phrase of which some word stands nowhere is left out before its first word's places are walked.
            phrases = [p for p in self._by_first[form] if not any(said.isdisjoint(place) for place in p[1:])]
            for first in words.places[form] if phrases else ():
                for places in phrases:
                    last = _follow(words.tokens, first, places)
                    if last > longest.get(first, -1):
                        longest[first] = last
        return sorted(longest.items())


def _follow(tokens: Sequence[Token], first: int, places: tuple[frozenset[str], ...]) -> int:
    """Index of the token on which the phrase ends when it begins at token `first`; -1 when it does not."""
    at = first
    for wanted in places[1:]:
        end = tokens[at].end
        following = at + 1
        # Several readings of one place stand side by side: any of them that begins after this one may go on.
        while following < len(tokens) and tokens[following].start < end:
            following += 1
        chosen = -1
        while following < len(tokens) and tokens[following].start - end <= MAX_GAP_CHARS:
            if not wanted.isdisjoint(tokens[following].forms):
                chosen = following
                break
            if following + 1 < len(tokens) and tokens[following + 1].start == tokens[following].start:
                following += 1
                continue
            break
        if chosen < 0:
            return -1
        at = chosen
    return at


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """One category, ready to run."""

    category: str
    severity: Severity
    effect: Effect
    terms: PhraseIndex = field(repr=False)
    together: tuple[Together, ...] = field(repr=False, default=())
    exceptions: PhraseIndex = field(repr=False)
    """Phrases in which a term means something else ("killer whale")."""
    misspelt: MisspeltIndex = field(repr=False, default_factory=lambda: MisspeltIndex(()))
    """The same terms, for a category of names."""
    is_enforced: bool = True
    scope: frozenset[str] = frozenset({"prompt"})

    def find(self, text: str, words: Words) -> list[Mention]:
        """What the category finds in a text, in order of place, each place once."""
        tokens = words.tokens
        excused = _Excused([_span(tokens, found) for found in self.exceptions.find(words)])
        spans = [s for s in (_span(tokens, f) for f in self.terms.find(words)) if not excused.covers(s)]
        spans += [s for s in (_span(tokens, f) for f in self.misspelt.find(words)) if not excused.covers(s)]
        for pair in self.together:
            spans += _pairs(pair, words, excused)
        spans.sort(key=lambda s: (s[0], -s[1]))
        mentions: list[Mention] = []
        end = -1
        for start, stop in spans:
            if stop > end:
                mentions.append(Mention(start, stop, fold(text[start:stop])))
                end = stop
        return mentions


def _span(tokens: Sequence[Token], found: tuple[int, int]) -> tuple[int, int]:
    return tokens[found[0]].start, tokens[found[1]].end


class _Excused:
    """The stretches that exceptions cover, asked in O(log n): a text of nothing but exceptions must stay cheap."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        ordered = sorted(spans)
        self._starts = [start for start, _ in ordered]
        self._furthest = list(accumulate((end for _, end in ordered), max))

    def covers(self, span: tuple[int, int]) -> bool:
        before = bisect_right(self._starts, span[0])
        return before > 0 and self._furthest[before - 1] >= span[1]


def _pairs(pair: Together, words: Words, excused: _Excused) -> list[tuple[int, int]]:
    tokens = words.tokens
    these = [f for f in pair.these.find(words) if not excused.covers(_span(tokens, f))]
    those = [f for f in pair.those.find(words) if these and not excused.covers(_span(tokens, f))]
    spans: list[tuple[int, int]] = []
    j = 0
    for first in these:
        while j < len(those) and those[j][1] < first[0] - pair.within_words:
            j += 1
        if j < len(those) and those[j][0] - first[1] <= pair.within_words:
            (a, b), (c, d) = _span(tokens, first), _span(tokens, those[j])
            spans.append((min(a, c), max(b, d)))
    return spans
