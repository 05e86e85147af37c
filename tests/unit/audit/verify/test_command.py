"""``python -m audit verify``, ``consistency`` and ``tiles``, as somebody at a terminal uses them."""

from __future__ import annotations

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit.checkpoint import parse_checkpoint, sign_checkpoint
from audit.cli import app
from audit.cosignature import Cosigner
from audit.export import Header
from audit.keys.signing import create_signer, load_signer
from audit.note import VerifierKey, add_signatures
from audit.store.disk import Disk
from audit.witness import Receipt, Submission
from audit.witness.shelf import Shelf

runner = CliRunner()


def invoke(*arguments: object, code: int = 0) -> str:
    with ThreadPoolExecutor(1) as executor:
        result = executor.submit(runner.invoke, app, [str(argument) for argument in arguments]).result()
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
async def place(house: Any, make: Any) -> Any:
    """A log of ten records, and its checkpoints at 4 and 10."""
    house.notes = {}
    async with house.open() as log:
        for number in range(5):
            house.ticket = await make.request(log, f"user-{number}")
            if number in (1, 4):
                await log.proof(house.ticket.event_id)
                house.notes[log.checkpoint_size()] = log.checkpoint()
    for size, note in house.notes.items():
        (house.folder / f"{size}.checkpoint").write_text(note)
    house.key = VerifierKey.parse(house.vkey)
    house.cosigner = Cosigner(create_signer(house.folder / "w.pem", "witness.example/w1", Disk()))
    return house


def cosign(place: Any, size: int, folder: Path | None = None) -> str:
    note = place.notes[size]
    checkpoint = parse_checkpoint(note, place.key)
    line = place.cosigner.cosign(checkpoint.text)
    submission = Submission(checkpoint=checkpoint, note=note, prove_consistency=lambda _: [])
    Shelf(folder or place.store / "witnesses", "w1", Disk()).keep(submission, Receipt(cosignatures=(line,)))
    return add_signatures(note, [line])


async def test_a_checkpoint_alone(place: Any) -> None:
    path = place.folder / "4.checkpoint"
    assert "in order: the log example.com/audit signed a tree of 4 records" in invoke(
        "verify", path, "--vkey", place.vkey
    )
    found = json.loads(invoke("verify", path, "--vkey", place.vkey, "--json"))
    assert (found["ok"], found["checkpoint_size"]) == (True, 4)
    path.write_text(path.read_text().replace("\n4\n", "\n5\n"))
    assert "NOT IN ORDER: signature" in invoke("verify", path, "--vkey", place.vkey, code=1)
    assert json.loads(invoke("verify", path, "--vkey", place.vkey, "--json", code=1))["ok"] is False
    assert "give --vkey" in invoke("verify", path, code=2)


async def test_two_checkpoints_of_one_size_that_differ_prove_a_fork(place: Any) -> None:
    signer = load_signer(place.settings.signing_key_path, "example.com/audit")
    forked = place.folder / "forked"
    forked.write_text(sign_checkpoint(signer, 4, b"\7" * 32).note(signer.verifier_key))
    said = invoke("verify", forked, "--vkey", place.vkey, "--witness", place.folder / "4.checkpoint", code=1)
    assert "signed two histories" in said


async def test_a_consistency_proof_from_what_was_kept_to_today(place: Any) -> None:
    out = place.folder / "since"
    invoke("consistency", place.store, "--from", 4, "--out", out)
    kept = ("--witness", place.folder / "4.checkpoint")
    assert "10 records continues what it signed at 4" in invoke("verify", out, "--vkey", place.vkey, *kept)
    assert invoke("consistency", place.store, "--from", 4) == out.read_text()
    assert "kept: give its file" in invoke("verify", out, "--vkey", place.vkey, code=2)
    other = ("--witness", place.folder / "10.checkpoint")
    assert "no checkpoint of size 4" in invoke("verify", out, "--vkey", place.vkey, *other, code=2)
    lines = out.read_text().split("\n")
    lines[1] = "A" * 43 + "="
    out.write_text("\n".join(lines))
    assert "NOT IN ORDER: the log does not continue" in invoke("verify", out, "--vkey", place.vkey, *kept, code=1)


async def test_a_consistency_proof_between_sizes_that_are_not_there(place: Any) -> None:
    assert "the nearest are of 4 and 10" in invoke("consistency", place.store, "--from", 1, "--to", 5, code=2)
    assert "out of range" in invoke("consistency", place.store, "--from", 11, code=2)
    assert "old 10\n\nexample.com/audit\n10\n" in invoke("consistency", place.store, "--from", 10)
    assert "old 0\n\n" in invoke("consistency", place.store, "--from", 0)


async def test_tiles_are_published_and_checked(place: Any) -> None:
    www = place.folder / "www"
    assert "10 records in" in invoke("tiles", place.store, www)
    assert "0 files written" in invoke("tiles", place.store, www)
    assert "records                10" in invoke("verify", www, "--vkey", place.vkey)
    assert "give --vkey" in invoke("verify", www, code=2)
    (www / "tile/entries/000.p/10").write_bytes(b"")
    assert "NOT IN ORDER" in invoke("verify", www, "--vkey", place.vkey, code=1)


async def test_tiles_of_a_cosigned_checkpoint(place: Any) -> None:
    (place.folder / "cosigned").write_text(cosign(place, 4))
    invoke("tiles", place.store, place.folder / "www", "--checkpoint", place.folder / "cosigned")
    said = invoke(
        "verify", place.folder / "www", "--vkey", place.vkey, "--witness-key", place.cosigner.key, "--require", 1
    )
    assert "by witness.example/w1 at" in said
    assert "records                4" in said


async def test_witnesses_are_required_of_a_store(place: Any) -> None:
    asked = ("verify", place.store, "--vkey", place.vkey, "--witness-key", place.cosigner.key)
    assert "too few witnesses" in invoke(*asked, code=1)
    cosign(place, 4)
    assert "cosigned               by witness.example/w1" in invoke(*asked)
    assert json.loads(invoke(*asked, "--json"))["cosigned"].keys() == {"witness.example/w1"}
    other = create_signer(place.folder / "w2.pem", "witness.example/w2", Disk())
    key = Cosigner(other).key
    assert "too few witnesses" in invoke(*asked, "--witness-key", key, code=1)
    assert "in order" in invoke(*asked, "--witness-key", key, "--require", 1)


async def test_a_store_that_contradicts_what_a_witness_cosigned_is_found(place: Any) -> None:
    cosign(place, 10)
    connection = sqlite3.connect(place.store / "tree.sqlite", isolation_level=None)
    connection.execute("delete from checkpoint where size > 4")
    connection.close()
    receipts = place.folder / "elsewhere"
    (place.store / "witnesses").rename(receipts)
    days = sqlite3.connect(place.day_file(), isolation_level=None)
    days.execute("update record set effect = 'deny' where seq = 9")
    days.close()
    said = invoke(
        *("verify", place.store, "--vkey", place.vkey, "--witness-key", place.cosigner.key, "--receipts", receipts),
        code=1,
    )
    assert "envelope changed at record 9" in said


async def test_witnesses_are_required_of_papers_and_evidence(place: Any) -> None:
    key = ("--vkey", place.vkey, "--witness-key", place.cosigner.key)
    plain = place.folder / "10.checkpoint"
    assert "too few witnesses" in invoke("verify", plain, *key, code=1)
    plain.write_text(cosign(place, 10))
    assert "cosigned by witness.example/w1 at" in invoke("verify", plain, *key)
    evidence = place.folder / "all.jsonl"
    invoke("export", place.store, "--out", evidence)
    assert "too few witnesses" in invoke("verify", evidence, *key, code=1)
    first, *rest = evidence.read_bytes().splitlines(keepends=True)
    header = replace(Header.parse(first), checkpoint=plain.read_text())
    evidence.write_bytes(b"".join([header.line(), *rest]))
    assert "in order" in invoke("verify", evidence, *key)
    assert "note: the checkpoint has 1 signature(s) more, not checked" in invoke("verify", evidence, *key[:2])


async def test_bundles_are_checked_with_all_that_lies_in_them(place: Any) -> None:
    bundle = place.folder / "case.zip"
    invoke("export", place.store, "--bundle", bundle, "--event", place.ticket.event_id)
    assert "in order" in invoke("verify", bundle, "--vkey", place.vkey)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verify", "{store}", "--witness-key", "nonsense"], "witness's public key"),
        (["verify", "{store}", "--witness-key", "{vkey}"], "witness's public key"),
        (["verify", "{store}", "--require", "1"], "0 witness keys were given"),
        (["verify", "{store}", "--witness-key", "{wkey}", "--witness-key", "{wkey}"], "given twice"),
        (["verify", "{folder}/4.checkpoint", "--vkey", "{vkey}", "--timestamp-root", "{folder}/nothing"], "No such"),
        (["consistency", "{store}"], "Missing option"),
        (["tiles", "{folder}", "{folder}/www"], "not an audit store"),
        (["witness", "serve", "{folder}"], "no witness's folder"),
        (["witness", "status", "{folder}"], "no witness's folder"),
        (["witness", "add-log", "{folder}/w", "nonsense+"], "verifier key"),
        (["witness", "init", "{folder}/w9", "--name", "a b"], "spaces or plus"),
    ],
)
async def test_bad_usage_exits_2_with_a_message_and_no_traceback(place: Any, arguments: list[str], says: str) -> None:
    names = {"store": place.store, "folder": place.folder, "vkey": place.vkey, "wkey": place.cosigner.key}
    text = invoke(*(argument.format(**names) for argument in arguments), code=2)
    assert says in re.sub(r"[\s│]+", " ", text)
    assert "Traceback" not in text


async def test_a_witness_from_the_command(place: Any, tmp_path: Path) -> None:
    folder = tmp_path / "witness"
    vkey = invoke("witness", "init", folder, "--name", "witness.example/w").strip()
    assert vkey.startswith("witness.example/w+")
    assert "exists" in invoke("witness", "init", folder, "--name", "witness.example/w", code=2)
    assert "0 records seen" in invoke("witness", "add-log", folder, place.vkey)
    assert "registered with this key already" in invoke("witness", "add-log", folder, place.vkey, code=2)
    assert "example.com/audit: 0 records, never" in invoke("witness", "status", folder)
    found = json.loads(invoke("witness", "status", folder, "--json"))
    assert (found["vkey"], found["contradictions"], found["logs"][0]["size"]) == (vkey, 0, 0)
    (folder / "evidence" / "x.json").write_text("{}")
    assert "CONTRADICTIONS: 1" in invoke("witness", "status", folder)
