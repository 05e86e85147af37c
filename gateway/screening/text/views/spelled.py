"""Digits as words (English, German, Spanish, French), as look-alike letters, one by one; e-mail with "at" and "dot"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway.screening.text.patterns import compile_pattern
from gateway.screening.text.views.rewrite import Edit, View, rewrite

_DIGIT_WORDS: Final = {
    word: str(value)
    for words in (
        "zero one two three four five six seven eight nine",
        "null eins zwei drei vier fünf sechs sieben acht neun",
        "cero uno dos tres cuatro cinco seis siete ocho nueve",
        "zéro un deux trois quatre cinq six sept huit neuf",
    )
    for value, word in enumerate(words.split())
} | {"oh": "0", "ein": "1", "zwo": "2", "fuenf": "5", "funf": "5", "une": "1", "nought": "0", "niner": "9"}
_TEENS: Final = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_ROUND_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TENS: Final = {word: str(value) for value, word in enumerate(_TEENS, start=10)} | {
    word: str(value) for value, word in enumerate(_ROUND_TENS, start=2)
}
_TIMES: Final = {"double": 2, "doppel": 2, "doble": 2, "triple": 3, "treble": 3}
_WORD: Final = "|".join(sorted({*_DIGIT_WORDS, *_TENS, *_TIMES}, key=len, reverse=True))
_SPELLED: Final = compile_pattern(
    rf"(?i)(?:^|[^\pL\pN])((?:(?:{_WORD})|\d{{1,4}})(?:[\s,.;:/_-]{{1,3}}(?:(?:{_WORD})\b|\d{{1,4}})){{4,}})"
)
_SPELLED_SIGN: Final = compile_pattern(
    rf"(?i)(?:{_WORD})[\s,.;:/_-]{{1,3}}(?:\d{{1,4}}[\s,.;:/_-]{{1,3}})?(?:{_WORD})\b"
)
MIN_WORDS: Final = 2
_TOKEN: Final = re.compile(r"[^\W\d_]+|\d+")


def _spelled_digits(text: str) -> Iterator[Edit]:
    for match in _SPELLED.finditer(text):
        start, end = match.span(1)
        run = text[start:end]
        tokens = list(_TOKEN.finditer(run))
        if sum(not token.group().isdigit() for token in tokens) < MIN_WORDS:
            continue
        digits, times, position = "", 1, 0
        for token, following in zip(tokens, [*tokens[1:], None], strict=True):
            # Blanks and hyphens between words go; other signs stay, so that "…one, 85 mm" ends where it ends.
            digits += run[position : token.start()].strip(" \t\r\n-_")
            position = token.end()
            word = token.group().lower()
            if word in _TIMES:
                times = _TIMES[word]
                continue
            value = _DIGIT_WORDS.get(word) or _TENS.get(word) or word
            if word in _ROUND_TENS and not (following and _DIGIT_WORDS.get(following.group().lower(), "0") != "0"):
                value += "0"  # "forty" alone is 40, "forty one" is 41
            digits += value * times
            times = 1
        yield start, end, digits


MIN_TRUE_DIGITS: Final = 3
_TWIN_LETTERS: Final = "OoQIil|!SsBZz"
_TWIN_DIGITS: Final = str.maketrans(_TWIN_LETTERS, "0001111155822")
_TWIN: Final = f"[0-9{_TWIN_LETTERS}]"
_EDGE_WORDS_BEFORE: Final = compile_pattern(r"^(?:[oilsz!]+[ .-])+")
_EDGE_WORDS_AFTER: Final = compile_pattern(r"(?:[ .-][oilsz!]+)+$")
_TWIN_RUN: Final = compile_pattern(rf"(?:^|[^\pL\pN])({_TWIN}(?:[ .-]?{_TWIN}){{8,}})(?:$|[^\pL\pN])")


def _twin_digits(text: str) -> Iterator[Edit]:
    for match in _TWIN_RUN.finditer(text):
        start, end = match.span(1)
        # "my SSN is 123…": a small word at the edge belongs to the sentence.
        before = _EDGE_WORDS_BEFORE.search(text[start:end])
        start += before.end() if before else 0
        after = _EDGE_WORDS_AFTER.search(text[start:end])
        end -= after.end() - after.start() if after else 0
        value = text[start:end]
        letters = sum(c in _TWIN_LETTERS for c in value)
        if letters and sum(c.isdigit() for c in value) >= MIN_TRUE_DIGITS:
            yield start, end, value.translate(_TWIN_DIGITS)


_TWIN_SIGN: Final = compile_pattern(rf"\d[ .-]?[{_TWIN_LETTERS}]|[{_TWIN_LETTERS}][ .-]?\d")
_SPACED_SIGN: Final = compile_pattern(r"(?:\d[^\pL\pN\n]{1,5}){4}")
_SPACED: Final = compile_pattern(r"(?:^|\D)(\d(?:[^\pL\pN\n]{1,5}\d){8,})(?:$|\D)")


def _spaced_digits(text: str) -> Iterator[Edit]:
    """Digits one by one with anything but letters between them: "4*1*1*1…", "4 . 1 . 1"."""
    for match in _SPACED.finditer(text):
        start, end = match.span(1)
        yield start, end, "".join(c for c in text[start:end] if c.isdigit())


_AT: Final = r"(?:\s*[\[({<]\s*(?:at|@|arroba|arobase)\s*[\])}>]\s*|\s+(?:at|arroba|arobase)\s+|\s+@\s*|\s*@\s+)"
_DOT: Final = r"(?:\s*[\[({<]\s*(?:dot|\.|punkt|punto|point)\s*[\])}>]\s*|\s+(?:dot|punkt|punto|point)\s+|\s*\.\s*)"
_SPELLED_EMAIL: Final = compile_pattern(
    rf"(?i)([a-z0-9_%+-]{{1,64}}(?:{_DOT}[a-z0-9_%+-]{{1,64}})?)({_AT})([a-z0-9-]{{1,63}})({_DOT})"
    r"(?:([a-z0-9-]{1,63})(\s*\.\s*|\s+dot\s+))?(com|org|net|edu|gov|io|eu|info|biz|de|fr|es|uk|ch|at|us|co)\b"
)
_EMAIL_SIGN: Final = compile_pattern(r"(?i)@\s|\s@|\b(?:at|arroba|arobase)\b")
_DOT_RE: Final = compile_pattern(rf"(?i){_DOT}")


def _spelled_emails(text: str) -> Iterator[Edit]:
    if not _EMAIL_SIGN.search(text):
        return
    for match in _SPELLED_EMAIL.finditer(text):
        local, at, domain, dot, second, _, last = match.groups()
        if at.strip().lower() in ("at", "arroba", "arobase") and dot.strip() == ".":
            continue  # "look at painting. It is": a bare "at" needs a spelled dot
        local = _DOT_RE.sub(".", local)
        host = ".".join(p for p in (domain, second, last) if p)
        yield match.start(), match.end(), f"{local}@{host}"


def spelled(text: str) -> Iterator[View]:
    """One view a trick: tricks of different kinds overlap, and their edits must not."""
    kinds: list[tuple[str, list[Edit]]] = []
    if _SPELLED_SIGN.search(text):
        kinds.append(("spelled digits", list(_spelled_digits(text))))
    if _TWIN_SIGN.search(text):
        kinds.append(("twin digits", list(_twin_digits(text))))
    if _SPACED_SIGN.search(text):
        kinds.append(("spaced digits", list(_spaced_digits(text))))
    kinds.append(("spelled e-mail", list(_spelled_emails(text))))
    for name, edits in kinds:
        if edits:
            yield rewrite(name, text, edits)
