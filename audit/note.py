"""Signed notes (C2SP signed-note) with Ed25519 (RFC 8032), and the keys that make and check them.

A *vkey* is the public half as one line, ``<name>+<key id>+<base64 of 0x01 || public key>``, the form that the tools
of the transparency world exchange.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519: Final = b"\x01"  # signature type byte of the specification
KEY_ID_BYTES: Final = 4
_SIGNATURE_BYTES = 64
_PUBLIC_KEY_BYTES = 32
_SIGNATURE_PREFIX = "\u2014 "  # em dash
MAX_NOTE_BYTES: Final = 64 * 1024  # checked before parsing; room for more than the 16 signatures one must accept
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
        return cls.of(*parse_vkey(vkey, ED25519))

    def __str__(self) -> str:
        return vkey_text(self.name, self.key_id, ED25519, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        return is_ed25519_signature(self.public_key, text, signature)


class NoteSigner:
    """Signs note texts under a name."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        public = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier_key = VerifierKey.of(name, public)

    def sign(self, text: str) -> bytes:
        """Raw Ed25519 signature of a note text."""
        return self._private_key.sign(text.encode())


class NoteSignature(NamedTuple):
    """One signature line, not verified: who is said to have signed, and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, newline included."""
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"{_SIGNATURE_PREFIX}{self.name} {encoded}\n"


def key_id(name: str, public_key: bytes, kind: bytes = ED25519) -> bytes:
    """Key id of the specification: the first four bytes of SHA-256(name || newline || type || key)."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public_key).digest()[:KEY_ID_BYTES]


def parse_vkey(vkey: str, kind: bytes) -> tuple[str, bytes]:
    """Name and public key of an Ed25519 vkey of one signature type. Raises ``NoteRefused`` if it is malformed, of
    another type, or its key id is not that of its key."""
    name, _, rest = vkey.strip().partition("+")
    hex_id, _, encoded = rest.partition("+")
    try:
        claimed, blob = bytes.fromhex(hex_id), decode_base64(encoded)
    except ValueError:
        raise NoteRefused("verifier key is malformed: expected NAME+KEYID+BASE64") from None
    if len(blob) != 1 + _PUBLIC_KEY_BYTES or blob[:1] != kind:
        what = "an Ed25519 key" if kind == ED25519 else f"a key of signature type {kind.hex()}"
        raise NoteRefused(f"verifier key is not {what}")
    check_key_name(name)
    if not hmac.compare_digest(claimed, key_id(name, blob[1:], kind)):
        raise NoteRefused("verifier key has a wrong key id: it was mistyped or belongs to another name")
    return name, blob[1:]


def vkey_text(name: str, identifier: bytes, kind: bytes, public_key: bytes) -> str:
    """Inverse of ``parse_vkey``."""
    return f"{name}+{identifier.hex()}+{base64.b64encode(kind + public_key).decode()}"


def is_ed25519_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Does an Ed25519 signature hold? ``False`` for a malformed key or signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def decode_base64(text: str) -> bytes:
    """Standard base64 in its one spelling. Raises ``ValueError`` for another: a note or proof that can be written in
    two ways is two notes to whoever compares bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 is not in its one spelling")
    return data


def check_key_name(name: str) -> None:
    """Raises ``NoteRefused`` for a name with spaces or a plus, which would make the note ambiguous."""
    if not name or "+" in name or any(character.isspace() or ord(character) < 0x20 for character in name):
        raise NoteRefused("key name must not be empty nor contain spaces or plus")


def assemble(text: str, key: VerifierKey, signature: bytes) -> str:
    """The whole note from a text (ending in a newline) and its signature."""
    return f"{text}\n{NoteSignature(key.name, key.key_id, signature).line}"


def add_signatures(note: str, lines: Iterable[str]) -> str:
    """A note with more signature lines below its own; one it has already is not repeated."""
    for line in lines:
        if line not in note.rpartition("\n\n")[2].splitlines(keepends=True):
            note += line
    return note


def open_note(note: str, key: VerifierKey) -> str:
    """The note's text, if ``key`` signed it. Raises ``NoteRefused`` otherwise; signatures of others are ignored."""
    text, signature = split_note(note, key)
    if not key.verify(text.encode(), signature):
        raise NoteRefused("signature of the note does not verify")
    return text


def split_note(note: str, key: VerifierKey) -> tuple[str, bytes]:
    """Text and ``key``'s signature, not yet verified. Raises ``NoteRefused`` if the note is malformed or has none."""
    text, signatures = read_note(note)
    found = signature_of(signatures, key.name, key.key_id)
    if found is None:
        raise NoteRefused("note is not signed by the expected key")
    if len(found) != _SIGNATURE_BYTES:
        raise NoteRefused("signature has the wrong length")
    return text, found


def read_note(note: str) -> tuple[str, tuple[NoteSignature, ...]]:
    """Text and all signatures, none verified. Raises ``NoteRefused`` if the note is malformed."""
    if len(note.encode("utf-8", "surrogatepass")) > MAX_NOTE_BYTES:
        raise NoteRefused("note is too long")
    if any(ord(character) < 0x20 and character != "\n" for character in note):
        raise NoteRefused("note contains control characters")
    text, separator, block = note.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise NoteRefused("note has no signatures")
    return text + "\n", read_signatures(block)


def read_signatures(block: str) -> tuple[NoteSignature, ...]:
    """Signature lines, as below a note's text or as a witness answers. Raises ``NoteRefused`` if one is malformed."""
    lines = block.removesuffix("\n").split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise NoteRefused("note has too many signatures")
    return tuple(_signature_line(line) for line in lines)


def signature_of(signatures: Iterable[NoteSignature], name: str, identifier: bytes) -> bytes | None:
    """The one signature under a name and key id, not verified. Raises ``NoteRefused`` if there are two: which of them
    counts would depend on who reads."""
    found = [item.signature for item in signatures if item.name == name and item.key_id == identifier]
    if len(found) > 1:
        raise NoteRefused("note is signed twice by one key")
    return found[0] if found else None


def _signature_line(line: str) -> NoteSignature:
    if not line.startswith(_SIGNATURE_PREFIX):
        raise NoteRefused("signature line is malformed")
    name, _, encoded = line[len(_SIGNATURE_PREFIX) :].partition(" ")
    try:
        blob = decode_base64(encoded)
    except ValueError:
        raise NoteRefused("signature line is malformed") from None
    if not name or len(blob) <= KEY_ID_BYTES:
        raise NoteRefused("signature line is malformed")
    return NoteSignature(name, blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])
