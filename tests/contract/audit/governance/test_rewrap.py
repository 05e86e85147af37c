"""Rewrapping goes on record, before and after, over both stores: by the log itself, and by a command beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit.canonical import load_json_object
from audit.cli import app
from audit.cli.log_options import DATABASE_URL_VARIABLE
from audit.errors import AuditUnavailable, KeyRefused
from audit.governance.rewrap import rewrap_on_record
from audit.governance.scope import Scope
from audit.ids import parse_event_id
from audit.keys.day_key_file import load
from audit.keys.services.file import FileKeyService
from audit.keys.services.rotation import rotate_file_key
from audit.query import Condition, Field, Query
from audit.record import Subject
from audit.store.disk import Disk
from audit.vocabulary import LogEvent
from tests.support.governed import START, Governed

DANA = Subject(actor="dana", display="Dana")


async def _steps(governed: Governed) -> list[dict[str, Any]]:
    """Content, actor and effect of each record of a rewrap, oldest first."""
    query = Query(conditions=(Condition(Field.ACTION, (LogEvent.KEYS_REWRAP,)),))
    page = await governed.log.search(query, searched_by=DANA)
    found = []
    for found_row in reversed(page.rows):
        parse_event_id(found_row.event_id)
        (row,) = await governed.rows(found_row.event_id)
        opened = governed.log.governance.opener.open(row)
        actor = load_json_object(opened.subject)["actor"]
        found.append({**load_json_object(opened.content), "actor": actor, "effect": found_row.effect})
    return found


def _wrapped_by(governed: Governed) -> set[str]:
    return {load(path).kek_id for path in (governed.directory / "keys").glob(f"{START.date()}.*.json")}


def _kek(governed: Governed) -> Path:
    assert governed.settings.kek_path is not None
    return governed.settings.kek_path


async def test_the_log_records_before_and_after_it_rewraps(governed: Governed) -> None:
    async with governed.open():
        ticket = await governed.request("alice", "a fox")
        await governed.active_case(Scope(event_ids=(ticket.event_id,)))  # so that there is a governance key
        new = rotate_file_key(_kek(governed), Disk()).new_key_id
        done = await governed.log.rewrap_keys(DANA)
        assert (len(done.days.rewrapped), done.governed) == (1, 1)
        assert _wrapped_by(governed) == {new}
        begun, ended = await _steps(governed)
        assert (begun["step"], begun["key"], begun["actor"], begun["effect"]) == ("begun", new, "dana", "allow")
        assert (ended["step"], ended["rewrapped"], ended["problems"]) == ("done", 2, 0)
        assert ended["rewrap"] == begun["rewrap"]
        assert governed.verify().findings == []


async def test_nothing_is_rewrapped_that_cannot_be_put_on_record(governed: Governed) -> None:
    async with governed.open():
        await governed.request("alice")
    before = _wrapped_by(governed)
    rotate_file_key(_kek(governed), Disk())

    async def full(_content: object) -> None:
        raise AuditUnavailable("the disk is full")

    service = FileKeyService(_kek(governed))
    with pytest.raises(AuditUnavailable, match="the disk is full"):
        await rewrap_on_record(governed.directory / "keys", service, Disk(), full)
    assert _wrapped_by(governed) == before


async def test_a_rewrap_that_failed_is_on_record_as_one(governed: Governed) -> None:
    async with governed.open():
        ticket = await governed.request("alice", "a fox")
        await governed.active_case(Scope(event_ids=(ticket.event_id,)))
        rotate_file_key(_kek(governed), Disk())
        path = governed.directory / "keys" / "governance.json"
        path.write_text(path.read_text().replace('"wrapped": "', '"wrapped": "AAAA'))
        with pytest.raises(KeyRefused):
            await governed.log.rewrap_keys(DANA)
        begun, ended = await _steps(governed)
        assert (begun["step"], ended["step"], ended["effect"]) == ("begun", "failed", "failed")


def _command(governed: Governed, *options: object) -> str:
    words = ["keys", "rewrap", governed.directory, "--kek", _kek(governed), "--by", "dana", *options]
    environment = {DATABASE_URL_VARIABLE: governed.database_url}
    found = CliRunner().invoke(app, [str(word) for word in words], env=environment)
    assert found.exit_code == 0, found.output
    return found.output


async def test_a_command_beside_the_log_is_on_record_once(governed: Governed) -> None:
    async with governed.open():
        await governed.request("alice", "a fox")
        new = rotate_file_key(_kek(governed), Disk()).new_key_id
        signing = ("--signing-key", governed.settings.signing_key_path)
        told = await asyncio.to_thread(_command, governed, *signing)
        assert "1 rewrapped" in told
        assert _wrapped_by(governed) == {new}
        assert ("noted beside the keys" in told) is (governed.database_url is None)  # files are one process's
        for _ in range(2):  # the worker purges every minute
            await governed.log.purge()
            steps = await _steps(governed)
            assert [(step["step"], step["actor"]) for step in steps] == [("begun", "dana"), ("done", "dana")]
        assert governed.verify().findings == []


async def test_without_a_signing_key_it_is_noted_and_the_next_to_open_the_log_records_it(governed: Governed) -> None:
    async with governed.open():
        await governed.request("alice", "a fox")
    rotate_file_key(_kek(governed), Disk())
    assert "noted beside the keys" in await asyncio.to_thread(_command, governed)
    signing = ("--signing-key", governed.settings.signing_key_path)
    await asyncio.to_thread(_command, governed, *signing)  # records the noted one and its own
    async with governed.open():
        steps = await _steps(governed)
        assert [step["step"] for step in steps] == ["begun", "done", "begun", "done"]
        assert [("note" in step, "noted_at" in step) for step in steps] == [(True, True)] * 2 + [(False, False)] * 2
        assert steps[0]["rewrap"] == steps[1]["rewrap"] != steps[2]["rewrap"]
