"""Base64, hexadecimal, URL and HTML encodings, read."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from gateway.screening.text.normalise import normalise
from gateway.screening.text.patterns import compile_pattern
from gateway.screening.text.views.rewrite import Edit, View, rewrite

_ENCODED: Final = compile_pattern(
    r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,12});"
    r"|%[0-9a-fA-F]{2}(?:%[0-9a-fA-F]{2})*"
    r"|(?:\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}))+"
    r"|\b(?:0x)?[0-9a-fA-F]{2}(?:(?:[ :-]?(?:0x)?|, ?0x)[0-9a-fA-F]{2}){8,}\b"
    r"|[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}"
)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F :,-]|0x)+")
_ESCAPED_CHARACTER: Final = re.compile(r"\\[xu]([0-9a-fA-F]+)")
_ENCODED_SIGN: Final = compile_pattern(r"[A-Za-z0-9+/_-]{16}|[&%\\]|[0-9a-fA-F]{2}(?:[ :-]|, ?0x)[0-9a-fA-F]{2}")


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


_BY_FIRST_SIGN: Final[dict[str, Callable[[str], str | None]]] = {
    "&": html.unescape,
    "%": unquote,
    "\\": _from_escapes,
}


def _decode(value: str) -> str | None:
    decoder = _BY_FIRST_SIGN.get(value[0])
    if decoder is not None:
        return decoder(value)
    # Every hexadecimal string is also spelled in base64's letters.
    return (_from_hex(value) if _HEX.fullmatch(value) else None) or _from_base64(value)


def decoded(text: str) -> View | None:
    """`text` with every encoded stretch that holds readable text decoded; None where there is none."""
    if not _ENCODED_SIGN.search(text):
        return None
    edits: list[Edit] = []
    for match in _ENCODED.finditer(text):
        start, end = match.span()
        value = text[start:end]
        plain = _decode(value)
        if plain is not None and plain != value:
            edits.append((start, end, normalise(plain).text))
    return rewrite("decoded", text, edits) if edits else None
