from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import MAX_SIZE, Checkpoint, parse_size, sign_checkpoint
from audit.consistency import ConsistencyProof
from audit.note import NoteRefused, NoteSigner
from audit.tiles import TileTree
from audit.tree import leaf_hash

SIGNER = NoteSigner("example.com/audit", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
KEY = SIGNER.verifier_key
TILES: dict[tuple[int, int], bytes] = {}
TREE = TileTree(lambda level, index: TILES[level, index], 0)
TREE.append(leaf_hash(b"%d" % number) for number in range(700))
TILES.update(TREE.take_dirty())


def checkpoint(size: int) -> Checkpoint:
    return sign_checkpoint(SIGNER, size, TREE.root(size))


def made(old: int, new: int, **changes: Any) -> ConsistencyProof:
    values = {"old_size": old, "path": tuple(TREE.consistency_path(old, new)), "note": checkpoint(new).note(KEY)}
    return ConsistencyProof(**{**values, **changes})


def test_the_published_request_is_read_and_written_byte_for_byte(vectors: Path) -> None:
    published = json.loads((vectors / "c2sp-cosignature.json").read_text())
    found = ConsistencyProof.parse(published["request"])
    assert (found.old_size, len(found.path)) == (published["request_old_size"], published["request_path_length"])
    assert found.text == published["request"]


@given(st.integers(0, 700), st.integers(0, 700))
def test_every_pair_of_sizes_is_proved_from_the_text_alone(one: int, other: int) -> None:
    old, new = sorted((one, other))
    found = ConsistencyProof.parse(made(old, new).text)
    assert found == made(old, new)
    assert found.check(checkpoint(old), KEY) == checkpoint(new)


def test_another_history_is_refused() -> None:
    forked = sign_checkpoint(SIGNER, 300, b"\7" * 32)
    with pytest.raises(NoteRefused, match="does not continue"):
        made(300, 700).check(forked, KEY)


def test_a_proof_of_other_sizes_is_refused() -> None:
    with pytest.raises(NoteRefused, match="another size"):
        made(300, 700).check(checkpoint(301), KEY)
    with pytest.raises(NoteRefused, match="does not continue"):
        made(300, 700, old_size=301).check(checkpoint(301), KEY)


def test_a_shrinking_log_is_refused() -> None:
    with pytest.raises(NoteRefused, match="does not continue"):
        made(300, 700, note=checkpoint(200).note(KEY)).check(checkpoint(300), KEY)


def test_checkpoints_of_another_key_are_refused() -> None:
    other = NoteSigner("example.com/audit", Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
    theirs = sign_checkpoint(other, 300, TREE.root(300))
    with pytest.raises(NoteRefused, match="not signed by its key"):
        made(300, 700).check(theirs, KEY)
    with pytest.raises(NoteRefused):
        made(300, 700, note=sign_checkpoint(other, 700, TREE.root(700)).note(other.verifier_key)).check(
            checkpoint(300), KEY
        )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text.replace("old ", "new "),
        lambda text: text.replace("old 300", "old 0300"),
        lambda text: text.replace("old 300", "old +300"),
        lambda text: text.replace("old 300", "old 9223372036854775808"),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.replace("=\n", "\n", 1),
        lambda text: text.replace("old 300\n", "old 300\nAAAA\n"),
        lambda text: text.replace("old 300\n", "old 300\n" + "A" * 43 + "=\n" * 1 + ("A" * 43 + "=\n") * 63),
        lambda text: text + "x" * 80_000,
    ],
)
def test_malformed_texts_are_refused(spoil: Any) -> None:
    with pytest.raises(NoteRefused):
        ConsistencyProof.parse(spoil(made(300, 700).text))


@given(st.data())
def test_no_changed_text_proves_anything_else(data: st.DataObject) -> None:
    text = made(300, 700).text
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
    with pytest.raises(NoteRefused):
        ConsistencyProof.parse(changed).check(checkpoint(300), KEY)


def test_sizes_have_one_spelling() -> None:
    assert parse_size("0") == 0
    assert parse_size(str(MAX_SIZE)) == MAX_SIZE
    for wrong in ("", "00", "01", "-1", "+1", "1.0", "1 ", "\u0661", str(MAX_SIZE + 1), "1" * 30):
        with pytest.raises(NoteRefused):
            parse_size(wrong)
