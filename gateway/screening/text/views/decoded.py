"""Base64 and base 32, hexadecimal, binary and decimal codes, URL, HTML and quoted-printable encodings, read."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from gateway.screening.text.normalise import normalise
from gateway.screening.text.patterns import compile_pattern, spans
from gateway.screening.text.views.rewrite import Edit, View, rewrite

_ENCODED: Final = compile_pattern(
    r"(?:&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,12});)+"
    r"|%[0-9a-fA-F]{2}(?:%[0-9a-fA-F]{2})*"
    r"|(?:\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}))+"
    r"|=[0-9A-F]{2}(?:=[0-9A-F]{2}){3,}"
    r"|\b[01]{8}(?:[ ,]{0,2}[01]{8}){5,}\b"
    r"|\b\d{2,3}(?: \d{2,3}){7,}\b|\b\d{2,3}(?:, ?\d{2,3}){7,}\b"
    r"|\b(?:0x)?[0-9a-fA-F]{2}(?:(?:[ :-]?(?:0x)?|, ?0x)[0-9a-fA-F]{2}){8,}\b"
    r"|[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}"
)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F :,-]|0x)+")
_ESCAPED_CHARACTER: Final = re.compile(r"\\[xu]([0-9a-fA-F]+)")
_ENCODED_SIGN: Final = compile_pattern(
    r"[A-Za-z0-9+/_-]{16}|[&%\\]|=[0-9A-F]{2}=|[0-9a-fA-F]{2}(?:[ :-]|, ?(?:0x)?)[0-9a-fA-F]{2}"
)
_BINARY: Final = re.compile(r"[01]{8}(?:[ ,]{0,2}[01]{8})+")
_DECIMAL: Final = re.compile(r"\d{2,3}(?:(?:, ?| )\d{2,3})+")
_BASE32: Final = re.compile(r"[A-Z2-7]{16,}={0,6}")


def _readable(data: bytes) -> str | None:
    """`data` as text when it is text."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if len(text) >= 6 and all(c.isprintable() or c in "\t\r\n" for c in text) else None


def _from_base64(value: str) -> str | None:
    compact = "".join(value.split()).rstrip("=").replace("-", "+").replace("_", "/")
    for skip in (0, 1, 2, 3):  # a word glued before it shifts the alphabet's groups of four
        body = compact[skip:]
        body = body[: len(body) - (1 if len(body) % 4 == 1 else 0)]
        try:
            text = _readable(base64.b64decode(body + "=" * (-len(body) % 4)))
        except binascii.Error:
            continue
        if text is not None:
            return text
    return None


def _from_hex(value: str) -> str | None:
    digits = re.sub(r"0x|[ :,-]", "", value)
    return _readable(bytes.fromhex(digits)) if len(digits) % 2 == 0 else None


def _from_escapes(value: str) -> str | None:
    return "".join(chr(int(code, 16)) for code in _ESCAPED_CHARACTER.findall(value))


def _from_quoted(value: str) -> str | None:
    """RFC 2045, section 6.7."""
    return _readable(bytes.fromhex(value.replace("=", "")))


def _from_binary(value: str) -> str | None:
    bits = re.sub(r"[ ,]", "", value)
    return _readable(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)))


def _from_decimal(value: str) -> str | None:
    """The codes of printable ASCII, one after the other. Of two digits each they could be hexadecimal as well, so then
    only the codes of a number count: digits, blanks, points and dashes."""
    codes = [int(code) for code in re.findall(r"\d+", value)]
    least, most = (32, 126) if max(codes) > 99 else (45, 57)
    return "".join(map(chr, codes)) if all(code == 32 or least <= code <= most for code in codes) else None


def _from_base32(value: str) -> str | None:
    """RFC 4648, section 6."""
    compact = value.rstrip("=")
    try:
        return _readable(base64.b32decode(compact + "=" * (-len(compact) % 8)))
    except binascii.Error:
        return None


_BY_FIRST_SIGN: Final[dict[str, Callable[[str], str | None]]] = {
    "&": html.unescape,
    "%": unquote,
    "\\": _from_escapes,
    "=": _from_quoted,
}


def _decode(value: str) -> str | None:
    decoder = _BY_FIRST_SIGN.get(value[0])
    if decoder is not None:
        return decoder(value)
    # Every string of one alphabet is also spelled in the next one's letters: the narrowest reading goes first.
    for form, read in _BY_ALPHABET:
        if form.fullmatch(value):
            plain = read(value)
            if plain is not None:
                return plain
    return _from_base64(value)


_BY_ALPHABET: Final = (
    (_BINARY, _from_binary), (_DECIMAL, _from_decimal), (_HEX, _from_hex), (_BASE32, _from_base32),
)  # fmt: skip


def decoded(text: str) -> View | None:
    """`text` with every encoded stretch that holds readable text decoded; None where there is none."""
    if not _ENCODED_SIGN.search(text):
        return None
    edits: list[Edit] = []
    for start, end in spans(_ENCODED, text):
        value = text[start:end]
        plain = _decode(value)
        if plain is not None and plain != value:
            edits.append((start, end, normalise(plain).text))
    return rewrite("decoded", text, edits) if edits else None
