"""The words of a text that may be searched for, as the blind index takes them.

Unicode NFKC (Unicode Standard Annex #15), case folded, so that "Straße", "STRASSE" and full-width letters are one word.
A word is a run of letters, digits and the marks on them; invisible format characters inside it are dropped, so that a
zero-width space hides nothing. No stemming: an auditor who searches for "invoice" gets "invoice" and can say why.
Scripts that put no spaces between words are searched by whole runs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

WORD_TERM: Final = "word"  # kind of the blind-index terms that keywords are
MIN_WORD_LENGTH: Final = 2
MAX_WORD_LENGTH: Final = 32
MAX_WORDS: Final = 32  # distinct words of one record: bounds what the index costs
_READ_CHARACTERS: Final = 8192  # far more than the first 32 words need; bounds the work that one prompt can cause

_ASCII_WORD: Final = re.compile(r"[0-9a-z]+")

# Words that nearly every sentence has. They tell nothing, and their postings would be as long as the log.
# fmt: off
STOP_WORDS: Final = frozenset((
    # English
    "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can",
    "could", "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "his", "how", "if", "in", "into",
    "is", "it", "its", "just", "like", "me", "more", "my", "no", "not", "of", "on", "or", "our", "out", "over", "she",
    "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "through", "to", "up", "was", "we", "were", "what", "when", "where", "which", "who", "will", "with",
    "would", "you", "your",
    # German (casefolded: "dass" for "daß" too). "die", "was" and "am" are words of both languages.
    "aber", "als", "auch", "auf", "aus", "bei", "bin", "bis", "da", "dann", "das", "dass", "dein", "dem", "den", "der",
    "des", "die", "dir", "doch", "du", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es", "für",
    "hat", "habe", "haben", "ich", "ihr", "ihre", "im", "ist", "ja", "kann", "kein", "keine", "mein", "mich", "mir",
    "mit", "nach", "nicht", "noch", "nur", "ob", "oder", "ohne", "sein", "seine", "sich", "sie", "sind", "soll", "um",
    "und", "uns", "unter", "vom", "von", "vor", "war", "wenn", "wer", "wie", "wir", "wird", "wo", "zu", "zum", "zur",
))
# fmt: on


def keywords(text: str) -> tuple[str, ...]:
    """At most 32 distinct words of 2 to 32 characters, in the order they come; stop words left out.

    The same text always gives the same words, and ``keywords(" ".join(keywords(text)))`` is ``keywords(text)``.
    """
    found: dict[str, None] = {}
    for word in _words(text[:_READ_CHARACTERS]):
        if MIN_WORD_LENGTH <= len(word) <= MAX_WORD_LENGTH and word not in STOP_WORDS:
            found[word] = None
            if len(found) == MAX_WORDS:
                break
    return tuple(found)


def _words(text: str) -> Iterator[str]:
    if text.isascii():
        yield from _ASCII_WORD.findall(text.lower())
        return
    # Folding can undo the normal form (and the form can bring letters to fold), so both are done twice.
    for _ in range(2):
        text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFKC", text)
    word: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if category[0] in "LN" or (category[0] == "M" and word):  # a mark without its letter begins no word
            word.append(character)
        elif category != "Cf" and word:
            yield "".join(word)
            word.clear()
    if word:
        yield "".join(word)
