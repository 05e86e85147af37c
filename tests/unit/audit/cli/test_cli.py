"""The command, as somebody at a terminal uses it."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
from typer.testing import CliRunner

from audit.cli import app

runner = CliRunner()


def invoke(*arguments: object, code: int = 0) -> str:
    # In a thread: some commands run an event loop of their own, and the tests have one already.
    with ThreadPoolExecutor(1) as executor:
        result = executor.submit(runner.invoke, app, [str(argument) for argument in arguments]).result()
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
async def place(house: Any, make: Any) -> Any:
    """A closed log with two requests, and the options that most commands take."""
    async with house.open() as log:
        house.ticket = await make.request(log, "alice", "deny", "a CANARY fox", reasons=("dlp.payment-card",))
        await make.request(log, "bob")
    house.kek = ("--kek", house.settings.kek_path)
    house.keys = (*house.kek, "--signing-key", house.settings.signing_key_path)
    house.now = ("--now", "2026-11-22T13:00:00Z")
    return house


async def test_verify_says_that_all_is_in_order(place: Any) -> None:
    text = invoke("verify", place.store, "--vkey", place.vkey, "--witness", place.witness)
    assert text.rstrip().endswith("in order")
    assert "records                4" in text
    assert "note: the public key" not in text
    assert "note: the public key" in invoke("verify", place.store)


async def test_verify_names_the_first_bad_record_and_exits_1(place: Any) -> None:
    connection = sqlite3.connect(place.day_file(), isolation_level=None)
    connection.execute("update record set effect = 'allow' where seq = 1")
    connection.close()
    text = invoke("verify", place.store, code=1)
    assert f"envelope changed at record 1 (event {place.ticket.event_id})" in text
    assert "NOT IN ORDER: 1 finding(s), first at record 1" in text
    found = json.loads(invoke("verify", place.store, "--json", code=1))
    assert (found["ok"], found["first_bad_seq"], found["first_bad_event_id"]) == (False, 1, place.ticket.event_id)
    assert found["findings"][0]["attack"] == "envelope changed"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verify", "{store}/missing"], "does not exist"),
        (["verify", "{folder}"], "is not an audit store"),
        (["verify", "{store}", "--vkey", "nonsense"], "public key"),
        (["verify", "{store}", "--witness", "{folder}/missing"], "cannot be read"),
        (["verify"], "Missing argument"),
        (["show", "{store}", "not-an-id"], "not a UUID"),
        (["show", "{store}", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"], "no record"),
        (["purge", "{store}", "--kek", "{folder}/missing", "--signing-key", "x", "--now", "noon"], "expected a moment"),
        (["purge", "{store}", "--kek", "{folder}/missing", "--signing-key", "{folder}/x"], "does not exist"),
        (["open", "{store}", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "--kek", "x", "--reader", "dana"], "--case"),
        (["search", "{store}", "--kek", "x"], "--reader"),
        (["search", "{store}", "--kek", "x", "--reader", "d", "--effect", "maybe"], "effect: expected one of allow"),
        (["search", "{store}", "acter:x", "--kek", "x", "--reader", "d"], "character 1: there is no field"),
        (["export", "{store}", "--from", "soon"], "isoformat"),
        (["snapshot", "{store}", "{folder}"], "not empty"),
        (["nonsense"], "No such command"),
    ],
)
async def test_bad_usage_exits_2_with_a_message_and_no_traceback(place: Any, arguments: list[str], says: str) -> None:
    filled = [text.format(store=place.store, folder=place.folder) for text in arguments]
    text = invoke(*filled, code=2)
    assert says in re.sub(r"[\s│]+", " ", text)
    assert "Traceback" not in text


async def test_reading_commands_work_beside_a_writer_and_writing_ones_say_why_not(place: Any) -> None:
    async with place.open():
        assert "note: another process" in invoke("verify", place.store)
        assert json.loads(invoke("status", place.store, "--json"))["in_use"] is True
        invoke("show", place.store, place.ticket.event_id)
        invoke("export", place.store, "--out", place.folder / "all.jsonl")
        invoke("snapshot", place.store, place.folder / "copy")
        text = invoke("search", place.store, *place.keys, "--reader", "dana", code=2)
        assert "snapshot" in text


async def test_show_tells_envelope_and_proof_without_a_key(place: Any) -> None:
    shown = json.loads(invoke("show", place.store, place.ticket.event_id))
    assert [half["effect"] for half in shown["halves"]] == ["", "deny"]
    assert shown["proof_holds"] is True
    assert "alice" not in json.dumps(shown)


async def test_proofs_are_files_that_verify_alone(place: Any, tmp_path: Path) -> None:
    paths = invoke("proof", place.store, place.ticket.event_id, "--into", tmp_path / "proofs").split()
    assert [Path(path).name.split(".")[1] for path in paths] == ["intent", "outcome"]
    for path in paths:
        assert "in order: record" in invoke("verify", path, "--vkey", place.vkey)
        assert json.loads(invoke("verify", path, "--vkey", place.vkey, "--json"))["ok"] is True
        assert "give --vkey" in invoke("verify", path, code=2)
    text = Path(paths[0]).read_text()
    for changed in (text.replace("index 0", "index 1"), text[:-10] + text[-9:], text.replace("\n4\n", "\n5\n")):
        Path(paths[0]).write_text(changed)
        assert "NOT IN ORDER" in invoke("verify", paths[0], "--vkey", place.vkey, code=1)


def approved_case(place: Any, store: Path, keys: Sequence[object], now: Sequence[object]) -> str:
    """The id of a case about the ticket: dana asked, erin agreed."""
    about = ("--event", place.ticket.event_id, "--purpose", "case 17: reported misuse")
    asked = json.loads(invoke("case", "request", store, *keys, "--officer", "dana", *about, *now, "--json"))
    agreed = ("--officer", "erin", "--without-mfa-evidence")
    invoke("case", "approve", store, asked["id"], *keys, *agreed, *now)
    return str(asked["id"])


async def test_opening_outside_a_case_is_refused_and_a_command_line_says_that_it_sees_no_second_factor(
    place: Any,
) -> None:
    about = ("--event", place.ticket.event_id, "--purpose", "case 17: reported misuse")
    asked = json.loads(
        invoke("case", "request", place.store, *place.keys, "--officer", "dana", *about, *place.now, "--json")
    )
    opening = ("open", place.store, place.ticket.event_id, *place.keys, "--reader", "dana", "--case", asked["id"])
    assert "does not permit" in invoke(*opening, "--without-mfa-evidence", *place.now, code=2)
    approving = ("case", "approve", place.store, asked["id"], *place.keys, "--officer", "erin")
    assert "second factor" in invoke(*approving, *place.now, code=2)
    invoke(*approving, "--without-mfa-evidence", *place.now)
    assert "second factor" in invoke(*opening, *place.now, code=2)


async def test_open_shows_content_and_leaves_a_record(place: Any) -> None:
    opened = json.loads(
        invoke(
            "open",
            place.store,
            place.ticket.event_id,
            *place.keys,
            "--reader",
            "dana",
            "--case",
            approved_case(place, place.store, place.keys, place.now),
            "--without-mfa-evidence",
            *place.now,
        )
    )
    assert opened["contents"][0] == {"prompt": "a CANARY fox"}
    assert opened["subject"]["actor"] == "alice"
    text = invoke("search", place.store, *place.keys, "--reader", "erin", "--actor", "dana", *place.now)
    assert "audit:content:open  allow  dana" in text
    assert "CANARY" not in text


async def test_search_prints_a_line_a_request_and_a_cursor(place: Any) -> None:
    text = invoke("search", place.store, *place.keys, "--reader", "dana", "--limit", "1", *place.now)
    (line, understood, more) = text.splitlines()
    assert understood == "as understood: "
    assert line.startswith("2026-11-22T12:00:00Z  ")
    assert line.endswith("image:generate  allow  Bob  ")
    cursor = more.split()[-1]
    text = invoke("search", place.store, *place.keys, "--reader", "dana", "--cursor", cursor, *place.now)
    assert text.split()[2:5] == ["image:generate", "deny", "Alice"]
    found = json.loads(
        invoke("search", place.store, *place.keys, "--reader", "d", "--reason", "dlp.", "--json", *place.now)
    )
    assert [row["effect"] for row in found["rows"]] == ["deny"]


async def test_a_snapshot_is_searched_and_opened_without_the_signing_key(place: Any) -> None:
    copy = place.folder / "copy"
    invoke("snapshot", place.store, copy, *place.now)
    assert "Alice" in invoke("search", copy, *place.kek, "--reader", "dana", "--actor", "alice", *place.now)
    case = approved_case(place, copy, place.keys, place.now)
    inside = ("--reader", "dana", "--case", case, "--without-mfa-evidence")
    opened = invoke("open", copy, place.ticket.event_id, *place.kek, *inside, *place.now)
    assert "CANARY" in opened
    invoke("verify", copy, "--vkey", place.vkey)


async def test_purge_with_a_clock_of_its_own(place: Any) -> None:
    assert "0 day(s) purged" in invoke("purge", place.store, *place.keys, "--now", "2026-12-22T23:59:59Z")
    later = ("--now", "2026-12-23T00:00:00Z")
    text = invoke("purge", place.store, *place.keys, *later, "--witness", place.witness)
    assert "2026-11-22: 1 key(s) destroyed, 4 records, space freed" in text
    assert "0 day(s) purged" in invoke("purge", place.store, *place.keys, *later)
    assert "purged days            1, up to 2026-11-22" in invoke("verify", place.store, "--witness", place.witness)
    case = approved_case(place, place.store, place.keys, later)
    inside = ("--reader", "dana", "--case", case, "--without-mfa-evidence")
    assert "destroyed" in invoke("open", place.store, place.ticket.event_id, *place.keys, *inside, *later, code=2)
    assert json.loads(invoke("show", place.store, place.ticket.event_id))["proof_holds"] is True


async def test_keys_init_makes_what_a_log_opens_with_and_replaces_nothing(house: Any, tmp_path: Path) -> None:
    options = (
        "--kek",
        tmp_path / "k" / "kek",
        "--signing-key",
        tmp_path / "k" / "sign.pem",
        "--origin",
        "example.com/audit",
    )
    vkey = invoke("keys", "init", *options).strip()
    assert vkey.startswith("example.com/audit+")
    assert "never overwritten" in invoke("keys", "init", *options, code=2)
    assert invoke("keys", "public", *options[2:]).strip() == vkey
    house.with_settings(create_keys=False, kek_path=options[1], signing_key_path=options[3])
    async with house.open():
        pass
    assert house.vkey == vkey


async def test_export_and_verify_whole_and_in_parts(place: Any, tmp_path: Path) -> None:
    whole, part, bare = (tmp_path / f"{name}.jsonl" for name in ("whole", "part", "bare"))
    invoke("export", place.store, "--out", whole, *place.now)
    invoke("export", place.store, "--out", part, "--event", place.ticket.event_id, *place.now)
    invoke(
        "export", place.store, "--out", bare, "--no-content", "--from", "2026-11-22", "--to", "2026-11-22", *place.now
    )
    for path, records in ((whole, 4), (part, 2), (bare, 4)):
        found = json.loads(invoke("verify", path, "--vkey", place.vkey, "--json"))
        assert (found["ok"], found["records"]) == (True, records)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert all("terms" not in line["record"] for line in lines[1:])  # no token leaves the house
    assert all(json.loads(line)["record"]["content"] is None for line in bare.read_text().splitlines()[1:])
    assert "exists" in invoke("export", place.store, "--out", whole, code=2)
    printed = invoke("export", place.store, *place.now)
    assert printed == whole.read_text()


@pytest.mark.parametrize("kind", ["whole", "part"])
@pytest.mark.parametrize(
    ("spoil", "attack"),
    [
        (lambda lines: [*lines[:2], *lines[3:]], None),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "order changed"),
        (lambda lines: [line.replace('"effect":"deny"', '"effect":"allow"') for line in lines], "envelope changed"),
        (lambda lines: [re.sub(r'"content":"....', '"content":"AAAA', line) for line in lines], "ciphertext changed"),
        (lambda lines: [lines[0].replace("\\n4\\n", "\\n3\\n"), *lines[1:]], "checkpoint not signed by the key"),
        (lambda lines: lines[:-1], None),
    ],
)  # fmt: skip
async def test_a_changed_evidence_file_is_found(
    place: Any, tmp_path: Path, kind: str, spoil: Any, attack: str | None
) -> None:
    path = tmp_path / "evidence.jsonl"
    invoke("export", place.store, "--out", path, *(["--from", "2026-11-22"] if kind == "part" else []), *place.now)
    path.write_text("\n".join(spoil(path.read_text().splitlines())) + "\n")
    if attack is None and kind == "part":
        invoke("verify", path, "--vkey", place.vkey)  # a selection may leave records out: each proves itself
        return
    found = json.loads(invoke("verify", path, "--vkey", place.vkey, "--json", code=1))
    assert found["first_bad_seq"] is not None or attack == "checkpoint not signed by the key"
    assert attack is None or attack in {finding["attack"] for finding in found["findings"]}


def commands() -> Iterator[tuple[str, click.Command]]:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", found) for inner, found in command.commands.items())
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_has_help_and_an_example_that_parses(name: str, command: Any) -> None:
    assert "Example:" in invoke(*name.split(), "--help")
    example = re.search(r"Example: python -m audit ((?:.+\n?)*)", command.help)  # up to an empty line
    assert example is not None
    words = shlex.split(example[1].replace("\n", " "))
    assert words[: len(name.split())] == name.split()
    command.make_context(name, words[len(name.split()) :])  # raises for an option or argument that is not there


def test_the_module_runs_as_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "audit", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "verify" in done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "audit", "verify", "/nowhere"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "does not exist" in done.stderr
