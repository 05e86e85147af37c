"""Undo the tricks of writing before anything is looked for, and remember where each character came from.

Stopped here: zero-width and bidirectional controls between digits, letters of other scripts that look Latin
(Unicode TS #39), digits of other scripts, full-width and mathematical letters (NFKC), keycap and squared emoji,
combining strokes ("zalgo"), text smuggled in tag characters. Linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from dataclasses import dataclass, field
from typing import Final

REPLACEMENT: Final = "\ufffd"
"""Stands for a lone surrogate, which no encoder downstream would take."""

TAG_FIRST, TAG_LAST = 0xE0020, 0xE007E
"""Tag characters: invisible twins of printable ASCII, known for smuggling text past filters ("ASCII smuggling")."""

_ASCII_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_LOOKALIKES: Final = (
    # Cyrillic
    "аa еe оo рp сc уy хx іi јj ѕs һh ԁd ԛq ԝw кk мm тt пn гr ѵv ьb ӏl АA ВB "
    "ЕE КK МM НH ОO РP СC ТT ХX УY ІI ЈJ ЅS ԚQ ԜW Ьb ҮY "
    # Greek
    "αa οo εe νv ρp τt υu ιi κk γy ηn ωw χx βb ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO "
    "ΡP ΤT ΥY ΧX "
    # Armenian
    "ոn օo սu հh ցg յj զq "
    # Latin small capitals and other Latin twins
    "ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ɪi ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz "
    "ɑa ɡg ıi ȷj ɩi "
    # Punctuation
    "。. ·. •. ∙. ⋅. ․. ⁄/ ∕/ ∶: ː: ‘' ’' ‛' ′' “\" ”\" „\" ″\" −- ⁓~ "
)
"""Pairs of strange and plain. Single letters only: words are compared later."""


def _build_twins() -> dict[str, str]:
    twins = {"🔟": "10"} | {pair[0]: pair[1] for pair in _LOOKALIKES.split()}
    for base in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6):  # squared, negative circled, negative squared, regional
        for i in range(26):
            twins[chr(base + i)] = chr(ord("A") + i)
    return twins


_TWINS: Final = _build_twins()


def _is_dropped(point: int, category: str) -> bool:
    """Invisible, or a mark drawn over another character."""
    if category in ("Cf", "Me") or 0xFE00 <= point <= 0xFE0F or 0xE0000 <= point <= 0xE01EF:
        return True
    if category == "Cc":
        return chr(point) not in "\t\n\r"
    # General combining blocks only: the vowel signs of Indic scripts carry meaning and stay.
    return category == "Mn" and (
        0x0300 <= point <= 0x036F
        or 0x1AB0 <= point <= 0x1AFF
        or 0x1DC0 <= point <= 0x1DFF
        or 0x20D0 <= point <= 0x20FF
        or 0xFE20 <= point <= 0xFE2F
    )


def _plain(character: str) -> str:
    """The plain form of one character: usually one character, sometimes none or several."""
    point = ord(character)
    category = unicodedata.category(character)
    if category == "Cs":
        return REPLACEMENT
    if _is_dropped(point, category):
        return ""
    twin = _TWINS.get(character)
    if twin is not None:
        return twin
    if point < 128:
        return character
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    if category == "Pd":
        return "-"
    if category == "Zs":
        return " "
    if category in ("Zl", "Zp"):
        return "\n"
    folded = unicodedata.normalize("NFKC", character)
    if folded == character:
        return character
    return "".join(_TWINS.get(c, c) for c in folded if not _is_dropped(ord(c), unicodedata.category(c)))


class _PlainForms(dict[str, str]):
    """Remembers each character's plain form; at most one entry a code point."""

    def __missing__(self, character: str) -> str:
        form = self[character] = _plain(character)
        return form


_FORMS: Final = _PlainForms()


@dataclass(frozen=True, slots=True)
class Normalised:
    """A text made plain. `repr` shows no text: prompts never reach logs."""

    source: str = field(repr=False)
    text: str = field(repr=False)
    offsets: array[int] | None = field(repr=False)
    """For each character of `text` (and one past the end) where in `source` it came from; None = the same place."""
    hidden: tuple[int, ...] = field(repr=False, default=())
    """Where in `source` tag characters stand."""

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of `source` that became `text[start:end]`.

        Invisible characters that follow the last one belong to it (a keycap's tail), so that a mask leaves nothing
        of the value behind.
        """
        if self.offsets is None or start >= end:
            return start, end
        first, last = self.offsets[start], self.offsets[end - 1]
        while end < len(self.offsets) - 1 and self.offsets[end] == last:
            end += 1  # one character became several ("½"): take the whole of it
        return first, self.offsets[end]


def normalise(source: str) -> Normalised:
    """`source` made plain, with the way back."""
    if source.isascii() and not _ASCII_CONTROL.search(source):
        return Normalised(source, source, None)
    forms = list(map(_FORMS.__getitem__, source))
    text = "".join(forms)
    if len(text) == len(source) and all(forms):
        return Normalised(source, text, None)
    offsets = array("I")
    for position, form in enumerate(forms):
        offsets.extend([position] * len(form))
    offsets.append(len(source))
    hidden = tuple(i for i, c in enumerate(source) if TAG_FIRST <= ord(c) <= TAG_LAST)
    return Normalised(source, text, offsets, hidden)


_STROKED: Final = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})


def fold(word: str) -> str:
    """`word` without case and accents, for comparing words ("Téléphone" meets "telephone")."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in parts if unicodedata.category(c) != "Mn").translate(_STROKED)
