"""Digits as words (English, German, Spanish, French), as look-alike letters, one by one; e-mail with "at" and "dot"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway.screening.text.patterns import compile_pattern, spans
from gateway.screening.text.views.numerals import CONNECTORS, DIGITS, GERMAN_PAIR, PAIRS, TENS, TIMES
from gateway.screening.text.views.rewrite import Edit, View, rewrite

_SHORT: Final = [word for word in (*DIGITS, *PAIRS, *TENS, *TIMES) if not re.fullmatch(GERMAN_PAIR, word)]
_WORD: Final = "|".join([GERMAN_PAIR, *sorted(set(_SHORT), key=len, reverse=True)])
_JOIN: Final = "|".join(sorted(CONNECTORS))
_SPELLED: Final = compile_pattern(
    rf"(?i)(?:^|[^\pL\pN])((?:(?:{_WORD})|\d{{1,4}})"
    rf"(?:(?:[\s,.;:/_-]{{1,3}}|\s(?:{_JOIN})\s)(?:(?:{_WORD})\b|\d{{1,4}})){{4,}})"
)
_SPELLED_SIGN: Final = compile_pattern(
    rf"(?i)(?:{_WORD})[\s,.;:/_-]{{1,3}}(?:\d{{1,4}}[\s,.;:/_-]{{1,3}})?(?:{_WORD})\b"
)
MIN_WORDS: Final = 2
_NO_DIGIT: Final = re.compile(r"\D+")
_TOKEN: Final = re.compile(r"[^\W\d_]+|\d+")


def _spelled_digits(text: str) -> Iterator[Edit]:
    for start, end in spans(_SPELLED, text):
        run = text[start:end]
        tokens = list(_TOKEN.finditer(run))
        words = [token for token in tokens if token.group().lower() not in CONNECTORS]
        if sum(not token.group().isdigit() for token in words) < MIN_WORDS:
            continue
        digits, times, position = "", 1, 0
        for token, following in zip(words, [*words[1:], None], strict=True):
            # Blanks and hyphens between words go; other signs stay, so that "…one, 85 mm" ends where it ends.
            between = run[position : token.start()].strip(" \t\r\n-_")
            digits += "" if between.lower() in CONNECTORS else between
            position = token.end()
            word = token.group().lower()
            if word in TIMES:
                times = TIMES[word]
                continue
            digits += _value(word, following.group().lower() if following else "") * times
            times = 1
        yield start, end, digits


def _value(word: str, following: str) -> str:
    if word in TENS:
        # "forty" alone is 40, "forty one" is 41; of "dix" only 17 to 19 are written so.
        unit = DIGITS.get(following, "0")
        return TENS[word] if unit != "0" and (word != "dix" or unit in "789") else TENS[word] + "0"
    return DIGITS.get(word) or PAIRS.get(word) or word


_ANY_DIGIT_WORD: Final = "|".join(sorted(DIGITS.keys() - {"oh", "ein"}, key=len, reverse=True))
_GLUED: Final = compile_pattern(rf"(?i)(?:^|[^\pL])((?:{_ANY_DIGIT_WORD}){{6,}})(?:$|[^\pL])")
_DIGIT_WORD: Final = re.compile(_ANY_DIGIT_WORD, re.IGNORECASE)


def _glued_digits(text: str) -> Iterator[Edit]:
    """Number words without anything between: "fouroneoneone", "FourOneOneOne"."""
    for start, end in spans(_GLUED, text):
        yield start, end, "".join(DIGITS[word.lower()] for word in _DIGIT_WORD.findall(text[start:end]))


MIN_TRUE_DIGITS: Final = 3
_TWIN_LETTERS: Final = "OoQIil|!SsBZz"
_TWIN_DIGITS: Final = str.maketrans(_TWIN_LETTERS, "0001111155822")
_TWIN: Final = f"[0-9{_TWIN_LETTERS}]"
_EDGE_WORDS_BEFORE: Final = compile_pattern(r"^(?:[oilsz!]+[ .-])+")
_EDGE_WORDS_AFTER: Final = compile_pattern(r"(?:[ .-][oilsz!]+)+$")
_TWIN_RUN: Final = compile_pattern(rf"(?:^|[^\pL\pN])({_TWIN}(?:[ .-]?{_TWIN}){{8,}})(?:$|[^\pL\pN])")


def _twin_digits(text: str) -> Iterator[Edit]:
    for start, end in spans(_TWIN_RUN, text):
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
    for start, end in spans(_SPACED, text):
        yield start, end, _NO_DIGIT.sub("", text[start:end])


_SPACED_TEXT_SIGN: Final = compile_pattern(r"(?:^|\s)[^\s](?:[ ._*|/-][^\s]){7}")
_SPACED_TEXT: Final = re.compile(r"(?<!\S)\S(?:([ ._*|/-]{1,2})\S)(?:\1\S){6,}(?!\S)")


def _spaced_text(text: str) -> Iterator[Edit]:
    """Single characters of any kind with the same sign between: "j a n e @ c o r p . c o m", "A.K.I.A.…"."""
    for match in _SPACED_TEXT.finditer(text):
        start, end = match.span()
        plain = text[start : end : 1 + len(match.group(1))]
        if not plain.isdigit():  # those are the business of the next reading
            yield start, end, plain


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
    kinds.append(("glued digits", list(_glued_digits(text))))
    if _SPACED_TEXT_SIGN.search(text):
        kinds.append(("spaced text", list(_spaced_text(text))))
    if _TWIN_SIGN.search(text):
        kinds.append(("twin digits", list(_twin_digits(text))))
    if _SPACED_SIGN.search(text):
        kinds.append(("spaced digits", list(_spaced_digits(text))))
    kinds.append(("spelled e-mail", list(_spelled_emails(text))))
    for name, edits in kinds:
        if edits:
            yield rewrite(name, text, edits)
