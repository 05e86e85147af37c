"""A feed inside a process that has other things to do."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from audit.errors import KeyRefused
from audit.export.cursor import Cursor
from audit.export.source import FolderSource
from audit.log import AuditLog
from audit.push.feed import Feed, FeedSettings, FeedState, source_of
from audit.record import Phase, Subject
from audit.store.opening import open_store
from audit.vocabulary import LogEvent


@pytest.fixture
async def filled(house: Any, make: Any) -> Any:
    """A closed log with 6 records."""
    async with house.open() as log:
        for number in range(3):
            await make.request(log, f"person-{number}")
    house.positions = house.folder / "positions"
    return house


def settings(server: Any, secret_file: Path, **fields: Any) -> FeedSettings:
    to = f"http://127.0.0.1:{server.port}/"
    return FeedSettings(**{"consumer": "siem", "to": to, "secret_file": secret_file, "format": "jsonl", **fields})


def open_feed(house: Any, chosen: FeedSettings, **options: Any) -> Feed:
    options = {"clock": house.clock, "record_access": None, "take_over_seconds": 0.02, **options}
    return Feed(chosen, FolderSource(house.store), house.positions, **options)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_feed_sends_until_it_is_closed(filled: Any, webhook_server: Any, secret_file: Path) -> None:
    feed = open_feed(filled, settings(webhook_server, secret_file))
    assert feed.state is FeedState.STOPPED
    feed.start()
    feed.start()  # harmless
    await until(lambda: len(webhook_server.accepted) == 6)
    assert feed.state is FeedState.SENDING
    figures = await feed.figures()
    assert figures is not None
    await feed.aclose()
    await feed.aclose()
    assert feed.state is FeedState.STOPPED
    assert json.loads((filled.positions / "siem.json").read_text())["cursor"].startswith("v1.6.")


async def test_one_process_sends_and_the_other_takes_over(filled: Any, webhook_server: Any, secret_file: Path) -> None:
    chosen = settings(webhook_server, secret_file)
    first, second = open_feed(filled, chosen), open_feed(filled, chosen)
    first.start()
    await until(lambda: len(webhook_server.accepted) == 6)
    second.start()
    await asyncio.sleep(0.1)
    assert (first.state, second.state) == (FeedState.SENDING, FeedState.STANDBY)
    assert await second.figures() is None
    await first.aclose()
    await until(lambda: second.state is FeedState.SENDING)
    await second.aclose()
    assert len(webhook_server.accepted) == 6  # nothing was sent twice


async def test_a_feed_in_standby_can_be_closed(filled: Any, webhook_server: Any, secret_file: Path) -> None:
    chosen = settings(webhook_server, secret_file)
    first, second = open_feed(filled, chosen), open_feed(filled, chosen, take_over_seconds=60)
    first.start()
    await until(lambda: first.state is FeedState.SENDING)
    second.start()
    await asyncio.sleep(0.02)
    async with asyncio.timeout(1):
        await second.aclose()
    await first.aclose()


async def test_a_refusal_parks_the_feed_and_start_tries_again(
    filled: Any, webhook_server: Any, answer: Any, secret_file: Path
) -> None:
    webhook_server.script = [answer(status=401)]
    heard: list[str] = []
    feed = open_feed(filled, settings(webhook_server, secret_file), report=heard.append)
    feed.start()
    await until(lambda: feed.state is FeedState.PARKED)
    assert feed.parked_reason == "webhook 127.0.0.1 answered 401"
    assert heard[-1] == "parked: webhook 127.0.0.1 answered 401"
    await until(lambda: feed._task is not None and feed._task.done())
    feed.start()
    await until(lambda: len(webhook_server.accepted) == 6)
    assert feed.parked_reason == ""
    await feed.aclose()


async def test_a_tampered_log_parks_the_feed_and_ends_no_process(
    filled: Any, webhook_server: Any, secret_file: Path
) -> None:
    connection = sqlite3.connect(filled.day_file(), isolation_level=None)
    connection.execute("update record set effect = 'deny' where seq = 0")
    connection.close()
    feed = open_feed(filled, settings(webhook_server, secret_file))
    feed.start()
    await until(lambda: feed.state is FeedState.PARKED)
    assert "record 0 is not the one that the tree holds" in feed.parked_reason
    assert webhook_server.deliveries == []
    await feed.aclose()
    assert feed.state is FeedState.PARKED  # closing does not hide it


async def test_a_full_disk_parks_the_feed(filled: Any, webhook_server: Any, secret_file: Path) -> None:
    filled.disk.fail["write_whole"] = [OSError(28, "No space left on device")]
    feed = open_feed(filled, settings(webhook_server, secret_file), disk=filled.disk)
    feed.start()
    await until(lambda: feed.state is FeedState.PARKED)
    assert "No space left" in feed.parked_reason
    await feed.aclose()


async def test_a_gateway_tells_persons_after_the_access_is_durable(
    house: Any, make: Any, webhook_server: Any, secret_file: Path
) -> None:
    """The wiring that a gateway uses: an open store, its keys, and records of the log's own."""
    house.with_settings(checkpoint_interval_seconds=0.02)
    store = open_store(house.settings, house.clock, house.disk)
    log = AuditLog(house.settings, house.clock, store)

    async def record_access(cursor: Cursor) -> object:
        content = {"consumer": "siem", "cursor": str(cursor)}
        who = Subject(actor="feed:siem")
        entry = make.outcome(subject=who, action=LogEvent.FOLLOW, content=content)
        return await log.note(entry, Phase.ACCESS)

    await make.request(log, "alice")
    chosen = settings(webhook_server, secret_file, with_subjects=True)
    with pytest.raises(ValueError, match="must be able to record"):
        Feed(chosen, source_of(store, chosen), house.folder / "p", clock=house.clock, record_access=None)
    feed = Feed(chosen, source_of(store, chosen), house.folder / "p", clock=house.clock, record_access=record_access)
    feed.start()
    await until(lambda: len(webhook_server.accepted) == 3)
    await feed.aclose()
    await log.aclose()
    sent = [record for delivery in webhook_server.deliveries for record in delivery.records]
    assert [(record["action"], record["subject"]["actor"]) for record in sent] == [
        ("image:generate", "alice"),
        ("image:generate", "alice"),
        ("audit:record:follow", "feed:siem"),
    ]


def test_mistakes_in_settings_are_told_at_the_start(tmp_path: Path, secret_file: Path) -> None:
    with pytest.raises(ValidationError):
        FeedSettings(consumer="../x", to="stdout")
    with pytest.raises(ValidationError):
        FeedSettings(consumer="siem", to="stdout", unknown=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="over TLS only"):
        FeedSettings(consumer="siem", to="http://10.0.0.1/", secret_file=secret_file).open_sink()
    with pytest.raises(KeyRefused, match="does not exist"):
        FeedSettings(consumer="siem", to="https://siem.example/", secret_file=tmp_path / "none").open_sink()


async def test_a_source_tells_persons_only_if_the_settings_say_so(
    house: Any, make: Any, webhook_server: Any, secret_file: Path
) -> None:
    store = open_store(house.settings, house.clock, house.disk)
    log = AuditLog(house.settings, house.clock, store)
    await log.proof((await make.request(log, "alice")).event_id)  # signs a checkpoint over it now
    told = []
    for with_subjects in (False, True):
        source = source_of(store, settings(webhook_server, secret_file, with_subjects=with_subjects))
        told.append(source.open_subject((await source.read_after(-1, 1)).rows[0]))
    await log.aclose()
    assert told == [None, make.subject("alice")]


async def test_a_feed_of_one_tenant_sends_nothing_of_the_others_and_goes_past_them(
    house: Any, make: Any, webhook_server: Any, secret_file: Path
) -> None:
    wanted: list[str] = []
    async with house.open() as log:
        for tenant in ("default", "press", "default"):
            ticket = await log.intend(make.intent("alice", tenant=tenant))
            await log.conclude(ticket, make.outcome("alice", tenant=tenant))
            wanted += [f"{ticket.event_id}.intent", f"{ticket.event_id}.outcome"] if tenant == "press" else []
    house.positions = house.folder / "positions"
    feed = open_feed(house, settings(webhook_server, secret_file, tenants=["press"], batch_limit=1))
    feed.start()
    try:
        async with asyncio.timeout(10):
            while (figures := await feed.figures()) is None or figures.position < 6 or figures.lag_records:
                await asyncio.sleep(0.01)
    finally:
        await feed.aclose()
    assert (figures.sent, figures.lag_records, figures.failures) == (2, 0, 0)
    assert webhook_server.accepted == wanted
    with pytest.raises(ValidationError, match="tenants"):
        settings(webhook_server, secret_file, tenants=["no tenant"])
