"""The commands that work in a log, over both stores: files by their directory, a database by a URL from a file or the
environment, each with its keys from a key file or a key service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.cli.log_options import DATABASE_URL_VARIABLE
from audit.migrations.migrate import upgrade
from audit.migrations.revision import head
from audit.record import Ticket
from tests.support.governed import START, Governed
from tests.support.postgres import fresh_database, shared_server

EVIDENCE = "--without-mfa-evidence"


class Desk:
    """Types commands about one log, with the options that open it."""

    def __init__(self, governed: Governed, how: str) -> None:
        self.governed = governed
        self.now = START
        self.environment: dict[str, str | None] = {DATABASE_URL_VARIABLE: None}
        folder, url = governed.folder, governed.database_url
        service = folder / "key-service.yaml"
        service.write_text(f"kind: file\npath: {governed.settings.kek_path}\n")
        keys = ["--service", service] if how == "service" else ["--kek", governed.settings.kek_path]
        self.options: list[object] = [*keys, "--signing-key", governed.settings.signing_key_path]
        if url is not None:
            if how == "service":
                self.environment[DATABASE_URL_VARIABLE] = url
            else:
                self.options += ["--database-url-file", private(folder / "url", f"{url}\n")]

    def __call__(self, *words: object, code: int = 0) -> str:
        return self.bare(*words, *self.options, "--now", self.now.isoformat(), code=code)

    def bare(self, *words: object, code: int = 0, environment: dict[str, str] | None = None) -> str:
        """Without the options that open the log."""
        found = CliRunner().invoke(app, [str(word) for word in words], env={**self.environment, **(environment or {})})
        assert found.exit_code == code, (found.output, found.exception)
        return found.output

    def json(self, *words: object) -> Any:
        return json.loads(self(*words, "--json"))


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def governed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Governed]:
    if request.param == "sqlite":
        yield Governed(tmp_path)
        return
    with fresh_database(upgrade) as url:
        yield Governed(tmp_path, url)


@pytest.fixture
def ticket(governed: Governed) -> Ticket:
    """A request of alice's, in a log that is closed again."""

    async def fill() -> Ticket:
        async with governed.open():
            await governed.request("bob", "a boat")
            return await governed.request("alice", "a secret wish")

    return asyncio.run(fill())


@pytest.fixture(params=["file", "service"])
def desk(governed: Governed, ticket: Ticket, request: pytest.FixtureRequest) -> Desk:
    """With a key file and a URL from a file; or with a key service and a URL from the environment."""
    return Desk(governed, request.param)


def test_a_record_is_found_opened_kept_and_let_go(desk: Desk, ticket: Ticket, tmp_path: Path) -> None:
    store = desk.governed.directory
    found = desk.json("search", store, "actor:alice", "--reader", "dana")
    assert [row["event_id"] for row in found["rows"]] == [ticket.event_id]

    case = desk.json("case", "request", store, "--purpose", "x", "--event", ticket.event_id, "--officer", "dana")["id"]
    desk("case", "approve", store, case, "--officer", "erin", EVIDENCE)
    opened = desk("open", store, ticket.event_id, "--reader", "dana", "--case", case, EVIDENCE)
    assert "a secret wish" in opened
    desk("case", "close", store, case, "--officer", "dana")

    hold = desk.json("hold", "request", store, "--reason", "court", "--event", ticket.event_id, "--officer", "dana")
    desk("hold", "place", store, hold["id"], "--officer", "erin", EVIDENCE)

    out = tmp_path / "out.csv"
    desk("export", store, "--format", "csv", "--with-subjects", "--reader", "dana", "--out", out)
    assert "alice" in out.read_text()

    desk.now += timedelta(days=31)
    purged = desk("purge", store)
    assert "1 day(s) purged" in purged
    assert "2 held" in purged
    due = desk.bare("retention", store, *_database(desk), "--now", desk.now.isoformat())
    assert "gone since" in due
    assert "2 held" in due
    case = desk.json("case", "request", store, "--purpose", "x", "--event", ticket.event_id, "--officer", "dana")["id"]
    desk("case", "approve", store, case, "--officer", "erin", EVIDENCE)
    assert "a secret wish" in desk("open", store, ticket.event_id, "--reader", "dana", "--case", case, EVIDENCE)

    desk("hold", "ask-release", store, hold["id"], "--officer", "dana")
    desk("hold", "release", store, hold["id"], "--officer", "erin", EVIDENCE)
    assert "1 day(s) purged" in desk("purge", store)
    assert "error" in desk("open", store, ticket.event_id, "--reader", "dana", "--case", case, EVIDENCE, code=2)
    pruned = desk("prune", store, "--before", "2026-12-01", "--by", "dana")
    assert "1 day(s) pruned" in pruned
    assert desk.governed.verify().ok


def test_a_person_is_erased(desk: Desk, ticket: Ticket) -> None:
    store = desk.governed.directory
    asked = ("--kind", "erasure", "--actor", "alice", "--note", "letter", "--officer", "dana")
    request = desk.json("subject", "request", store, *asked)["id"]
    desk("subject", "approve", store, request, "--officer", "erin", EVIDENCE)
    assert "2 record(s) of 1 day(s) erased" in desk("subject", "erase", store, request, "--officer", "dana")
    assert "done" in desk("subject", "list", store, "--officer", "dana")
    assert desk.governed.verify().ok


def test_pruning_leaves_the_first_day_that_stays_open_for_writing(desk: Desk, ticket: Ticket) -> None:
    store = desk.governed.directory
    desk.now += timedelta(days=40)
    desk("purge", store, "--clock-is-right")
    assert "1 day(s) pruned" in desk("prune", store, "--before", f"{desk.now:%Y-%m-%d}", "--by", "dana")
    assert desk.json("search", store, "actor:alice", "--reader", "dana")["rows"] == []  # on record, so it was written


def test_what_opens_the_log_is_given_in_one_way(desk: Desk, ticket: Ticket, tmp_path: Path) -> None:
    store, url = desk.governed.directory, desk.governed.database_url
    words = ("search", store, "--reader", "dana")
    assert "either --kek FILE or --service" in desk.bare(*words, *_database(desk), code=2)
    assert "not an audit store" in desk("search", tmp_path, "--reader", "dana", code=2)
    wrong = private(tmp_path / "wrong", "mysql://audit:hunter2@db.example.com/audit")
    keys = desk.options[:4]
    told = desk.bare(*words, *keys, "--database-url-file", wrong, code=2)
    assert "expected postgresql://" in told
    assert "hunter2" not in told
    wrong.chmod(0o644)
    assert "0644" in desk.bare(*words, *keys, "--database-url-file", wrong, code=2)
    if url is None:
        told = desk.bare(*words, *keys, environment={DATABASE_URL_VARIABLE: "postgresql://audit@127.0.0.1:1/x"}, code=2)
        assert "is a log in files" in told
    else:
        desk.environment[DATABASE_URL_VARIABLE] = None
        assert "holds keys and no records: they are in a database" in desk.bare(*words, *keys, code=2).replace(
            "\n", " "
        )
        told = desk.bare("search", url, "--reader", "dana", *keys, code=2)
        assert "--database-url-file FILE" in told


def test_a_database_that_is_away_is_told_without_its_password(desk: Desk, ticket: Ticket, tmp_path: Path) -> None:
    if desk.governed.database_url is None:
        (desk.governed.directory / "log.json").unlink()  # files without what says so: only their keys are left
    away = private(tmp_path / "away", "postgresql://audit:hunter2@127.0.0.1:1/audit")
    words = ("search", desk.governed.directory, "--reader", "dana", *desk.options[:4])
    told = desk.bare(*words, "--database-url-file", away, code=2)
    assert "cannot be read" in told
    assert "hunter2" not in told


def test_only_files_have_a_snapshot_and_a_database_is_told_what_to_do(
    desk: Desk, ticket: Ticket, tmp_path: Path
) -> None:
    store, url = desk.governed.directory, desk.governed.database_url
    if url is None:
        assert "4 records" in desk.bare("snapshot", store, tmp_path / "copy")
        return
    for target in (store, url):
        assert "take a pg_dump" in desk.bare("snapshot", target, tmp_path / "copy", code=2)
        assert not (tmp_path / "copy").exists()


def test_a_dump_is_restored_verified_and_looked_at_as_the_page_says(tmp_path: Path) -> None:
    with fresh_database(upgrade) as url:
        governed = Governed(tmp_path, url)

        async def fill() -> str:
            async with governed.open():
                await governed.request("alice", "a wish")
                return str(governed.log.verifier_key)

        key = asyncio.run(fill())
        desk = Desk(governed, "file")
        server = shared_server()
        dump = server.dump(url.rpartition("/")[2])
        name = server.restore(dump)
        try:
            drill = private(tmp_path / "drill-url", server.url(name))
            assert "records                2" in desk.bare("status", server.url(name))
            assert "in order" in desk.bare("verify", server.url(name), "--vkey", key)
            now = (governed.now + timedelta(days=31)).isoformat()
            listed = desk.bare("retention", governed.directory, "--database-url-file", drill, "--now", now)
            assert "DUE: purge is overdue" in listed
            desk.now += timedelta(days=31)
            desk("purge", governed.directory)
            listed = desk.bare("retention", governed.directory, "--database-url-file", drill, "--now", now, "--all")
            assert "gone since" in listed  # by the newest list, whatever the dump holds
        finally:
            server.drop_database(name)
            dump.unlink()


def test_a_database_is_migrated_by_a_url_from_a_file(tmp_path: Path) -> None:
    empty = private(tmp_path / "url", f"{shared_server().url(shared_server().create_database())}\n")
    words = ("migrate", "--database-url-file", str(empty))
    asked = CliRunner().invoke(app, [*words, "--check"], env={DATABASE_URL_VARIABLE: None})
    assert asked.output == "empty: no revision yet\n"
    assert CliRunner().invoke(app, words).output == f"{head()}\n"
    shared_server().drop_database(empty.read_text().strip().rpartition("/")[2])
    for wrong in ([], ["sqlite:///x.sqlite"]):
        twice = ["--database-url-file", str(empty)] if wrong else []
        refused = CliRunner().invoke(app, ["migrate", *wrong, *twice], env={DATABASE_URL_VARIABLE: None})
        assert (refused.exit_code, "name the database once" in refused.output) == (2, True)


def _database(desk: Desk) -> list[object]:
    return desk.options[4:]


def test_a_search_in_a_database_runs_beside_the_gateway(tmp_path: Path) -> None:
    with fresh_database(upgrade) as url:
        governed = Governed(tmp_path, url)

        async def both() -> None:
            async with governed.open():
                ticket = await governed.request("alice", "a wish")
                desk = Desk(governed, "file")
                words = ("search", governed.directory, "actor:alice", "--reader", "dana")
                found = await asyncio.to_thread(desk.json, *words)
                assert [row["event_id"] for row in found["rows"]] == [ticket.event_id]
                await governed.request("alice", "another")
            assert governed.verify().ok

        asyncio.run(both())
        with psycopg.connect(url) as connection:
            ((holders,),) = connection.execute("select count(distinct holder) from audit.lease").fetchall()
        assert holders == 1
