"""Signed notes (C2SP signed-note) with Ed25519 (RFC 8032), and the keys that make and check them.

A *vkey* is the public half as one line, ``<name>+<key id>+<base64 of 0x01 || public key>``, the form that the tools
of the transparency world exchange.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ED25519 = b"\x01"  # signature type byte of the specification
_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_PUBLIC_KEY_BYTES = 32
_SIGNATURE_PREFIX = "\u2014 "  # em dash
_MAX_NOTE_BYTES = 64 * 1024  # checked before parsing; room for more than the 16 signatures one must accept
_MAX_SIGNATURES = 64


class NoteRefused(ValueError):
    """A note, or a key for notes, is malformed or not signed by the key that was expected."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Public key of a note signer."""

    name: str
    key_id: bytes
    public_key: bytes

    @classmethod
    def of(cls, name: str, public_key: bytes) -> VerifierKey:
        check_key_name(name)
        return cls(name, key_id(name, public_key), public_key)

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Read a vkey. Raises ``NoteRefused`` if it is malformed or its key id is not that of its key."""
        name, _, rest = vkey.strip().partition("+")
        hex_id, _, encoded = rest.partition("+")
        try:
            claimed, blob = bytes.fromhex(hex_id), base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise NoteRefused("verifier key is malformed: expected NAME+KEYID+BASE64") from None
        if len(blob) != 1 + _PUBLIC_KEY_BYTES or blob[:1] != _ED25519:
            raise NoteRefused("verifier key is not an Ed25519 key")
        key = cls.of(name, blob[1:])
        if not hmac.compare_digest(claimed, key.key_id):
            raise NoteRefused("verifier key has a wrong key id: it was mistyped or belongs to another name")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public_key).decode()}"

    def verify(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


class NoteSigner:
    """Signs note texts under a name."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        public = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier_key = VerifierKey.of(name, public)

    def sign(self, text: str) -> bytes:
        """Raw Ed25519 signature of a note text."""
        return self._private_key.sign(text.encode())


def key_id(name: str, public_key: bytes) -> bytes:
    """Key id of the specification: the first four bytes of SHA-256(name || newline || type || key)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_KEY_ID_BYTES]


def check_key_name(name: str) -> None:
    """Raises ``NoteRefused`` for a name with spaces or a plus, which would make the note ambiguous."""
    if not name or "+" in name or any(character.isspace() or ord(character) < 0x20 for character in name):
        raise NoteRefused("key name must not be empty nor contain spaces or plus")


def assemble(text: str, key: VerifierKey, signature: bytes) -> str:
    """The whole note from a text (ending in a newline) and its signature."""
    encoded = base64.b64encode(key.key_id + signature).decode()
    return f"{text}\n{_SIGNATURE_PREFIX}{key.name} {encoded}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """The note's text, if ``key`` signed it. Raises ``NoteRefused`` otherwise; signatures of others are ignored."""
    text, signature = split_note(note, key)
    if not key.verify(text.encode(), signature):
        raise NoteRefused("signature of the note does not verify")
    return text


def split_note(note: str, key: VerifierKey) -> tuple[str, bytes]:
    """Text and ``key``'s signature, not yet verified. Raises ``NoteRefused`` if the note is malformed or has none."""
    if len(note.encode("utf-8", "surrogatepass")) > _MAX_NOTE_BYTES:
        raise NoteRefused("note is too long")
    if any(ord(character) < 0x20 and character != "\n" for character in note):
        raise NoteRefused("note contains control characters")
    text, separator, block = note.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise NoteRefused("note has no signatures")
    found: bytes | None = None
    lines = block[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise NoteRefused("note has too many signatures")
    for line in lines:
        name, blob = _signature_line(line)
        if name == key.name and hmac.compare_digest(blob[:_KEY_ID_BYTES], key.key_id):
            if found is not None:
                raise NoteRefused("note is signed twice by one key")
            found = blob[_KEY_ID_BYTES:]
    if found is None:
        raise NoteRefused("note is not signed by the expected key")
    if len(found) != _SIGNATURE_BYTES:
        raise NoteRefused("signature has the wrong length")
    return text + "\n", found


def _signature_line(line: str) -> tuple[str, bytes]:
    if not line.startswith(_SIGNATURE_PREFIX):
        raise NoteRefused("signature line is malformed")
    name, _, encoded = line[len(_SIGNATURE_PREFIX) :].partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise NoteRefused("signature line is malformed") from None
    if not name or len(blob) <= _KEY_ID_BYTES:
        raise NoteRefused("signature line is malformed")
    return name, blob
