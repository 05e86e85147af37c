"""The lines of an evidence file, each in its one spelling.

A line that could be written in two ways is two lines to whoever compares bytes, and a byte that may be anything is a
byte in which damage hides. So a reader writes each line again from what it understood and takes it only if that gives
the same bytes: unknown and repeated members, another order, capital letters in an id, loose base64, a number as text,
spaces, a missing end of line are all refused, and the line is named.

Every member of a record is bound by its leaf, every member of the header by the log's signature or by the records.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from audit.checkpoint import MAX_SIZE
from audit.note import NoteRefused, VerifierKey, decode_base64
from audit.row import COLUMNS, SALT_BYTES, Row
from audit.tree import HASH_BYTES

FORMAT: Final = "imprimatur-audit-evidence/2"
# An endless line must not fill a verifier's memory. Far above the largest record that any log allows.
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_LEFT_OUT: Final = ("index_salt", "terms", "authenticator")
_FIELDS: Final = tuple(name for name in COLUMNS if name not in _LEFT_OUT)
_ANY_LENGTH: Final = 0
# A shorter or longer salt can give the same commitment: HMAC pads its key with zeroes (RFC 2104, section 2).
_BYTES: Final = {
    "envelope_salt": SALT_BYTES,
    "subject_digest": HASH_BYTES,
    "content_digest": HASH_BYTES,
    "index_commitment": HASH_BYTES,
    "leaf": HASH_BYTES,
    "subject": _ANY_LENGTH,
    "content": _ANY_LENGTH,
}
_NUMBERS: Final = frozenset({"seq", "head_seq", "recorded_at", "credits", "latency_bucket_ms", "schema", "counter"})
_MAY_BE_NULL: Final = frozenset({"latency_bucket_ms", "subject", "content"})
_MAX_PATH: Final = 64  # of a tree with 2**63 leaves


class LineRefused(ValueError):
    """A line is not one that a log writes. The message says what is wrong with it and quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line."""

    key: VerifierKey
    complete: bool  # every record from ``first_record`` to the checkpoint, in order; else some, each with its path
    first_record: int  # 0, or where a pruned log begins; 0 in a selection
    before: tuple[bytes, ...]  # what is left of the records before: roots of full subtrees, largest first
    checkpoint: str  # as a signed note

    def line(self) -> bytes:
        """The line, newline included."""
        return _line(
            {
                "format": FORMAT,
                "origin": self.key.name,
                "vkey": str(self.key),
                "complete": self.complete,
                "first_record": self.first_record,
                "before": [_base64(root) for root in self.before],
                "checkpoint": self.checkpoint,
            }
        )

    @classmethod
    def parse(cls, raw: bytes) -> Header:
        """Read a first line. Raises ``LineRefused``."""
        value = _object(raw)
        if value.get("format") != FORMAT:
            raise LineRefused(f"not an evidence file of this version: expected format {FORMAT}")
        try:
            header = cls(
                key=VerifierKey.parse(_text(value["vkey"])),
                complete=value["complete"] is True,
                first_record=_number(value["first_record"]),
                before=tuple(_sized(item, HASH_BYTES) for item in _list(value["before"])),
                checkpoint=_text(value["checkpoint"]),
            )
        except KeyError as error:
            raise LineRefused(f"the header lacks {error.args[0]}") from None
        except NoteRefused as error:
            raise LineRefused(f"vkey: {error}") from None
        except ValueError as error:
            raise LineRefused(f"the header is malformed: {error}") from None
        if header.line() != raw:
            raise LineRefused("the header is not written as the log writes it")
        if not 0 <= header.first_record <= (MAX_SIZE if header.complete else 0):
            raise LineRefused("first_record cannot be what it says")
        if len(header.before) != header.first_record.bit_count():
            raise LineRefused(
                f"before has the wrong length: expected {header.first_record.bit_count()} hashes for "
                f"{header.first_record} records, got {len(header.before)}"
            )
        return header


def record_line(row: Row, path: list[bytes] | None, *, with_content: bool = True) -> bytes:
    """One record as a line, newline included; with its path in a selection."""
    record: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(row, name)
        if name == "event_id":
            value = str(uuid.UUID(bytes=value))
        elif name in ("subject", "content") and not with_content:
            value = None
        elif name in _BYTES and value is not None:
            value = _base64(value)
        record[name] = value
    line: dict[str, Any] = {"record": record}
    if path is not None:
        line["path"] = [_base64(sibling) for sibling in path]
    return _line(line)


def parse_record(raw: bytes) -> tuple[Row, list[bytes] | None]:
    """Inverse of ``record_line``. Raises ``LineRefused`` for whatever that would not have written."""
    line = _object(raw)
    record = line.get("record")
    if not isinstance(record, dict):
        raise LineRefused("it holds no record")
    values: dict[str, Any] = dict.fromkeys(_LEFT_OUT)
    for name in _FIELDS:
        try:
            values[name] = _value(name, record[name])
        except KeyError:
            raise LineRefused(f"the record lacks {name}") from None
        except ValueError as error:
            raise LineRefused(f"{name} is malformed: {error}") from None
    row = Row(**values)
    path = None
    if "path" in line:
        try:
            path = [_sized(item, HASH_BYTES) for item in _list(line["path"])]
        except ValueError as error:
            raise LineRefused(f"path is malformed: {error}") from None
        if len(path) > _MAX_PATH:
            raise LineRefused("path is longer than that of any tree")
    if record_line(row, path) != raw:
        raise LineRefused("it is not written as the log writes it: other members, order or spelling")
    return row, path


def read_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, not looked into. Raises ``LineRefused`` for one that never ends."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise LineRefused(f"it is longer than {MAX_LINE_BYTES:,} bytes, as no record is")
        yield line


def _object(raw: bytes) -> dict[str, Any]:
    if not raw.endswith(b"\n"):
        raise LineRefused("it has no end: the file was cut, or written by something else")
    try:
        value = json.loads(raw.decode("ascii"))
    except RecursionError:  # ten thousand brackets are no reason to fall over
        raise LineRefused("it is nested too deeply to be a record") from None
    except ValueError:  # whose message might quote the line
        raise LineRefused("it is not JSON in ASCII") from None
    if not isinstance(value, dict):
        raise LineRefused("expected a JSON object")
    return value


def _value(name: str, value: object) -> object:
    if value is None:
        if name not in _MAY_BE_NULL:
            raise ValueError("expected a value, got null")
        return None
    if name in _BYTES:
        return _sized(value, _BYTES[name])
    if name in _NUMBERS:
        return _number(value)
    text = _text(value)
    if name != "event_id":
        return text
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise ValueError("not a UUID") from None


def _sized(value: object, length: int) -> bytes:
    data = decode_base64(_text(value))
    if length != _ANY_LENGTH and len(data) != length:
        raise ValueError(f"expected {length} bytes, got {len(data)}")
    return data


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError(f"expected a string, got {type(value).__name__}")
    return value


def _number(value: object) -> int:
    if type(value) is not int:  # not isinstance: true must not pass for 1
        raise ValueError(f"expected a whole number, got {type(value).__name__}")
    return value


def _list(value: object) -> list[Any]:
    if type(value) is not list:
        raise ValueError(f"expected a list, got {type(value).__name__}")
    return value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
