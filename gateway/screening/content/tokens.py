"""A text as words, the way somebody who hides words would not like them: folded, un-leeted, un-spaced."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gateway.screening.text.normalise import fold

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LEET_WORD: Final = re.compile(r"[A-Za-z0-9@$!|+]{3,32}")
_LEET_SIGN: Final = re.compile(r"[A-Za-z][0-9@$!|+]+[A-Za-z]|[@$][A-Za-z]|[A-Za-z]{2}[$@]|\b[0-9][A-Za-z]{2}")
_LEET: Final = (
    str.maketrans("0134578@$!|+", "oieastbasiit"),
    str.maketrans("0134578@$!|+", "oleastbasllt"),
)
"""Two readings: `1`, `!` and `|` stand for i as often as for l."""
_SPACED: Final = re.compile(r"(?<![^\W_])[A-Za-z](?:([ ._*\-])[A-Za-z])(?:\1[A-Za-z]){1,30}(?![^\W_])")
"""Single letters with the same sign between them: "n u d e", "n.u.d.e"."""
_ELISION: Final = re.compile(r"(?:[cdjlmnst]|qu)['’]")
_DRAWN_OUT: Final = re.compile(r"(.)\1{2,}")


@dataclass(frozen=True, slots=True)
class Token:
    """One word and its other readings. Offsets are into the normalised text; `repr` shows no text."""

    start: int
    end: int
    forms: tuple[str, ...] = field(repr=False)


def tokenise(text: str) -> list[Token]:
    """The words of a normalised text, in order of place."""
    tokens = [Token(m.start(), m.end(), _forms(m.group())) for m in _WORD.finditer(text)]
    if _LEET_SIGN.search(text):
        tokens += _leet(text)
    tokens += [Token(m.start(), m.end(), (fold(re.sub(r"[^A-Za-z]", "", m.group())),)) for m in _SPACED.finditer(text)]
    tokens.sort(key=lambda t: (t.start, t.end))
    return tokens


def _forms(word: str) -> tuple[str, ...]:
    folded = fold(word)
    plain = folded.removesuffix("'s").removesuffix("’s")
    forms: tuple[str, ...] = (folded,) if plain == folded else (plain, folded)
    elided = _ELISION.match(plain)
    if elided:  # "l'égorgée": the noun counts
        forms += (plain[elided.end() :],)
    if _DRAWN_OUT.search(plain):  # "nuuude"
        forms += (_DRAWN_OUT.sub(r"\1", plain), _DRAWN_OUT.sub(r"\1\1", plain))
    return forms


def _leet(text: str) -> list[Token]:
    tokens = []
    for match in _LEET_WORD.finditer(text):
        word = match.group()
        letters = sum(c.isalpha() for c in word)
        if letters == len(word) or letters < 2:
            continue
        readings = tuple(dict.fromkeys(fold(word.translate(table)) for table in _LEET))
        tokens.append(Token(match.start(), match.end(), tuple(r for r in readings if r.isalpha())))
    return [t for t in tokens if t.forms]
