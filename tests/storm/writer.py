"""A log at work, to be killed: `python -m tests.storm.writer SETTINGS.json CALLERS NODE`.

Opens the log that the settings name and writes whole requests from many callers. A line on standard output is an
acknowledgement: `intent ID` or `outcome ID`, written only after the log said that the record is durable.

The file `clock` beside the settings says how many seconds the clock is wrong; it is read each time, and jumps.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit import AuditLog, AuditSettings, AuditUnavailable, Entry, Subject, TicketError

WHO = Subject(actor="alice", display="Alice")


class WrongClock:
    """As wrong as a file says at this moment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> datetime:
        try:
            wrong_by = float(self._path.read_text("utf-8"))
        except FileNotFoundError:
            wrong_by = 0.0
        return datetime.now(UTC) + timedelta(seconds=wrong_by)


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


async def main(settings: AuditSettings, callers: int, clock: WrongClock) -> None:
    log = await AuditLog.open(settings, clock=clock)
    tell("ready")
    await asyncio.gather(*(caller(log) for _ in range(callers)))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    values = {**json.loads(path.read_text("utf-8")), "node": sys.argv[3]}
    asyncio.run(main(AuditSettings(**values), int(sys.argv[2]), WrongClock(path.with_name("clock"))))
