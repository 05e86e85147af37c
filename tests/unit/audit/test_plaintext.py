"""No file ever holds a person or their words in plain text, and no log line or error does."""

from __future__ import annotations

import base64
import gzip
import logging
import sqlite3
from typing import Any

import pytest

from audit import AuditUnavailable, Entry, Query, Subject
from tests.support.cases import open_content

CANARY = "kanarienvogel"


def forms(text: str) -> list[bytes]:
    return [
        text.encode(),
        text.encode("utf-16-le"),
        text.encode().hex().encode(),
        *(base64.b64encode(b"x" * shift + text.encode())[4:-4] for shift in range(3)),
    ]


def assert_nowhere(house: Any) -> int:
    looked_at = 0
    for path in house.folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            looked_at += 1
            for form in forms(CANARY):
                assert form not in data, path
    return looked_at


async def test_no_file_holds_plain_text_while_writing_or_after(
    house: Any, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    who = Subject(actor=f"{CANARY}-id", display=f"{CANARY} name", department=f"{CANARY} unit", groups=(f"{CANARY}-g",))
    entry = Entry(
        action="image:generate",
        subject=who,
        content={"prompt": f"a {CANARY} in a lighthouse", f"{CANARY}-key": [CANARY]},
        index={"network": (f"{CANARY}-net",), "finding": (f"{CANARY}-finding",)},
    )
    async with house.open() as log:
        for _ in range(30):
            ticket = await log.intend(entry)
            await log.conclude(
                ticket, Entry(action="image:generate", subject=who, effect="allow", content={"x": CANARY})
            )
        assert list(house.day_file().parent.glob("*-wal")), "the WAL is what this looks at"
        assert assert_nowhere(house) > 8
        await log.search(Query(actor=f"{CANARY}-id"), searched_by=who)
        await open_content(log, ticket.event_id, by=who.actor, purpose=f"{CANARY} case")
        house.disk.before_commit = [OSError(28, "No space left on device")]
        with pytest.raises(AuditUnavailable) as caught:
            await log.intend(entry)
        error: BaseException | None = caught.value
        while error is not None:
            assert CANARY not in f"{error!r} {error.args}"
            error = error.__cause__ or error.__context__
        assert_nowhere(house)
    assert_nowhere(house)
    assert CANARY not in caplog.text
    assert CANARY not in "".join(str(record.__dict__) for record in caplog.records)


async def test_ciphertexts_do_not_compress_so_they_are_not_plain_in_some_other_coding(house: Any, make: Any) -> None:
    async with house.open() as log:
        await log.intend(make.intent(content={"prompt": "a" * 20_000}))
    connection = sqlite3.connect(house.day_file())
    content = connection.execute("select content from sealed").fetchone()[0]
    connection.close()
    assert len(gzip.compress(content)) >= len(content)


async def test_two_days_have_nothing_in_common(house: Any, make: Any) -> None:
    """The same person and words on two days: no shared token, digest or ciphertext to link them by."""
    async with house.open() as log:
        await make.request(log)
        house.clock.forward(days=1)
        await make.request(log)
    seen: list[set[bytes]] = []
    for day in ("2026-11-22", "2026-11-23"):
        connection = sqlite3.connect(house.day_file(day))
        values = {
            value
            for row in connection.execute(
                "select terms, subject_digest, content_digest, envelope_salt, index_salt, index_commitment from record"
            )
            for value in row
        }
        values |= {row[0] for row in connection.execute("select token from term")}
        connection.close()
        seen.append(values)
    assert seen[0].isdisjoint(seen[1])
