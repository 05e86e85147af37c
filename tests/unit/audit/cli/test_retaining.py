"""The commands about retention."""

from __future__ import annotations

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.retention import RetentionRules
from audit.retention.clock import ClockConfirmation


def invoke(*arguments: object, code: int = 0) -> str:
    with ThreadPoolExecutor(max_workers=1) as pool:  # a command runs a loop of its own
        done = pool.submit(CliRunner().invoke, app, [str(argument) for argument in arguments]).result()
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
async def kept(house: Any, make: Any) -> Any:
    """Two classes on a day, one on the next; nothing purged yet."""
    async with house.open() as log:
        await make.request(log)
        await log.intend(make.intent(class_="abuse"))
        house.clock.forward(days=1)
        await make.request(log)
    house.keys = ("--kek", house.settings.kek_path, "--signing-key", house.settings.signing_key_path)
    return house


RULES = ("--class", "abuse=90")


async def test_retention_lists_what_is_readable_and_until_when(kept: Any) -> None:
    text = invoke("retention", kept.store, *RULES, "--now", "2026-12-22T23:59:00Z")
    lines = text.splitlines()
    assert re.split(r"  +", lines[0]) == ["2026-11-22", "abuse", "1 records", "readable until 2027-02-21 00:00Z"]
    assert re.split(r"  +", lines[1]) == ["2026-11-22", "standard", "2 records", "readable until 2026-12-23 00:00Z"]
    assert lines[3].startswith("due 0, held records 0, receipts 0 in ")
    assert lines[4] == "next purge 2026-12-23 00:00:00Z, last purge -"


async def test_retention_names_what_is_overdue(kept: Any) -> None:
    text = invoke("retention", kept.store, *RULES, "--now", "2026-12-23T00:00:00Z")
    assert re.search(r"2026-11-22  standard +2 records  DUE", text)
    assert "due 1, " in text
    found = json.loads(invoke("retention", kept.store, *RULES, "--now", "2026-12-23T00:00:00Z", "--json"))
    assert [(line["day"], line["class"]) for line in found["due"]] == [("2026-11-22", "standard")]
    assert found["figures"]["oldest_readable_day"] == "2026-11-22"


async def test_retention_tells_what_is_gone_held_and_not_freed_yet(kept: Any) -> None:
    reader = sqlite3.connect(kept.day_file())
    reader.execute("begin")
    reader.execute("select count(*) from record").fetchone()
    now = ("--now", "2026-12-23T00:00:01Z")
    said = invoke("purge", kept.store, *kept.keys, *RULES, *now)
    assert "2026-11-22/standard: 1 key(s) destroyed, 2 records, space not freed yet: run it again" in said
    assert "keys destroyed 2026-12-23 00:00:01Z, space not freed yet" in invoke("retention", kept.store, *RULES, *now)
    reader.close()
    said = invoke("purge", kept.store, *kept.keys, *RULES, *now)
    assert "0 key(s) destroyed, 2 records, space freed" in said
    text = invoke("retention", kept.store, *RULES, *now)
    assert re.search(r"2026-11-22  standard +2 records  gone since 2026-12-23 00:00:01Z\n", text)
    assert re.search(r"2026-11-22  abuse +1 records  readable until 2027-02-21", text)
    assert "receipts 2 in" in text
    assert "last purge 2026-12-23 00:00:01Z" in text


async def test_held_records_are_told(kept: Any, make: Any) -> None:
    kept.clock.forward(days=30)
    async with kept.open(rules=lambda: RetentionRules(30)) as log:
        log.retention.escrow = lambda day, class_: frozenset({1} if class_ == "standard" else ())
        await log.purge()
    text = invoke("retention", kept.store, "--now", "2026-12-23T12:00:00Z")
    assert re.search(r"2026-11-22  standard +2 records  gone since .*, 1 held", text)
    assert "held records 1" in text


async def test_days_that_are_gone_for_good_are_listed_on_request(kept: Any) -> None:
    now = ("--now", "2026-12-24T00:00:00Z")
    invoke("purge", kept.store, *kept.keys, *now)
    assert "2026-11-22" not in invoke("retention", kept.store, *now)
    assert invoke("retention", kept.store, "--all", *now).count("gone since") == 3


async def test_a_purge_far_past_the_newest_record_asks_about_the_clock(kept: Any) -> None:
    """The records of this log are of 2026-11-23; the machine's clock says something else."""
    said = invoke("purge", kept.store, *kept.keys, code=2)
    assert "the newest record is of 2026-11-23 12:00Z" in said
    assert "--clock-is-right" in said
    assert len(list((kept.store / "keys").glob("*.json"))) == 3
    invoke("purge", kept.store, *kept.keys, "--clock-is-right")


async def test_confirming_the_clock_reaches_a_running_log(kept: Any) -> None:
    async with kept.open():
        text = invoke("retention", kept.store, "--confirm-clock", "--now", "2026-12-23T00:00:00Z")
    assert "confirmed: it is 2026-12-23 00:00:00Z" in text
    kept.clock.now = kept.clock.now.replace(month=12, day=23, hour=0)
    assert ClockConfirmation(kept.store / "keys").is_given(kept.clock())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--class", "abuse"], "NAME=DAYS"),
        (["--class", "abuse=many"], "NAME=DAYS"),
        (["--class", "abuse=-1"], "NAME=DAYS"),
        (["--class", "abuse=0"], "1 to 3650"),
        (["--retention-days", "4000"], "1 to 3650"),
    ],
)
async def test_bad_rules_are_refused(kept: Any, arguments: list[str], says: str) -> None:
    for command in (["retention", kept.store], ["purge", kept.store, *kept.keys, "--now", "2026-12-24T00:00:00Z"]):
        assert says in invoke(*command, *arguments, code=2)
    assert len(list((kept.store / "keys").glob("*.json"))) == 3


async def test_a_folder_without_a_store_says_so(tmp_path: Path) -> None:
    assert "is not an audit store" in invoke("retention", tmp_path, code=2)
