"""Publishing a log as files, going on with it, and verifying what lies there with a public key alone."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit import VerifierKey
from audit.canonical import encode
from audit.checkpoint import sign_checkpoint
from audit.cosignature import Cosigner, WitnessPolicy
from audit.errors import StoreDamaged, StoreError
from audit.keys.signing import create_signer, load_signer
from audit.note import NoteRefused, add_signatures
from audit.row import leaf_data
from audit.static_tiles import Published, TileReader, write_static
from audit.static_tiles.paths import encode_bundle
from audit.store.disk import Disk
from audit.store.moment import open_moment
from audit.tree import RollingRoot, leaf_hash, verify_consistency, verify_inclusion
from audit.verify import Attack
from audit.verify.tiles import is_static, verify_tiles
from audit.verify.trust import Trust

RECORDS = 600  # three tiles, the last partial


@pytest.fixture
async def full(house: Any, make: Any) -> Any:
    """A closed log of 600 records."""
    async with house.open() as log:
        await asyncio.gather(*(make.request(log, f"user-{n % 9}", prompt="a CANARY fox") for n in range(RECORDS // 2)))
    house.key = VerifierKey.parse(house.vkey)
    return house


def publish(place: Any, folder: Path, **options: Any) -> Published:
    with open_moment(place.store) as moment:
        return write_static(moment, folder, **options)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def verify(place: Any, folder: Path, **trust: Any) -> Any:
    return verify_tiles(folder, Trust(**{"key": place.key, **trust}))


async def test_a_log_lies_there_as_the_specification_says(full: Any, tmp_path: Path) -> None:
    done = publish(full, tmp_path / "www")
    assert (done.checkpoint.size, done.first_entry) == (RECORDS, 0)
    assert files(tmp_path / "www") == {
        "checkpoint",
        *(f"tile/0/{name}" for name in ("000", "001", "002.p/88")),
        "tile/1/000.p/2",
        *(f"tile/entries/{name}" for name in ("000", "001", "002.p/88")),
    }
    assert (tmp_path / "www" / "tile/0/000").stat().st_size == 8192
    report = verify(full, tmp_path / "www")
    assert (report.ok, report.records, report.covered_size) == (True, RECORDS, RECORDS)


async def test_nothing_of_persons_or_content_is_published(full: Any, tmp_path: Path) -> None:
    publish(full, tmp_path / "www")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "www").rglob("*") if path.is_file())
    for secret in (b"CANARY", b"user-1", b"writers", b"press", b"image:generate"):
        assert secret not in everything


async def test_proofs_come_from_the_files_alone(full: Any, tmp_path: Path) -> None:
    publish(full, tmp_path / "www")
    reader = TileReader(tmp_path / "www", full.key)
    tree, head = reader.tree(), reader.checkpoint
    entries = dict(reader.entries())
    with open_moment(full.store) as moment:
        rows = list(moment.rows())
    for seq in (0, 255, 256, 511, 512, 599):
        assert entries[seq] == leaf_data(rows[seq])
        path = tree.inclusion_path(seq, head.size)
        assert verify_inclusion(seq, head.size, leaf_hash(entries[seq]), path, head.root)
    assert verify_consistency(300, 600, tree.root(300), head.root, tree.consistency_path(300, 600))


async def test_publishing_goes_on_where_it_stopped(full: Any, make: Any, tmp_path: Path) -> None:
    publish(full, tmp_path / "www")
    before = {name: (tmp_path / "www" / name).stat().st_mtime_ns for name in files(tmp_path / "www")}
    async with full.open() as log:
        await asyncio.gather(*(make.request(log) for _ in range(50)))
    done = publish(full, tmp_path / "www")
    assert done.checkpoint.size == RECORDS + 100
    after = {name: (tmp_path / "www" / name).stat().st_mtime_ns for name in before}
    assert {name for name in before if before[name] != after[name]} == {"checkpoint"}
    # The partial tiles of the earlier checkpoint stay, because a checkpoint was published that needs them.
    assert {"tile/0/002.p/88", "tile/0/002.p/188"} <= files(tmp_path / "www")
    assert verify(full, tmp_path / "www").ok
    assert publish(full, tmp_path / "www").files_written == 0


@pytest.mark.parametrize("survivors", range(9))
async def test_a_run_cut_short_anywhere_is_finished_by_the_next(full: Any, tmp_path: Path, survivors: int) -> None:
    """Any number of files may be there when the power goes; the checkpoint is not, or all of them are."""
    publish(full, tmp_path / "whole")
    order = sorted(files(tmp_path / "whole"), key=lambda name: (name == "checkpoint", name))
    for name in order[:survivors]:
        target = tmp_path / "www" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "whole" / name, target)
    (tmp_path / "www" / "tile" / "0").mkdir(parents=True, exist_ok=True)
    (tmp_path / "www" / "tile" / "0" / "000.new").write_bytes(b"half")
    publish(full, tmp_path / "www")
    assert {name for name in files(tmp_path / "www") if not name.endswith(".new")} == set(order)
    assert verify(full, tmp_path / "www").ok


async def test_the_checkpoint_comes_last_and_only_if_all_the_rest_is_on_disk(full: Any, tmp_path: Path) -> None:
    class Failing(Disk):
        def sync_folder(self, folder: Path) -> None:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        publish(full, tmp_path / "www", disk=Failing())
    assert "checkpoint" not in files(tmp_path / "www")
    publish(full, tmp_path / "www")
    assert verify(full, tmp_path / "www").ok


async def test_a_folder_of_another_history_is_left_alone(full: Any, make: Any, tmp_path: Path, house: Any) -> None:
    shutil.copytree(house.store, tmp_path / "before")
    async with full.open() as log:
        await make.request(log)
    publish(full, tmp_path / "www")
    before = {name: (tmp_path / "www" / name).read_bytes() for name in files(tmp_path / "www")}
    shutil.rmtree(house.store)
    shutil.copytree(tmp_path / "before", house.store)  # rolled back
    with pytest.raises(StoreDamaged, match="has published 602 records"):
        publish(full, tmp_path / "www")
    house.with_settings(witness_path=None)
    async with house.open() as log:  # and gone on differently
        await make.request(log, "mallory")
        await make.request(log, "mallory")
    with pytest.raises(StoreDamaged, match="another history"):
        publish(full, tmp_path / "www")
    assert before == {name: (tmp_path / "www" / name).read_bytes() for name in files(tmp_path / "www")}


async def test_a_folder_of_another_log_is_left_alone(full: Any, tmp_path: Path) -> None:
    publish(full, tmp_path / "www")
    text = (tmp_path / "www" / "checkpoint").read_text()
    (tmp_path / "www" / "checkpoint").write_text(text.replace("example.com/audit", "example.com/other"))
    with pytest.raises(NoteRefused):
        publish(full, tmp_path / "www")


async def test_records_that_do_not_give_the_tree_are_not_published(full: Any, tmp_path: Path) -> None:
    connection = sqlite3.connect(full.day_file(), isolation_level=None)
    connection.execute("update record set effect = 'deny' where seq = 301")
    with pytest.raises(StoreDamaged, match="records 256 and on"):
        publish(full, tmp_path / "www")
    connection.execute("delete from record where seq = 301")
    connection.close()
    with pytest.raises(StoreDamaged, match="record 301 is missing"):
        publish(full, tmp_path / "www")
    assert "checkpoint" not in files(tmp_path / "www")


async def test_an_empty_log_is_published_too(house: Any, tmp_path: Path) -> None:
    async with house.open():
        pass
    house.key = VerifierKey.parse(house.vkey)
    assert publish(house, tmp_path / "www").files_written == 0
    assert is_static(tmp_path / "www")
    report = verify(house, tmp_path / "www")
    assert (report.ok, report.records) == (True, 0)


async def test_a_log_without_a_checkpoint_has_nothing_to_publish(house: Any, tmp_path: Path) -> None:
    async with house.open():
        pass
    connection = sqlite3.connect(house.store / "tree.sqlite", isolation_level=None)
    connection.execute("delete from checkpoint")
    connection.close()
    with pytest.raises(StoreError, match="no checkpoint yet"):
        publish(house, tmp_path / "www")


async def test_cosignatures_are_published_and_asked_for(full: Any, tmp_path: Path) -> None:
    cosigner = Cosigner(create_signer(tmp_path / "w.pem", "witness.example/w", Disk()))
    signer = load_signer(full.settings.signing_key_path, "example.com/audit")
    with open_moment(full.store) as moment:
        checkpoint = moment.tree.checkpoints("example.com/audit")[-1][0]
    note = add_signatures(checkpoint.note(signer.verifier_key), [cosigner.cosign(checkpoint.text)])
    publish(full, tmp_path / "www", note=note)
    policy = WitnessPolicy(keys=[cosigner.key], required=1)
    report = verify(full, tmp_path / "www", policy=policy)
    assert report.ok
    assert list(report.cosigned) == ["witness.example/w"]
    publish(full, tmp_path / "www")  # without
    assert [finding.attack for finding in verify(full, tmp_path / "www", policy=policy).findings] == [
        Attack.CHECKPOINT_FORGED
    ]


def flip(folder: Path, name: str, at: int = 5) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


TAMPERING: dict[str, tuple[Callable[[Path], None], int | None]] = {
    "a changed entry": (lambda www: flip(www, "tile/entries/001", 40), 256),
    "a changed leaf": (lambda www: flip(www, "tile/0/001", 33), 257),
    "a changed upper tile": (lambda www: flip(www, "tile/1/000.p/2"), 0),
    "a missing tile": (lambda www: (www / "tile/0/001").unlink(), 256),
    "a missing bundle": (lambda www: (www / "tile/entries/001").unlink(), 256),
    "a shortened tile": (lambda www: (www / "tile/0/000").write_bytes((www / "tile/0/000").read_bytes()[:-32]), 0),
    "a tile that is no number of hashes": (lambda www: (www / "tile/0/000").write_bytes(b"x" * 8191), 0),
    "a bundle cut short": (
        lambda www: (www / "tile/entries/000").write_bytes((www / "tile/entries/000").read_bytes()[:-1]),
        0,
    ),
    "a huge tile": (lambda www: (www / "tile/0/000").write_bytes(b"x" * 100_000), 0),
    "a changed checkpoint": (lambda www: flip(www, "checkpoint", 20), None),
    "a checkpoint that is no text": (lambda www: (www / "checkpoint").write_bytes(b"\xff" * 100), None),
}


@pytest.mark.parametrize("name", TAMPERING)
async def test_whatever_is_changed_there_is_found(full: Any, tmp_path: Path, name: str) -> None:
    publish(full, tmp_path / "www")
    change, first_bad = TAMPERING[name]
    change(tmp_path / "www")
    try:
        report = verify(full, tmp_path / "www")
    except StoreDamaged:
        assert name == "a checkpoint that is no text"
        return
    assert not report.ok
    assert first_bad in {finding.seq for finding in report.findings}


async def test_a_full_tile_stands_in_for_a_partial_one(full: Any, make: Any, tmp_path: Path) -> None:
    """A log may delete partial tiles once the full ones are there."""
    publish(full, tmp_path / "www")
    old = (tmp_path / "www" / "checkpoint").read_bytes()
    async with full.open() as log:
        await asyncio.gather(*(make.request(log) for _ in range(100)))
    publish(full, tmp_path / "www")
    shutil.rmtree(tmp_path / "www/tile/0/002.p")
    shutil.rmtree(tmp_path / "www/tile/entries/002.p")
    (tmp_path / "www" / "checkpoint").write_bytes(old)
    assert verify(full, tmp_path / "www").ok


async def test_another_key_verifies_nothing(full: Any, tmp_path: Path) -> None:
    publish(full, tmp_path / "www")
    other = create_signer(tmp_path / "other.pem", "example.com/audit", Disk()).verifier_key
    report = verify(full, tmp_path / "www", key=other)
    assert [finding.attack for finding in report.findings] == [Attack.CHECKPOINT_FORGED]
    with pytest.raises(ValueError, match="--vkey"):
        verify(full, tmp_path / "www", key=None)


async def test_a_kept_checkpoint_shows_that_the_folder_was_rolled_back(full: Any, make: Any, tmp_path: Path) -> None:
    publish(full, tmp_path / "www")
    async with full.open() as log:
        await make.request(log)
    report = verify(full, tmp_path / "www", witness=full.witness)
    assert [finding.attack for finding in report.findings] == [Attack.ROLLED_BACK]


def test_an_entry_that_the_log_signed_under_another_number_is_found(tmp_path: Path) -> None:
    signer = create_signer(tmp_path / "key.pem", "example.com/audit", Disk())
    numbers = [0, 1, 3]
    data = [
        encode("imprimatur/audit/leaf", 1, number, "default", "2026-11-22", b"", b"", b"", b"") for number in numbers
    ]
    rolling = RollingRoot()
    for entry in data:
        rolling.append(leaf_hash(entry))
    www = tmp_path / "www"
    for path, content in (
        ("tile/0/000.p/3", b"".join(map(leaf_hash, data))),
        ("tile/entries/000.p/3", encode_bundle(data)),
        ("checkpoint", sign_checkpoint(signer, 3, rolling.root()).note(signer.verifier_key).encode()),
    ):
        (www / path).parent.mkdir(parents=True, exist_ok=True)
        (www / path).write_bytes(content)
    report = verify_tiles(www, Trust(key=signer.verifier_key))
    assert [(finding.attack, finding.seq) for finding in report.findings] == [(Attack.ORDER_CHANGED, 2)]
