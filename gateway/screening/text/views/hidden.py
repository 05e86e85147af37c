"""Text written backwards, turned by thirteen letters, or smuggled in tag characters."""

from __future__ import annotations

from array import array
from typing import Final

from gateway.screening.text.luhn import is_luhn
from gateway.screening.text.normalise import Normalised
from gateway.screening.text.patterns import compile_pattern, spans
from gateway.screening.text.views.rewrite import View

_BACKWARDS_SIGN: Final = compile_pattern("(?i)\\brevers|\\bbackward|\\bmirror|rückwärts|l'envers|al revés")
_TURNED_ADDRESS: Final = compile_pattern(
    r"(?i)\b(?:moc|gro|ten|ude|vog|oi|ue|ofni|ed|rf|se|ku\.oc|ku|hc|ta)\.[\pL\pN-]{1,63}@[\pL\pN]"
)
"""An address whose end looks like a beginning: "moc.proc@enaj"."""
_TURNED_CARD: Final = compile_pattern(r"\b((?:\d{4}[ -]){3}\d{4})\b")
_BETWEEN: Final = " and "
_ROT13_SIGN: Final = compile_pattern(r"(?i)\brot[ -]?13\b|\bcaesar\b|\bcäsar\b")
_ROT13: Final = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm"
)
_RIGHT_TO_LEFT: Final = "\u202e"


def backwards(original: Normalised) -> View | None:
    """The text from its end to its start, where something in it speaks of that or looks like it."""
    signs = (_BACKWARDS_SIGN, _TURNED_ADDRESS)
    if _RIGHT_TO_LEFT not in original.source and not any(sign.search(original.text) for sign in signs):
        return None
    text = original.text[::-1]
    places = range(len(text) - 1, -1, -1)
    return View("backwards", text, array("I", places), array("I", (p + 1 for p in places)), b"\x01" * len(text))


def turned_cards(original: Normalised) -> View | None:
    """Each card-like number alone, from its end to its start: nobody says that it stands the wrong way round."""
    text, starts, ends = [], array("I"), array("I")
    for start, end in spans(_TURNED_CARD, original.text):
        piece = original.text[start:end][::-1]
        if not is_luhn(piece.replace(" ", "").replace("-", "")):
            continue
        piece += _BETWEEN
        text.append(piece)
        starts.extend([start] * len(piece))
        ends.extend([end] * len(piece))
    if not text:
        return None
    whole = "".join(text)
    return View("turned cards", whole, starts, ends, b"\x01" * len(whole))


def turned(original: Normalised) -> View | None:
    """Each letter by the one thirteen places on, where the text speaks of that."""
    if not _ROT13_SIGN.search(original.text):
        return None
    text = original.text.translate(_ROT13)
    places = range(len(text))
    return View("rot13", text, array("I", places), array("I", (p + 1 for p in places)), b"\x01" * len(text))


def tagged(original: Normalised) -> View | None:
    """Tag characters read as the ASCII they stand for. They are not in the normalised text, so the whole text is the
    stretch that the finding points to."""
    if not original.hidden:
        return None
    text = "".join(chr(ord(original.source[i]) - 0xE0000) for i in original.hidden)
    size = len(original.text)
    return View(
        "tag characters", text, array("I", [0] * len(text)), array("I", [size] * len(text)), b"\x01" * len(text)
    )
