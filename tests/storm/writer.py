"""A log at work, to be killed: `python -m tests.storm.writer SETTINGS.json CALLERS`.

Opens the log that the settings name and writes whole requests from many callers. A line on standard output is an
acknowledgement: `intent ID` or `outcome ID`, written only after the log said that the record is durable.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from audit import AuditLog, AuditSettings, AuditUnavailable, Entry, Subject, TicketError

WHO = Subject(actor="alice", display="Alice")


def now() -> datetime:
    return datetime.now(UTC)


def tell(line: str) -> None:
    os.write(1, (line + "\n").encode())  # one write, so that no line is torn by the kill


async def caller(log: AuditLog) -> None:
    while True:
        try:
            ticket = await log.intend(Entry(action="image:generate", subject=WHO, content={"prompt": "p" * 300}))
        except AuditUnavailable:  # the database is down, or the queue is full: a gateway would answer 503
            tell("refused")
            await asyncio.sleep(0.02)
            continue
        tell(f"intent {ticket.event_id}")
        try:
            await log.conclude(ticket, Entry(action="image:generate", subject=WHO, effect="allow"))
        except (AuditUnavailable, TicketError):
            tell("refused")
            continue
        tell(f"outcome {ticket.event_id}")


async def main(settings: AuditSettings, callers: int) -> None:
    log = await AuditLog.open(settings, clock=now)
    tell("ready")
    await asyncio.gather(*(caller(log) for _ in range(callers)))


if __name__ == "__main__":
    asyncio.run(main(AuditSettings(**json.loads(Path(sys.argv[1]).read_text("utf-8"))), int(sys.argv[2])))
