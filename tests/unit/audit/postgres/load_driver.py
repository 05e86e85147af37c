"""A gateway's worth of writers on a PostgreSQL log, as a process of its own, to be killed and counted by the tests.

usage: load_driver.py URL FOLDER NODE WRITERS SECONDS [REQUESTS]

Prints a line for every acknowledged record (``intent SEQ ID``, ``outcome SEQ ID``), or with SECONDS below 0 only
figures at the end. Ends after SECONDS, or after REQUESTS of each writer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from audit import AuditLog, AuditSettings, AuditUnavailable, Entry, Subject

PROMPT = "a watercolour of a lighthouse at dusk, " * 18


def settings(url: str, folder: Path, node: str, **changes: object) -> AuditSettings:
    values = {
        "database_url": url,
        "directory": folder / "log",
        "kek_path": folder / "kek",
        "signing_key_path": folder / "signing.pem",
        "origin": "example.com/audit",
        "node": node,
        "create_keys": True,
        "database_lease_seconds": 1.0,
        "checkpoint_interval_seconds": 0.2,
    }
    return AuditSettings.model_validate({**values, **changes})


async def main(url: str, folder: Path, node: str, writers: int, seconds: float, requests: int) -> None:
    is_quiet, end = seconds < 0, time.monotonic() + abs(seconds)
    interval = {"checkpoint_interval_seconds": 1.0, "database_lease_seconds": 5.0} if is_quiet else {}
    log = await AuditLog.open(settings(url, folder, node, **interval), clock=lambda: datetime.now(UTC))
    first_seconds: list[float] = []
    both_seconds: list[float] = []

    async def write(number: int) -> None:
        who = Subject(actor=f"{node}-{number}", display="A Person", department="press", groups=("writers", "all"))
        index = {"group": who.groups, "key": (f"key-{number}",), "network": ("10.1.0.0/16",)}
        intent = Entry(action="image:generate", subject=who, content={"prompt": PROMPT}, index=index)
        outcome = Entry(
            action="image:generate",
            subject=who,
            content={"findings": [{"type": "EMAIL", "n": 1}], "pictures": ["ab" * 32] * 4},
            index={**index, "finding": ("EMAIL",)},
            effect="allow",
            model="m",
            credits=1,
            latency_ms=900,
        )
        left = requests
        while time.monotonic() < end and left:
            left -= 1
            begun = time.monotonic()
            try:
                ticket = await log.intend(intent)
            except AuditUnavailable:
                await asyncio.sleep(0.05)
                continue
            first_seconds.append(time.monotonic() - begun)
            if not is_quiet:
                print("intent", ticket.seq, ticket.event_id, flush=True)
            with suppress(AuditUnavailable):
                reference = await log.conclude(ticket, outcome)
                both_seconds.append(time.monotonic() - begun)
                if not is_quiet:
                    print("outcome", reference.seq, ticket.event_id, flush=True)

    begun, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(write(number) for number in range(writers)))
    elapsed, cpu = time.monotonic() - begun, time.process_time() - cpu
    await log.aclose()
    if is_quiet:
        first_seconds.sort()
        both_seconds.sort()
        figures = {
            "events": len(first_seconds) + len(both_seconds),
            "events_per_second": round((len(first_seconds) + len(both_seconds)) / elapsed),
            "intent_p50_ms": round(1000 * first_seconds[len(first_seconds) // 2], 1),
            "intent_p99_ms": round(1000 * first_seconds[int(len(first_seconds) * 0.99)], 1),
            "both_p99_ms": round(1000 * both_seconds[int(len(both_seconds) * 0.99)], 1),
            "cpu_us_per_event": round(1e6 * cpu / (len(first_seconds) + len(both_seconds))),
        }
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(
        main(
            arguments[0],
            Path(arguments[1]),
            arguments[2],
            int(arguments[3]),
            float(arguments[4]),
            int(arguments[5]) if len(arguments) > 5 else -1,
        )
    )
