"""A reader of `multipart/form-data` (RFC 7578) that holds everything in memory and nothing above its limits.

People's pictures never touch a disk, so there is no spooling to a temporary file. File names are neither used nor
kept: they name people and places, and a path in one is an attack.

It is stricter than the standard, because whatever two readers could take for two different requests is a way past
one of them: no preamble, nothing after the last boundary, no delimiter inside a part, each text field once, plain
names, no transfer encodings, no character sets but UTF-8, and each name is either a text or a file, as declared.

`read_form` works on any asynchronous iterator of bytes and reads on only while every limit is kept. Whatever is wrong
is a `FormError`, which carries the field's name and the kind of fault, never content.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

Fault = Literal["malformed", "too_large", "too_many", "duplicate", "unknown", "wrong_kind"]
"""`malformed`: not a form as described above. `too_large`: of the field, or without one of the whole body.
`too_many`: of the field, or without one of all parts. `duplicate`: a text field came twice. `unknown`: no field of
this name is declared. `wrong_kind`: a text sent as a file or the other way round."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")
"""RFC 2046, section 5.1.1, without the space."""
_PARAMETER = re.compile(r';[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\\r\n]|\\[^\r\n])*"|[^\s";]+)[ \t]*')
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}(\[\])?")
_PLAIN_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary"})
_PLAIN_CHARSETS = frozenset({"utf-8", "us-ascii"})
_MAX_HEADERS = 8

_SILENT = logging.Logger("multipart", logging.CRITICAL + 1)
"""The parser's own warnings quote bytes of the body; this logger hangs on no handler."""


class FormError(Exception):
    """The body is not the form it should be. Carries the field, when it is one's fault, and the kind of fault."""

    def __init__(self, kind: Fault, field: str | None = None) -> None:
        super().__init__(kind if field is None else f"{kind}: {field}")
        self.kind = kind
        self.field = field


@dataclass(frozen=True, slots=True)
class FileLimit:
    """What a file field may bring."""

    max_bytes: int
    max_count: int = 1


@dataclass(frozen=True, slots=True)
class FormLimits:
    """The fields that a form may have, and how much of each. A name that is not here is refused."""

    texts: Mapping[str, int]
    """Text fields, each with its longest value in bytes of UTF-8."""
    files: Mapping[str, FileLimit]
    max_body_bytes: int
    max_parts: int
    max_header_bytes: int = 4096
    """Of one header line of a part."""


@dataclass(frozen=True, slots=True)
class Form:
    """What came."""

    texts: Mapping[str, str]
    files: Mapping[str, tuple[bytes, ...]]
    """By field; a field that did not come is not here."""


async def read_form(content_type: str, body: AsyncIterable[bytes], limits: FormLimits) -> Form:
    """The form in the body. Raises FormError; what `body` raises passes through."""
    reader = _Reader(_boundary(content_type), limits)
    async for chunk in body:
        reader.feed(chunk)
    return reader.close()


def _boundary(content_type: str) -> bytes:
    kind, separator, rest = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        raise FormError("malformed")
    boundary = _parameters(separator + rest).get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise FormError("malformed")
    return boundary.encode("ascii")


def _parameters(text: str) -> dict[str, str]:
    """`; name="x"; other=y`. Raises FormError unless it is nothing but parameters, each once."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _PARAMETER.match(text, place)
        if match is None:
            raise FormError("malformed")
        name, value = match[1].lower(), match[2]
        if name in found:  # one reader takes the first, another the last
            raise FormError("malformed")
        found[name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        place = match.end()
    return found


@dataclass(slots=True)
class _Part:
    """The part that is being read. `name` is known when its headers are."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    data: bytearray = field(default_factory=bytearray)


class _Reader:
    """Takes a body in any pieces. Owns the parts and counts what they take."""

    def __init__(self, boundary: bytes, limits: FormLimits) -> None:
        self._limits = limits
        self._opening = b"--" + boundary + b"\r\n"
        self._delimiter = b"\r\n--" + boundary
        self._closing = self._delimiter + b"--"
        self._start: bytearray | None = bytearray()  # the first bytes, until they can be compared with the opening
        self._tail = b""  # the last bytes, in which a delimiter may have begun
        self._delimiters = 0
        self._size = 0
        self._ended = False
        self._after_end = b""
        self._parts = 0
        self._part = _Part()
        self._header_name = b""
        self._header_value = b""
        self._texts: dict[str, str] = {}
        self._files: dict[str, list[bytes]] = {}
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_begin": self._on_header_begin,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=_MAX_HEADERS,
            max_header_size=limits.max_header_bytes,
        )
        self._parser.logger = _SILENT

    def feed(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limits.max_body_bytes:
            raise FormError("too_large")
        if self._start is not None:
            # No preamble: the parser would skip one, and another reader might find a part in it.
            self._start += chunk
            known = min(len(self._start), len(self._opening))
            if self._start[:known] != self._opening[:known]:
                raise FormError("malformed")
            if known < len(self._opening):
                return
            chunk, self._start = bytes(self._start), None
        self._parse(chunk)

    def _parse(self, chunk: bytes) -> None:
        joined = self._tail + chunk
        self._delimiters += joined.count(self._delimiter, max(0, len(self._tail) - len(self._delimiter) + 1))
        # Each look-alike sends the parser through a slow path, and none may stand in a part (RFC 2046, 5.1.1).
        if self._delimiters > self._limits.max_parts:
            raise FormError("too_many")
        had_ended = self._ended
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise FormError("malformed") from None  # the cause quotes the bytes
        if had_ended:
            self._after_end += chunk
        elif self._ended:
            self._after_end += joined[joined.index(self._closing) + len(self._closing) :]
        if not b"\r\n".startswith(self._after_end):
            raise FormError("malformed")
        self._tail = joined[-(len(self._closing) - 1) :]

    def close(self) -> Form:
        """The form, when the body ended where a form does."""
        if not self._ended or self._delimiters != self._parts or self._after_end == b"\r":
            raise FormError("malformed")
        return Form(self._texts, {name: tuple(found) for name, found in self._files.items()})

    # --- called by the parser ---

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.max_parts:
            raise FormError("too_many")
        self._part = _Part()

    def _on_header_begin(self) -> None:
        self._header_name = self._header_value = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._header_name.lower()
        if name in self._part.headers:  # one reader takes the first, another the last
            raise FormError("malformed")
        self._part.headers[name] = self._header_value

    def _on_headers_finished(self) -> None:
        part = self._part
        kind, separator, rest = part.headers.get(b"content-disposition", b"").decode("latin-1").partition(";")
        if kind.strip().lower() != "form-data":
            raise FormError("malformed")
        parameters = _parameters(separator + rest)
        part.name = parameters.get("name", "")
        if _NAME.fullmatch(part.name) is None:
            raise FormError("malformed")
        part.is_file = "filename" in parameters or "filename*" in parameters
        self._check_encoding(part)
        self._check_field(part)

    def _check_encoding(self, part: _Part) -> None:
        encoding = part.headers.get(b"content-transfer-encoding", b"").strip().lower()
        kind, separator, rest = part.headers.get(b"content-type", b"").decode("latin-1").partition(";")
        if encoding not in _PLAIN_ENCODINGS or kind.strip().lower().startswith("multipart/"):
            raise FormError("malformed", part.name)
        if not part.is_file and _parameters(separator + rest).get("charset", "utf-8").lower() not in _PLAIN_CHARSETS:
            raise FormError("malformed", part.name)

    def _check_field(self, part: _Part) -> None:
        limits = self._limits
        if part.name not in limits.texts and part.name not in limits.files:
            raise FormError("unknown", part.name)
        if part.is_file != (part.name in limits.files):
            raise FormError("wrong_kind", part.name)
        if part.name in self._texts:
            raise FormError("duplicate", part.name)
        if part.is_file and len(self._files.get(part.name, ())) >= limits.files[part.name].max_count:
            raise FormError("too_many", part.name)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part, limits = self._part, self._limits
        most = limits.files[part.name].max_bytes if part.is_file else limits.texts[part.name]
        if len(part.data) + end - start > most:
            raise FormError("too_large", part.name)
        part.data += data[start:end]

    def _on_part_end(self) -> None:
        part = self._part
        if part.is_file:
            self._files.setdefault(part.name, []).append(bytes(part.data))
            return
        try:
            self._texts[part.name] = part.data.decode("utf-8")
        except UnicodeDecodeError:
            raise FormError("malformed", part.name) from None  # the cause quotes the bytes

    def _on_end(self) -> None:
        self._ended = True
