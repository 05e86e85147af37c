"""``python -m audit export`` and ``follow``, as somebody at a terminal uses them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from audit.cli import app
from audit.export import open_bundle

runner = CliRunner()
NOW = ("--now", "2026-11-22T13:00:00Z")


def run(*arguments: object) -> Result:
    # In a thread: some commands run an event loop of their own, and the tests have one already.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(runner.invoke, app, [str(argument) for argument in arguments]).result()


def invoke(*arguments: object, code: int = 0) -> str:
    result = run(*arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def opened_content(place: Any, event_id: str) -> Any:
    """What a record holds, opened by command inside a case that two people made."""
    about = ("--event", event_id, "--purpose", "check of an export")
    asked = json.loads(invoke("case", "request", place.store, *place.keys, "--officer", "erin", *about, *NOW, "--json"))
    agreed = ("--officer", "frank", "--without-mfa-evidence")
    invoke("case", "approve", place.store, asked["id"], *place.keys, *agreed, *NOW)
    inside = ("--reader", "erin", "--case", asked["id"], "--without-mfa-evidence")
    return json.loads(invoke("open", place.store, event_id, *place.keys, *inside, *NOW))


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    assert "Traceback" not in result.output
    return re.sub(r"[\s│]+", " ", result.output)


@pytest.fixture
async def place(house: Any, make: Any) -> Any:
    """A closed log with two requests, and the options that open it."""
    async with house.open() as log:
        house.ticket = await make.request(log, "alice", "deny", "a CANARY fox", reasons=("dlp.payment-card",))
        await make.request(log, "bob")
    house.keys = ("--kek", house.settings.kek_path, "--signing-key", house.settings.signing_key_path)
    return house


async def test_feeds_without_keys_name_nobody_and_write_no_record(place: Any) -> None:
    for feed_format, count in (("ocsf", 4), ("jsonl", 4), ("csv", 5), ("cef", 4)):
        text = invoke("export", place.store, "--format", feed_format)
        assert len(text.splitlines()) == count
        assert "alice" not in text.lower()
        assert "CANARY" not in text
    assert json.loads(invoke("status", place.store, "--json"))["records"] == 4


async def test_persons_are_told_with_the_keys_and_after_it_is_on_record(place: Any) -> None:
    keys = ("--with-subjects", *place.keys, "--witness", place.witness, "--reader", "dana")
    text = invoke("export", place.store, "--format", "csv", *keys, "--from", "2026-11-01", *NOW)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["actor"] for row in rows[:4]] == ["alice", "alice", "bob", "bob"]
    assert "CANARY" not in text
    again = invoke("export", place.store, "--format", "jsonl", "--with-subjects", *place.keys, "--reader", "erin", *NOW)
    accesses = [json.loads(line) for line in again.splitlines() if '"audit:record:export"' in line]
    assert [access["subject"]["actor"] for access in accesses] == ["dana"]
    assert accesses[0]["phase"] == "access"
    opened = opened_content(place, accesses[0]["event_id"])
    assert opened["contents"] == [{"format": "csv", "event_ids": [], "first_day": "2026-11-01", "last_day": None}]


async def test_an_export_that_cannot_be_recorded_tells_nobody(place: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    common = ("export", place.store, "--format", "csv", "--out", out, "--with-subjects")
    assert "needs --kek or --service, and --reader" in refused(*common)
    assert "needs --kek or --service, and --reader" in refused(*common, *place.keys)
    async with place.open():
        assert "is open in another process" in refused(*common, *place.keys, "--reader", "dana", *NOW)
    assert not out.exists()


async def test_purged_persons_are_not_told_with_the_keys_either(place: Any) -> None:
    later = ("--now", "2026-12-23T00:00:00Z")
    invoke("purge", place.store, *place.keys, *later)
    text = invoke(
        "export", place.store, "--format", "jsonl", "--with-subjects", *place.keys, "--reader", "dana", *later
    )
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["subject"] for line in lines[:4]] == [None] * 4
    assert lines[0]["action"] == "image:generate"


async def test_a_selection_holds_for_feeds_too(place: Any) -> None:
    text = invoke("export", place.store, "--format", "jsonl", "--event", place.ticket.event_id)
    assert {json.loads(line)["event_id"] for line in text.splitlines()} == {place.ticket.event_id}
    assert len(text.splitlines()) == 2
    assert invoke("export", place.store, "--format", "jsonl", "--to", "2026-11-21") == ""


async def test_a_bundle_is_written_and_opens(place: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    result = run("export", place.store, "--bundle", path, "--witness", place.witness, *NOW)
    assert result.exit_code == 0
    assert "4 records and 4 proofs" in result.stderr
    assert re.search(r"sha256 [0-9a-f]{64}", result.stderr)
    with open_bundle(path) as bundle:
        assert list(bundle.witness_notes) == ["file"]
        assert bundle.manifest["taken_at"] == "2026-11-22T13:00:00+00:00"
    assert "exists" in refused("export", place.store, "--bundle", path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--format", "xml"), "xml"),
        (("--with-subjects", "--kek", "x", "--reader", "dana"), "evidence keeps the subjects sealed"),
        (("--bundle", "x.zip", "--with-subjects", "--kek", "x", "--reader", "d"), "a bundle keeps the subjects sealed"),
        (("--format", "csv", "--from", "soon"), "isoformat"),
        (("--format", "csv", "--event", "x"), "not a UUID"),
    ],
)
async def test_what_does_not_go_together_is_said(place: Any, options: tuple[str, ...], says: str) -> None:
    assert says in refused("export", place.store, *options)


# -- follow


async def test_follow_goes_on_where_the_consumer_was(place: Any, make: Any) -> None:
    common = ("follow", place.store, "--consumer", "siem", "--to", "stdout", "--format", "jsonl", "--once")
    assert [json.loads(line)["seq"] for line in invoke(*common).splitlines()] == [0, 1, 2, 3]
    assert invoke(*common) == ""
    async with place.open() as log:
        await make.request(log, "carol")
    assert [json.loads(line)["seq"] for line in invoke(*common).splitlines()] == [4, 5]
    assert (place.store / "consumers" / "siem.json").exists()
    invoke("verify", place.store, "--vkey", place.vkey)  # what follow keeps there is no part of the log


async def test_follow_works_beside_the_gateway_and_writes_nothing(place: Any, tmp_path: Path) -> None:
    async with place.open():
        text = await asyncio.to_thread(
            invoke,
            "follow",
            place.store,
            "--consumer",
            "siem",
            "--to",
            "stdout",
            "--once",
            "--positions",
            tmp_path / "p",
        )
    assert len(text.splitlines()) == 4
    assert json.loads(invoke("status", place.store, "--json"))["records"] == 4


async def test_following_persons_is_on_record_with_consumer_and_cursor(place: Any) -> None:
    common = ("follow", place.store, "--consumer", "siem", "--to", "stdout", "--format", "jsonl", "--once", *NOW)
    text = invoke(*common, "--with-subjects", *place.keys, "--reader", "siem-service")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["subject"]["actor"] for line in lines[:4]] == ["alice", "alice", "bob", "bob"]
    everything = invoke("export", place.store, "--format", "jsonl")
    (access,) = [json.loads(line) for line in everything.splitlines() if '"audit:record:follow"' in line]
    opened = opened_content(place, access["event_id"])
    assert opened["subject"]["actor"] == "siem-service"
    assert opened["contents"][0]["consumer"] == "siem"
    assert opened["contents"][0]["cursor"].startswith("v1.0.")
    assert "needs --kek" in refused(*common, "--with-subjects")


async def test_a_tampered_log_is_not_followed(place: Any) -> None:
    connection = sqlite3.connect(place.day_file(), isolation_level=None)
    connection.execute("update record set effect = 'allow' where seq = 1")
    connection.close()
    said = refused("follow", place.store, "--consumer", "siem", "--to", "stdout", "--once")
    assert "record 1 is not the one that the tree holds; run verify" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--to", "stdout", "--secret", "x"), "stdout takes no secret file"),
        (("--to", "syslog+tls://siem.example.com", "--secret", "x"), "syslog takes no secret file"),
        (("--to", "https://siem.example.com/", "--cert", "x", "--key", "y"), "a webhook takes no certificate file"),
        (("--to", "https://siem.example.com/"), "a webhook needs --secret"),
        (("--to", "http://siem.example.com/", "--secret", "x"), "over TLS only"),
        (("--to", "syslog+tcp://127.0.0.1:514"), "over TLS only"),
        (("--to", "udp://127.0.0.1:514"), "expected syslog+tls://"),
        (("--to", "https://siem.example.com/", "--secret", "/nowhere/secret"), "does not exist"),
        (("--to", "syslog+tls://siem.example.com", "--ca", "/nowhere/ca"), "FileNotFoundError"),
    ],
)
async def test_follow_says_what_is_wrong_with_an_address(place: Any, options: tuple[str, ...], says: str) -> None:
    assert says in refused("follow", place.store, "--consumer", "siem", *options, "--once")


async def test_a_consumer_s_name_and_position_are_checked(place: Any, tmp_path: Path) -> None:
    common = ("follow", place.store, "--to", "stdout", "--once")
    assert "lower-case" in refused(*common, "--consumer", "../x")
    (tmp_path / "siem.json").write_text("{}")
    assert "malformed" in refused(*common, "--consumer", "siem", "--positions", tmp_path)
