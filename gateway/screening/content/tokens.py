"""A text as words, the way somebody who hides words would not like them: folded, un-leeted, un-spaced."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.screening.text.normalise import fold
from gateway.screening.text.patterns import compile_pattern

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+")
_NOT_LETTER: Final = re.compile(r"[^A-Za-z]")
_LEET_WORD: Final = re.compile(r"[A-Za-z0-9@$!|+]{3,32}")
_LEET_SIGN: Final = compile_pattern(r"[A-Za-z][0-9@$!|+]+[A-Za-z]|[@$][A-Za-z]|[A-Za-z]{2}[$@]|\b[0-9][A-Za-z]{2}")
_LEET: Final = (
    str.maketrans("0134578@$!|+", "oieastbasiit"),
    str.maketrans("0134578@$!|+", "oleastbasllt"),
)
"""Two readings: `1`, `!` and `|` stand for i as often as for l."""
_SPACED: Final = re.compile(r"(?<![^\W_])[A-Za-z](?:([ ._*\-])[A-Za-z])(?:\1[A-Za-z]){1,30}(?![^\W_])")
"""Single letters with the same sign between them: "n u d e", "n.u.d.e"."""
MIN_SPACED_LETTERS: Final = 3
_ELISION: Final = re.compile(r"(?:[cdjlmnst]|qu)['’]")
_DRAWN_OUT: Final = re.compile(r"([^\W\d_])\1{2,}")
_DRAWN_OUT_SIGN: Final = compile_pattern("(?i)" + "|".join(letter * 3 for letter in "abcdefghijklmnopqrstuvwxyz"))


class Token(NamedTuple):
    """One word and its other readings. Offsets are into the normalised text; `repr` shows no text.

    A tuple, not a dataclass: a prompt makes hundreds, and this is three times as quick.
    """

    start: int
    end: int
    forms: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Token({self.start}, {self.end})"


class Words:
    """The words of a normalised text in order of place, and where each form of each stands."""

    def __init__(self, text: str) -> None:
        tokens = _plain(text)
        disguised = _spaced(text) + (_leet(text) if _LEET_SIGN.search(text) else [])
        if disguised:
            tokens += disguised
            tokens.sort()  # by place: as tuples, for the sake of the time
        self.tokens = tokens
        self.places: dict[str, list[int]] = {}
        """Form -> indexes into `tokens`, rising."""
        for index, token in enumerate(tokens):
            for form in token.forms:
                self.places.setdefault(form, []).append(index)


def _plain(text: str) -> list[Token]:
    if text.isascii() and "'" not in text and not _DRAWN_OUT_SIGN.search(text):
        folded = text.lower()
        # Past the class's own constructor, which is half of the time that a long prompt takes here.
        new, words = tuple.__new__, _ASCII_WORD.finditer(folded)
        return [new(Token, (m.start(), m.end(), (m.group(),))) for m in words]
    return [Token(m.start(), m.end(), _forms(m.group())) for m in _WORD.finditer(text)]


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


def _spaced(text: str) -> list[Token]:
    """Each run of single letters as a word; also without its first or last, which may be words ("a n u d e")."""
    tokens = []
    for match in _SPACED.finditer(text):
        start, end = match.span()
        for first, last in ((start, end), (start + 2, end), (start, end - 2), (start + 2, end - 2)):
            word = _NOT_LETTER.sub("", text[first:last])
            if len(word) >= MIN_SPACED_LETTERS:
                tokens.append(Token(first, last, (fold(word),)))
    return tokens


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
