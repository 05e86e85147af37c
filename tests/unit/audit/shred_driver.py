"""A log that writes, purges, goes on, and waits to be looked into: `shred_driver.py SETTINGS.json CANARY`. Run by
test_shred.py, line by line: each line on standard input is a step, each answered by `done`."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit import AuditLog, AuditSettings, Entry, Query, Subject

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


async def write(log: AuditLog, word: str, requests: int) -> None:
    who = Subject(actor=f"{word}-id", display=f"{word} name", department=f"{word} unit", groups=(f"{word}-group",))
    for number in range(requests):
        if number == requests - 1:
            await log.search(Query(actor=who.actor), searched_by=who)
        first = Entry(
            action="image:generate",
            subject=who,
            content={"prompt": f"a {word} number {number} in a lighthouse"},
            index={"network": (f"{word}-net",)},
        )
        ticket = await log.intend(first)
        await log.conclude(ticket, Entry(action="image:generate", subject=who, effect="allow", content={"note": word}))
    await log.proof(ticket.event_id)  # all of it is in the signed tree, as a second later


async def step(log: AuditLog, clock: Clock, name: str, canary: str) -> None:
    if name == "write":
        await write(log, canary, 50)
    elif name == "purge":
        clock.now = START + timedelta(days=31, hours=1)
        await log.purge()
    elif name == "go-on":
        await write(log, "another-word-of-another-day", 400)
        gc.collect()


async def main(settings: AuditSettings) -> None:
    clock = Clock()
    log = await AuditLog.open(settings, clock=clock)
    print("done", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        # The word comes in by pieces, so that the command itself is not what is found.
        name, _, word = line.partition(" ")
        await step(log, clock, name, word.replace("~", ""))
        del line, word
        print("done", flush=True)
    await log.aclose()


if __name__ == "__main__":
    asyncio.run(main(AuditSettings(**json.loads(Path(sys.argv[1]).read_text("utf-8")))))
