"""``kill -9`` of the gateway with requests in flight, over and over: what was answered is on record, and nobody pays
for what was not."""

from __future__ import annotations

import asyncio
import random
import secrets
from dataclasses import dataclass, field

import httpx
import pytest

from audit.verify import verify_store
from tests.support import image_server as double
from tests.support.person import PersonAt

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("faults")]

KILLS = 10
CALLERS, REQUESTS = 8, 4  # of each caller in a round, if the gateway lives that long
ALICE = "canaille|alice"
DONE_SECONDS = 20


@dataclass
class Book:
    """What callers saw, what the log says."""

    answered: set[str] = field(default_factory=set)  # requests whose picture somebody holds in their hands
    rows: dict[str, str] = field(default_factory=dict)  # request -> effect
    unsettled: set[str] = field(default_factory=set)  # credits given back after a crash, for what was delivered
    broken: int = 0  # calls that died with the gateway


async def slowly(server, asked, writer):
    await asyncio.sleep(random.uniform(0, 0.1))
    await double.good(server, asked, writer)


async def call(alice: PersonAt, book: Book, streams: bool) -> None:
    body = {"prompt": "a fox", "size": "auto", **({"stream": True} if streams else {})}
    for _ in range(REQUESTS):
        try:
            async with alice.client.stream("POST", "/v1/images/generations", json=body, headers=alice.unsafe) as answer:
                text = (await answer.aread()).decode()
        except httpx.HTTPError:
            book.broken += 1
            return
        if "b64_json" in text and (not streams or "image_generation.completed" in text):
            book.answered.add(answer.headers["x-request-id"])


async def concluded(bob: PersonAt, known: set[str]) -> dict[str, str]:
    """Rows of the requests since, when all of them have an end."""
    rows: dict[str, str] = {}
    for _ in range(DONE_SECONDS * 10):
        found = await bob.records(action="image:generate", who=ALICE)
        rows = {row["event_id"]: row["effect"] for row in found if row["event_id"] not in known}
        if all(rows.values()):
            return rows
        await asyncio.sleep(0.1)
    raise AssertionError(f"requests without an end: {[one for one, effect in rows.items() if not effect]}")


async def test_every_picture_that_was_handed_out_is_on_record_and_credits_are_exact(crew, server):
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # shown when it fails
    chance = random.Random(seed)
    server.behaviour = slowly
    book = Book()
    async with PersonAt(crew, "alice") as alice, PersonAt(crew, "bob") as bob:
        before, known = await alice.credits(), await seen(bob, action="image:generate", who=ALICE)
        mended = await seen(bob, action="system:ledger:mend")
        for _ in range(KILLS):
            forwarded = len(server.requests)
            calls = [asyncio.create_task(call(alice, book, number % 2 == 0)) for number in range(CALLERS)]
            await asyncio.sleep(chance.uniform(0.05, 0.8))
            crew.gateway.kill()
            await asyncio.gather(*calls)
            crew.restart_gateway()
            rows = await concluded(bob, known)
            # The image server was never asked for anything that no intent speaks of.
            assert len(server.requests) - forwarded <= len(rows)
            book.rows |= rows
            known |= rows.keys()
            for row in await bob.records(action="system:ledger:mend"):
                if row["event_id"] not in mended and row["reasons"] == ["credits.unsettled"]:
                    book.unsettled.add(row["event_id"])
        allowed = {one for one, effect in book.rows.items() if effect == "allow"}
        assert book.broken > 0
        assert len(book.answered) > KILLS
        assert book.answered <= allowed, "a picture without its record"
        print(
            f"{len(book.rows)} requests, {len(book.answered)} answered, {len(allowed)} delivered on record,"
            f" {len(book.unsettled)} given back, {book.broken} calls died with the gateway"
        )
        assert before - await alice.credits() == len(allowed) - len(book.unsettled)
    report = verify_store(crew.audit_directory, None, crew.state / "witness" / "checkpoints.txt")
    assert report.ok, report.findings


async def seen(bob: PersonAt, **query: str) -> set[str]:
    return {row["event_id"] for row in await bob.records(**query)}
