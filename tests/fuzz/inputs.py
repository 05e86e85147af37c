"""Inputs that Hypothesis draws: texts of pieces that mean something to a reader of hidden text, and files that were
good before somebody changed them."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from tests.fuzz.targets import Target

PIECES: Final = (
    *"4111 1111,one four eins zwei cero un .-_/:;@+%&#=\\<>()[]{}'\"",
    *("4111111111111111", "four ", "uno ", "vier", "forty one ", "double ", "card ", "IBAN ", "DE89", "at ", "dot "),
    *("\u200b", "\u00ad", "\ufeff", "\u202e", "\u2066", "\u0301", "\u20e3", "\ufe0f", "\uff14", "\u0664", "\u096a"),
    *("①", "½", "ﬁ", "ǆ", "İ", "ß", "а", "\U000e0034", "\U0001d7d2", "\x00", "\x1b[", "\r\n", "\u2028", "backwards "),
    *("NDEx", "QUJD", "==", "%34", "&#52;", "&amp;", "\\u0034", "\\x34", "=34", "00110100 ", "GQYTC", "{{", "}}"),
    *("-----BEGIN PRIVATE KEY-----", "a" * 60, "1" * 60, "a@" * 20),
)


def of(target: Target) -> st.SearchStrategy[bytes]:
    """Inputs for this target."""
    seeds = st.sampled_from(target.seeds())
    changed = st.builds(_changed, seeds, st.lists(_CHANGES, min_size=1, max_size=6))
    if not target.is_text:
        return st.one_of(changed, changed, st.binary(max_size=300))
    piece = st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES), st.text(max_size=4))
    pieces = st.lists(piece, min_size=5, max_size=60).map("".join)
    strewn = st.builds(_strewn, seeds, st.lists(st.tuples(st.integers(0, 99), piece), min_size=1, max_size=20))
    texts = st.one_of(pieces, pieces, st.text(max_size=200)).map(lambda text: text.encode("utf-8", "replace"))
    return st.one_of(texts, strewn, changed)


_CHANGES: Final = st.tuples(
    st.sampled_from(["put", "cut", "twice", "flip", "end"]),
    st.integers(0, 1 << 16),
    st.integers(0, 64),
    st.one_of(st.binary(max_size=8), st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"IEND", b": ["])),
)


def _strewn(data: bytes, pieces: list[tuple[int, str]]) -> bytes:
    """A text with pieces put between its letters."""
    text = data.decode("utf-8", "replace")
    for percent, piece in pieces:
        at = len(text) * percent // 100
        text = text[:at] + piece + text[at:]
    return text.encode("utf-8", "replace")


def _changed(data: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    for how, place, length, put in changes:
        at = place % (len(data) + 1)
        match how:
            case "put":
                data = data[:at] + put + data[at + len(put) :]
            case "cut":
                data = data[:at] + data[at + length :]
            case "twice":
                data = data[: at + length] + data[at:]
            case "flip" if at < len(data):
                data = data[:at] + bytes([data[at] ^ (1 << (length % 8))]) + data[at + 1 :]
            case "end":
                data = data[:at]
    return data
