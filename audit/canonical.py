"""One way to turn fields into bytes, so that what is hashed or authenticated has one meaning.

``encode`` writes each field as ``tag (1 byte) || length (4 bytes, big endian) || data``:

=====  ===================  =====================================================
tag    Python               data
=====  ===================  =====================================================
``s``  ``str``, ``StrEnum`` UTF-8 (lone surrogates allowed, as ``surrogatepass``)
``i``  ``int``              ASCII decimal, ``-`` before negatives, no leading zero
``b``  ``bytes``            as they are
``n``  ``None``             nothing
``l``  ``tuple`` of these   ``encode`` of its items
=====  ===================  =====================================================

The encoding is injective: different field lists never give the same bytes, because every field carries its type and
its length (``("ab", "c")`` against ``("a", "bc")`` is the classic attack on plain concatenation). ``decode`` is its
inverse and refuses everything ``encode`` would not have written. The first field is always a label that names the
purpose and its version, so bytes made for one purpose are never valid for another.

Sealed bodies are JSON (``dump_json``); they need no canonical form, since their ciphertext is what is hashed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, Union

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
Field: TypeAlias = Union[str, int, bytes, "tuple[Field, ...]", None]

_LENGTH_BYTES = 4
_head = struct.Struct(">cL").pack
_SHORT = 256
_TEXT_HEADS, _NUMBER_HEADS, _BYTES_HEADS = ([_head(tag, size) for size in range(_SHORT)] for tag in (b"s", b"i", b"b"))
_NOTHING = _head(b"n", 0)


def encode(*fields: Field) -> bytes:
    """Encode fields injectively. Raises ``TypeError`` for a type outside the table (``bool`` and ``float`` too)."""
    parts: list[bytes] = []
    for field in fields:
        kind = type(field)
        if kind is bytes:
            size = len(field)  # type: ignore[arg-type]  # ``kind`` told
            parts += (_BYTES_HEADS[size] if size < _SHORT else _head(b"b", size), field)  # type: ignore[arg-type]
        elif isinstance(field, str):  # members of closed vocabularies too: equal strings, equal bytes
            data = field.encode("utf-8", "surrogatepass")
            size = len(data)  # struct.error beyond 4 GiB, which no field comes near
            parts += (_TEXT_HEADS[size] if size < _SHORT else _head(b"s", size), data)
        elif kind is int:  # not isinstance: a bool must not pass for 0 or 1
            data = str(field).encode()
            size = len(data)
            parts += (_NUMBER_HEADS[size] if size < _SHORT else _head(b"i", size), data)
        elif field is None:
            parts.append(_NOTHING)
        elif kind is tuple:
            data = encode(*field)  # type: ignore[misc]
            parts += (_head(b"l", len(data)), data)
        else:
            raise TypeError(f"cannot encode a {kind.__name__}")
    return b"".join(parts)


@lru_cache(maxsize=4096, typed=True)
def encode_plain(*fields: str | int | None) -> bytes:
    """The same for fields that come again and again, remembered: for plain ones only, never for who or what.

    Encodings can be joined, so a list of fields may be encoded in parts.
    """
    return encode(*fields)


def decode(data: bytes) -> tuple[Field, ...]:
    """Inverse of ``encode``. Raises ``ValueError`` for anything that ``encode`` would not have written."""
    fields: list[Field] = []
    at = 0
    while at < len(data):
        start = at + 1 + _LENGTH_BYTES
        end = start + int.from_bytes(data[at + 1 : start], "big")
        if start > len(data) or end > len(data):
            raise ValueError("field is cut short")
        fields.append(_decode_one(data[at : at + 1], data[start:end]))
        at = end
    return tuple(fields)


def _decode_one(tag: bytes, data: bytes) -> Field:
    if tag == b"s":
        return data.decode("utf-8", "surrogatepass")
    if tag == b"b":
        return data
    if tag == b"i":
        number = int(data)
        if b"%d" % number != data:  # "007", "+7", "7 " would be second spellings of one value
            raise ValueError("integer is not in its one spelling")
        return number
    if tag == b"n":
        if data:
            raise ValueError("nothing must be empty")
        return None
    if tag == b"l":
        return decode(data)
    raise ValueError("unknown field type")


def dump_json(value: JSON) -> bytes:
    """A JSON body for sealing. Raises ``ValueError`` for what JSON cannot carry (NaN, cycles, other types).

    Lone surrogates (a client may send the JSON escape ``\\ud800``) survive: a prompt must not be able to make its
    own record impossible.
    """
    try:
        text = _write_json(value)
    except (TypeError, ValueError, RecursionError):
        # The original message may quote the content, so it is not chained.
        raise ValueError("content is not JSON (check for NaN, cycles, depth, or a type JSON does not know)") from None
    return text.encode("utf-8", "surrogatepass")


def load_json_object(data: bytes) -> dict[str, Any]:
    """Inverse of ``dump_json`` for a mapping (tuples come back as lists). Raises ``ValueError`` for anything else."""
    value = json.loads(data.decode("utf-8", "surrogatepass"))
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return value


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return list(value)
    raise TypeError


# Made once: ``json.dumps`` makes a new one at each call that differs from its defaults.
_write_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode
