"""The pure part: a prompt and lots in, a prompt that says more out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.diversity.drawing import Draw
from gateway.diversity.reading import MAX_TOKENS, TOKEN, Mention, Reader
from gateway.diversity.vocabulary import GENDERS, Gender, Language, World

MAX_CHARS: Final = 32_000
"""The longest prompt that the Images API takes."""


class Rewriter:
    """Says of people in a prompt what it leaves open. Keeps no state: equal prompts and lots give equal texts."""

    def __init__(self, languages: Mapping[str, Language], world: World) -> None:
        self._readers = [Reader(languages[name]) for name in sorted(languages, key=lambda name: (name != "en", name))]
        self.world = world

    def rewrite(self, prompt: str, draw: Draw) -> str | None:
        """`prompt` with a clause behind it; None where it is about nobody, or about people of whom all is said.

        What was written stays as it is, letter for letter, up to its last full stop: offsets into it stay true.
        """
        tokens = TOKEN.findall(prompt)
        if not tokens or len(tokens) > MAX_TOKENS:
            return None
        words = [token.lower() for token in tokens]
        reader = max(self._readers, key=lambda r: r.weight(words))  # the first of equals, and that is English
        mentions = reader.mentions(tokens)
        left_open = [m for m in mentions if m.gender is None or not m.has_origin]
        if not left_open:
            return None
        clause = self._clause(reader.language, mentions, left_open, draw)
        rewritten = prompt.rstrip(" \t\r\n.,;") + clause
        return rewritten if len(rewritten) <= MAX_CHARS else None

    def _clause(self, language: Language, mentions: Sequence[Mention], left_open: Sequence[Mention], draw: Draw) -> str:
        if len(mentions) == 1 and not mentions[0].is_many:
            return language.clause.format(who=self._who(language, mentions[0], draw, 0))
        first, second = left_open[0], left_open[1] if len(left_open) > 1 else None
        who = self._who(language, first, draw, 0)
        if second is None and not first.is_many:
            return language.clause.format(who=who)
        other = self._who(language, second or first, draw, 1)
        return language.clause_two.format(who=who, other=other)

    def _who(self, language: Language, mention: Mention, draw: Draw, place: int) -> str:
        gender: Gender = mention.gender or _gender(draw(f"gender.{place}", self.world.genders))
        if mention.has_origin:
            return language.alone[mention.kind][gender]
        origin = language.origins[draw(f"origin.{place}", self.world.origins)]
        return language.who[mention.kind][gender].format(f=origin["f"], m=origin["m"], n=origin["n"])


def _gender(name: str) -> Gender:
    for gender in GENDERS:
        if gender == name:
            return gender
    raise ValueError("a draw must answer with one of the names it was given")
