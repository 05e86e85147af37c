"""Sealing, and the access review, as an operator meets them on the host."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re

import pytest
from typer.testing import CliRunner

from audit import AuditLog, Query, Subject
from gateway.cli import app
from gateway.identity.seals import normal
from gateway.settings import Settings
from gateway.wiring import make_clock
from gateway.wiring_audit import audit_settings

runner = CliRunner()


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRIMATUR_CONFIG", "")  # restored afterwards: the command sets it
    path = tmp_path / "settings.yaml"
    audit = {
        "directory": str(tmp_path / "audit"),
        "kek_path": str(tmp_path / "kek"),
        "signing_key_path": str(tmp_path / "signing"),
        "witness_path": str(tmp_path / "witness.txt"),
        "create_keys": True,
    }
    settings = {
        "database_url": f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite",
        "identity": {"secret_path": str(tmp_path / "identity.key"), "roles": {"platform": ["admin"]}},
        "screening": {"secret_path": str(tmp_path / "screening.key")},
        "upstream": {"secret_path": str(tmp_path / "model-server.key")},
        "audit": audit,
    }
    path.write_text(json.dumps(settings))
    assert runner.invoke(app, ["keys", "init", "-c", str(path)]).exit_code == 0
    assert runner.invoke(app, ["migrate", "-c", str(path)]).exit_code == 0
    return path


def invoke(config, *words):
    return runner.invoke(app, [*words, "-c", str(config)])


def test_two_seals_are_made_by_two_runs_and_their_codes_are_shown_once(config, tmp_path):
    codes = []
    for name, holder in (("north", "Ann Berg"), ("south", "Ben Holm")):
        shown = invoke(config, "emergency", "seal", name, "--holder", holder)
        assert shown.exit_code == 0, shown.output
        assert "otpauth://totp/" in shown.output
        codes.append(re.search(r"Code +([0-9A-Z-]{34})", shown.output)[1])
    assert codes[0] != codes[1]
    status = invoke(config, "emergency", "status")
    assert "kept by Ann Berg" in status.output
    assert not [code for code in codes if code in status.output]
    database = b"".join(path.read_bytes() for path in tmp_path.glob("gateway.sqlite*"))
    assert not [code for code in codes if code.encode() in database or normal(code).encode() in database]


def test_status_fails_until_two_seals_would_open(config):
    invoke(config, "emergency", "seal", "north", "--holder", "Ann")
    shown = invoke(config, "emergency", "status")
    assert shown.exit_code == 1
    assert "waits for the gateway to record it" in shown.output
    assert "0 of the 2 seals" in shown.output


def test_one_holder_keeps_one_seal(config):
    invoke(config, "emergency", "seal", "north", "--holder", "Ann")
    refused = invoke(config, "emergency", "seal", "south", "--holder", "Ann")
    assert refused.exit_code == 1
    assert "keeps the seal north already" in refused.output
    assert "Code" not in refused.output


def test_a_seal_s_name_is_one_for_paper_and_pages(config):
    refused = invoke(config, "emergency", "seal", "North Pole", "--holder", "Ann")
    assert refused.exit_code == 1
    assert "lower-case letters" in refused.output


def test_a_database_that_is_not_migrated_is_said(config, tmp_path):
    (tmp_path / "gateway.sqlite").unlink()
    shown = invoke(config, "emergency", "status")
    assert shown.exit_code == 1
    assert "imprimatur migrate" in shown.output


def test_the_review_is_printed_once_it_is_on_record(config):
    shown = invoke(config, "access-review", "--format", "csv")
    assert shown.exit_code == 0, shown.output
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert ("remark", "platform") in [(row["kind"], row["who"]) for row in rows]
    review = json.loads(invoke(config, "access-review", "--format", "json").stdout)
    assert review["object"] == "organization.access_review"
    assert asyncio.run(_records("auth:access:review")) == 2


async def _records(action: str) -> int:
    log = await AuditLog.open(audit_settings(Settings()), clock=make_clock(Settings()))
    try:
        return len((await log.search(Query(action=action), searched_by=Subject(actor="-", display="a test"))).rows)
    finally:
        await log.aclose()


def test_a_review_that_can_not_be_recorded_is_not_shown(config, tmp_path):
    (tmp_path / "audit").write_text("in the way")
    shown = invoke(config, "access-review")
    assert shown.exit_code == 1
    assert "isn't shown" in shown.output
    assert "platform" not in shown.output
