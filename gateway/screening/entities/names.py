"""From what the model takes for a name to what is one: the model was made for news, and a prompt is none.

It takes "Bild von einem" for a person and a cue for a part of a name. So cues and small words at both ends are cut off,
and of a person both names are asked for, or a title before one: a first name alone names nobody. Who is shown *as* a
customer is a character or an actor, and who has a *style* is a painter.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.screening.entities.model import Named
from gateway.screening.text.cues import Cues
from gateway.screening.text.normalise import fold

PERSON: Final = "PERSON"
TITLES: Final = frozenset({
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "herr", "herrn", "frau", "m", "mme", "mlle", "madame", "monsieur",
    "sr", "sra", "srta", "senor", "senora", "don", "dona",
})  # fmt: skip
PARTICLES: Final = frozenset({
    "von", "van", "der", "den", "de", "del", "della", "di", "da", "dos", "du", "la", "le", "y", "zu", "bin", "al", "el",
    "und", "of",
})  # fmt: skip
"""Small words within a name; at its ends they are none of it."""
_WORD: Final = re.compile(r"[^\W\d_][\w'’.-]*")
_SHOWN_AS: Final = re.compile(
    r"[\s,-]*\b(?:as|als|comme|como|en tant que|vestid[oa] de|déguisée? en|styled?|stil)\b", re.IGNORECASE
)
_BEFORE: Final = re.compile(r"([^\W\d_]+)\.?\s*$")
_TITLE_CHARS: Final = 12


Words = list[tuple[int, int]]


def whole_name(text: str, named: Named, cues: Cues) -> tuple[int, int] | None:
    """The name in what the model found, without what is none of it; None when nothing is left that names anybody."""
    words = [
        (named.start + match.start(), named.start + match.start() + len(_bare(match[0])))
        for match in _WORD.finditer(text[named.start : named.end])
    ]
    runs = _runs(text, words) if named.label == PERSON else [words]
    for run in runs:
        while run and _is_none_of_it(text, run[0], cues):
            run.pop(0)
        while run and _is_none_of_it(text, run[-1], cues):
            run.pop()
        if run and (named.label != PERSON or _is_full(text, run)):
            return None if _SHOWN_AS.match(text, run[-1][1]) else (run[0][0], run[-1][1])
    return None


def _runs(text: str, words: Words) -> list[Words]:
    """`words` parted at each that stands in no name: "Anna Berger vor ihrem Haus" holds one of two words."""
    runs: list[Words] = [[]]
    for start, end in words:
        written = text[start:end]
        if written[:1].isupper() or fold(written) in PARTICLES:
            runs[-1].append((start, end))
        else:
            runs.append([])
    return runs


def _bare(word: str) -> str:
    """`word` without a genitive or the stop of a sentence; the stop of an initial stays."""
    for ending in ("'s", "’s"):
        word = word.removesuffix(ending)
    word = word.rstrip("'’-")
    return word if len(word) == 2 else word.rstrip(".")


def _is_none_of_it(text: str, word: tuple[int, int], cues: Cues) -> bool:
    written = text[word[0] : word[1]]
    return not written[:1].isupper() or cues.is_cue(written)


def _is_full(text: str, words: Words) -> bool:
    """Two words with capitals, one of them more than an initial; or one behind a title."""
    capitals = [text[start:end] for start, end in words if text[start:end][:1].isupper()]
    names = [word for word in capitals if fold(word).rstrip(".") not in TITLES]
    if not any(len(word.rstrip(".")) > 1 for word in names):
        return False
    return len(names) > 1 or len(capitals) > len(names) or _has_title(text, words[0][0])


def _has_title(text: str, start: int) -> bool:
    before = _BEFORE.search(text, max(0, start - _TITLE_CHARS), start)
    return before is not None and fold(before[1]) in TITLES
