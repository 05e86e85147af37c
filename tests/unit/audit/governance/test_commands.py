"""``python -m audit case``, ``hold``, ``subject`` and ``migrate``, as an operator types them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from audit.cli import app
from audit.migrations.revision import head
from tests.support.governed import START, Governed


class Operator:
    """Types commands about one log."""

    def __init__(self, governed: Governed) -> None:
        self._governed = governed
        self._runner = CliRunner()

    def __call__(self, *words: str, officer: str = "dana", fails: bool = False) -> Result:
        group, verb, *rest = words
        common = ["--kek", str(self._governed.settings.kek_path), "--officer", officer]
        common += ["--signing-key", str(self._governed.settings.signing_key_path), "--now", START.isoformat()]
        result = self._runner.invoke(app, [group, verb, str(self._governed.directory), *rest, *common])
        assert (result.exit_code == 2) is fails, result.output
        return result

    def new_id(self, *words: str, **options: str) -> str:
        return str(json.loads(self(*words, "--json", **options).stdout)["id"])


@pytest.fixture
def operator(governed: Governed) -> Operator:
    return Operator(governed)


@pytest.fixture
def event_id(governed: Governed) -> str:
    async def fill() -> str:
        async with governed.open():
            return (await governed.request("alice", "my secret wish")).event_id

    return asyncio.run(fill())


def test_a_case_from_request_to_close(operator: Operator, event_id: str) -> None:
    case_id = operator.new_id("case", "request", "--purpose", "report 17", "--event", event_id)
    assert "--without-mfa-evidence" in operator("case", "approve", case_id, officer="erin", fails=True).stderr
    same = operator("case", "approve", case_id, "--without-mfa-evidence", fails=True)
    assert "second person" in same.stderr
    approved = operator("case", "approve", case_id, "--without-mfa-evidence", officer="erin").stdout
    assert "active" in approved
    assert "decided by erin" in approved
    assert "without evidence of a second factor" in approved
    operator("case", "close", case_id)
    listed = operator("case", "list").stdout
    assert "closed" in listed
    assert "report 17" in listed
    rejected = operator.new_id("case", "request", "--purpose", "x", "--actor", "bob", "--days", "1")
    assert "rejected" in operator("case", "reject", rejected, officer="erin").stdout
    assert "30 days" in operator("case", "request", "--purpose", "x", "--actor", "b", "--days", "31", fails=True).stderr
    assert "everything" in operator("case", "request", "--purpose", "x", fails=True).stderr


def test_a_hold_from_request_to_release(operator: Operator, event_id: str) -> None:
    hold_id = operator.new_id(
        "hold", "request", "--reason", "court 17/26", "--actor", "alice", "--from-day", "2026-11-01"
    )
    evidence = "--without-mfa-evidence"
    assert "active" in operator("hold", "place", hold_id, evidence, officer="erin").stdout
    operator("hold", "ask-release", hold_id)
    assert "active" in operator("hold", "keep", hold_id, officer="erin").stdout
    operator("hold", "ask-release", hold_id)
    operator("hold", "release", hold_id, evidence, fails=True)
    assert "released by erin" in operator("hold", "release", hold_id, evidence, officer="erin").stdout
    other = operator.new_id("hold", "request", "--reason", "x", "--event", event_id, "--kind", "abuse")
    operator("hold", "reject", other)
    listed = operator("hold", "list").stdout
    assert re.search(rf"{other}  abuse  rejected  1 event", listed)
    assert "2 hold(s)" in listed


def test_a_person_is_exported_and_erased(operator: Operator, event_id: str, tmp_path: Path) -> None:
    output = tmp_path / "alice.json"
    note = ("--note", "letter of 20 November")
    export_id = operator.new_id("subject", "request", "--kind", "export", "--actor", "alice", *note)
    evidence = "--without-mfa-evidence"
    operator("subject", "export", export_id, "--output", str(output), evidence, fails=True)
    assert not output.exists()
    operator("subject", "approve", export_id, evidence, officer="erin")
    assert "2 record(s)" in operator("subject", "export", export_id, "--output", str(output), evidence).stdout
    assert output.stat().st_mode & 0o777 == 0o600
    assert "my secret wish" in output.read_text()
    operator("subject", "export", export_id, "--output", str(output), evidence, fails=True)  # never over a file
    assert "my secret wish" in output.read_text()

    erasure_id = operator.new_id("subject", "request", "--kind", "erasure", "--actor", "alice", *note)
    assert "approves it first" in operator("subject", "erase", erasure_id, fails=True).stderr
    operator("subject", "approve", erasure_id, evidence, officer="erin")
    assert "2 record(s) of 1 day(s) erased" in operator("subject", "erase", erasure_id).stdout
    rejected = operator.new_id("subject", "request", "--kind", "erasure", "--actor", "bob", *note)
    operator("subject", "reject", rejected)
    listed = operator("subject", "list").stdout
    assert "erased 2 record(s)" in listed
    assert "3 request(s)" in listed


def test_errors_name_no_person_and_no_content(operator: Operator, event_id: str) -> None:
    missing = operator("case", "approve", event_id, "--without-mfa-evidence", fails=True).stderr
    assert missing == f"error: no case {event_id}\n"


def test_migrate_brings_a_database_up_to_date(tmp_path: Path) -> None:
    runner, url = CliRunner(), f"sqlite:///{tmp_path / 'governance.sqlite'}"
    assert "empty" in runner.invoke(app, ["migrate", url, "--check"]).stdout
    assert runner.invoke(app, ["migrate", url]).stdout == f"{head()}\n"
    assert runner.invoke(app, ["migrate", url, "--check"]).stdout == f"{head()}\n"
    refused = runner.invoke(app, ["migrate", "postgresql://audit:hunter2@127.0.0.1:1/audit"])
    assert refused.exit_code == 2
    assert "hunter2" not in refused.output
