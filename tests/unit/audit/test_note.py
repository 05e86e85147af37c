from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from audit.note import NoteRefused, NoteSigner, VerifierKey, assemble, open_note


@pytest.fixture
def published(vectors: Path) -> dict[str, Any]:
    return json.loads((vectors / "signed-note.json").read_text())


def signer(name: str = "example.com/audit", seed: bytes = b"\1" * 32) -> NoteSigner:
    return NoteSigner(name, Ed25519PrivateKey.from_private_bytes(seed))


def test_published_notes_open(published: dict[str, Any]) -> None:
    assert open_note(published["note"], VerifierKey.parse(published["vkey"])) == published["text"]
    assert open_note(published["other_note"], VerifierKey.parse(published["other_vkey"])).startswith("This is")


def test_signing_gives_the_published_note_byte_for_byte(published: dict[str, Any]) -> None:
    seed = base64.b64decode(published["skey"].split("+", 4)[4])[1:]
    made = signer("PeterNeumann", seed)
    assert str(made.verifier_key) == published["vkey"]
    assert assemble(published["text"], made.verifier_key, made.sign(published["text"])) == published["note"]


def test_every_mangled_verifier_key_is_refused(published: dict[str, Any]) -> None:
    vkey = published["vkey"]
    for at in range(len(vkey)):
        mangled = [vkey[:at], vkey[at + 1 :] if at else "", vkey[:at] + chr(ord(vkey[at]) + 1) + vkey[at + 1 :]]
        for text in mangled:
            with pytest.raises(NoteRefused):
                VerifierKey.parse(text)


def test_a_note_changed_in_any_place_does_not_open(published: dict[str, Any]) -> None:
    note, key = published["note"], VerifierKey.parse(published["vkey"])
    for at in range(len(note)):
        changed = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises(NoteRefused):
            open_note(changed, key)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: "",
        lambda note: note.rstrip("\n"),
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note + "no dash\n",
        lambda note: note.replace("\u2014 ", "- "),
        lambda note: note.replace("\u2014 PeterNeumann", "\u2014 Somebody"),
        lambda note: note + note.rpartition("\n\n")[2],  # signed twice by one key
        lambda note: note.replace("think", "th\tink"),
        lambda note: note + "\u2014 x AAAAAA==\n" * 70,
        lambda note: "x" * 70_000 + note,
        lambda note: note[:-4] + "\n",
    ],
)
def test_malformed_notes_are_refused(published: dict[str, Any], spoil: Any) -> None:
    with pytest.raises(NoteRefused):
        open_note(spoil(published["note"]), VerifierKey.parse(published["vkey"]))


def test_signatures_of_unknown_keys_are_ignored(published: dict[str, Any]) -> None:
    other = signer("witness.example", b"\2" * 32)
    line = assemble("", other.verifier_key, other.sign(published["text"])).strip("\n")
    note = published["note"] + line + "\n"
    assert open_note(note, VerifierKey.parse(published["vkey"])) == published["text"]
    assert open_note(note, other.verifier_key) == published["text"]


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\u00a0b"])
def test_key_names_with_spaces_or_plus_are_refused(name: str) -> None:
    with pytest.raises(NoteRefused):
        signer(name)


def test_a_checkpoint_comes_back_as_it_was_signed() -> None:
    made = signer()
    checkpoint = sign_checkpoint(made, 20_852_163, b"\7" * 32)
    note = checkpoint.note(made.verifier_key)
    assert note.startswith("example.com/audit\n20852163\nBwcHBwcH")
    assert parse_checkpoint(note, made.verifier_key) == checkpoint
    assert checkpoint.is_signed_by(made.verifier_key)


def test_a_checkpoint_of_another_key_size_or_root_is_not_signed() -> None:
    made = signer()
    good = sign_checkpoint(made, 5, b"\7" * 32)
    for other in (
        Checkpoint(good.origin, 6, good.root, good.signature),
        Checkpoint(good.origin, 5, b"\1" * 32, good.signature),
        Checkpoint("example.com/other", 5, good.root, good.signature),
    ):
        assert not other.is_signed_by(made.verifier_key)
    assert not good.is_signed_by(signer(seed=b"\2" * 32).verifier_key)


@pytest.mark.parametrize(
    "text",
    [
        "example.com/audit\n5\n",
        "example.com/other\n5\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
        "example.com/audit\n05\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
        "example.com/audit\n-5\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
        "example.com/audit\n5\nBwc=\n",
        "example.com/audit\n5\n!!!!\n",
        "example.com/audit\n5\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\nextension\n",
    ],
)
def test_signed_texts_that_are_no_checkpoint_are_refused(text: str) -> None:
    made = signer()
    with pytest.raises(NoteRefused):
        parse_checkpoint(assemble(text, made.verifier_key, made.sign(text)), made.verifier_key)
