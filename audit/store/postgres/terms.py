"""Blind tokens as an array of UUIDs: 16 bytes each, nothing else.

The committed tokens themselves are what is searched (a GIN index on the column), so there is no second copy that an
entry could be missing from: whoever hides a record from searches has to change what the leaf commits to.
"""

from __future__ import annotations

import struct
from typing import Any

import psycopg
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format

from audit.seal import TOKEN_BYTES

UUID_OID, UUID_ARRAY_OID = 2950, 2951
_HEADER = struct.Struct("!iiIii")  # dimensions, has nulls, element type, length, first index
_EMPTY = struct.pack("!iiI", 0, 0, UUID_OID)
_ELEMENT = struct.pack("!i", TOKEN_BYTES)


class _TermsDumper(Dumper):
    format = Format.BINARY
    oid = UUID_ARRAY_OID

    def dump(self, terms: bytes) -> Buffer:
        if not terms:
            return _EMPTY
        tokens = [terms[at : at + TOKEN_BYTES] for at in range(0, len(terms), TOKEN_BYTES)]
        return _HEADER.pack(1, 0, UUID_OID, len(tokens), 1) + _ELEMENT + _ELEMENT.join(tokens)


class _TermsLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        # A shape that this log never writes gives other bytes, so the record's commitment does not hold: no check here.
        step = len(_ELEMENT) + TOKEN_BYTES
        body = bytes(data[_HEADER.size :])
        return b"".join(body[at + len(_ELEMENT) : at + step] for at in range(0, len(body), step))


def register_terms(connection: psycopg.Connection[Any]) -> None:
    """On this connection, ``uuid[]`` is written from and read as the joined tokens of ``Row.terms``."""
    connection.adapters.register_dumper(None, _TermsDumper)
    connection.adapters.register_loader(UUID_ARRAY_OID, _TermsLoader)
