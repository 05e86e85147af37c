from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.note import NoteRefused, NoteSigner
from audit.store.disk import Disk
from audit.witness import FileWitness, newest_witnessed, read_witness

SIGNER = NoteSigner("example.com/audit", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
KEY = SIGNER.verifier_key


def checkpoint(size: int) -> Checkpoint:
    return sign_checkpoint(SIGNER, size, bytes([size % 256]) * 32)


def sizes(path: Path) -> list[int]:
    return [found.size for found in read_witness(path, KEY)]


@pytest.fixture
def witness(tmp_path: Path) -> FileWitness:
    return FileWitness(tmp_path / "witness", Disk())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "witness"


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_what_was_appended_is_read_in_order(witness: FileWitness, path: Path, count: int) -> None:
    path.touch()
    for size in range(count):
        witness.append(checkpoint(size).note(KEY))
    assert sizes(path) == list(range(count))
    assert newest_witnessed(path, KEY) == (checkpoint(count - 1) if count else None)


def test_no_file_is_no_checkpoint(path: Path) -> None:
    assert newest_witnessed(path, KEY) is None


def test_an_append_cut_short_anywhere_hides_nothing_else(witness: FileWitness, path: Path) -> None:
    note = (checkpoint(2).note(KEY) + "\n").encode()
    for length in range(1, len(note)):
        path.unlink(missing_ok=True)
        witness.append(checkpoint(1).note(KEY))
        with path.open("ab") as file:
            file.write(note[:length])
        assert sizes(path) == [1]
        assert newest_witnessed(path, KEY) == checkpoint(1)
        witness.append(checkpoint(3).note(KEY))  # as after a restart
        whole = length >= len(note) - 2  # only line ends are missing, and the mark of the crash supplies them
        assert sizes(path) == ([1, 2, 3] if whole else [1, 3])
        assert newest_witnessed(path, KEY) == checkpoint(3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\n2\n", "\n4\n"),
        lambda text: text.replace("\u2014 example.com/audit ", "\u2014 example.com/audit A", 1),
        lambda text: "garbage\n\n" + text,
        lambda text: text + "garbage\n\ngarbage\n\n",
        lambda text: text.replace("\n\n\u2014", "\n\u2014", 1),
        lambda text: text.replace("\u2014", "-", 1),
    ],
)
def test_a_changed_witness_is_refused(witness: FileWitness, path: Path, spoil: Any) -> None:
    for size in (1, 2, 3):
        witness.append(checkpoint(size).note(KEY))
    path.write_text(spoil(path.read_text()))
    with pytest.raises(NoteRefused):
        sizes(path)


def test_the_mark_of_a_crash_excuses_no_whole_checkpoint(witness: FileWitness, path: Path) -> None:
    """Or an attacker could wave one away with it."""
    witness.append(checkpoint(1).note(KEY))
    with path.open("a") as file:
        file.write("\n\n(cut short)\n\n")
    assert sizes(path) == [1]


def test_another_logs_checkpoints_are_refused(witness: FileWitness, path: Path) -> None:
    witness.append(checkpoint(1).note(KEY))
    other = NoteSigner("example.com/other", Ed25519PrivateKey.from_private_bytes(b"\2" * 32)).verifier_key
    with pytest.raises(NoteRefused):
        list(read_witness(path, other))
    with pytest.raises(NoteRefused):
        newest_witnessed(path, other)
