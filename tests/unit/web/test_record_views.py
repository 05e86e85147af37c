from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request

from audit import AuditLog, AuditSettings, Entry, Proof, Query, RecordView, Subject, VerifierKey
from gateway.web.record_views import by_day, prove, record_json, row_json, unreadable_from
from gateway.web.templates import render
from gateway.web.visitors import Visitor

BOB = Subject(actor="idp|bob", display="Bob")
REQUESTS = Query(action="image:generate")
START = datetime(2026, 11, 21, 23, 50, tzinfo=UTC)


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def log(tmp_path: Path, clock: Clock) -> AsyncIterator[AuditLog]:
    """Four requests, five minutes apart, over midnight; the last one still open."""
    settings = AuditSettings(
        directory=tmp_path / "audit",
        kek_path=tmp_path / "kek",
        signing_key_path=tmp_path / "signing",
        origin="imprimatur.example/audit",
        create_keys=True,
    )
    opened = await AuditLog.open(settings, clock=clock)
    entry = Entry(
        action="image:generate", subject=Subject(actor="idp|alice", display="Alice"), content={"prompt": "a secret fox"}
    )
    for n in range(4):
        ticket = await opened.intend(entry)
        if n < 3:
            await opened.conclude(ticket, replace(entry, effect="deny", reasons=("dlp.iban",), latency_ms=12))
        clock.now += timedelta(minutes=5)
    yield opened
    await opened.aclose()


@pytest.fixture
async def proofs(log: AuditLog) -> list[Proof]:
    page = await log.search(REQUESTS, searched_by=BOB)
    return await log.proof(page.rows[1].event_id)


def draw(view: RecordView, halves: list[Any]) -> str:
    request = Request({"type": "http", "method": "GET", "path": "/audit/records/x", "headers": [], "query_string": b""})
    visitor = Visitor(
        name="Bob", email="", department="", roles=(), places=(), own_places=(), conflicts=(), csrf_token="t"
    )
    context = {
        "visitor": visitor,
        "view": view,
        "first": view.envelopes[0],
        "last": view.envelopes[-1],
        "has_outcome": len(view.envelopes) > 1,
        "is_request": True,
        "halves": halves,
        "holds": all(half.holds for half in halves),
        "same_day": "/audit",
        "same_person": "/audit",
        "log_key": "key",
        "lifetimes": (8, 24),
        "unreadable": date(2026, 12, 23),
        "days_left": 30,
        "checked_at": START,
    }
    return render("record.html", request, context)


async def test_a_good_proof_holds_and_is_drawn(log, proofs):
    halves = [prove(proof, log.verifier_key) for proof in proofs]
    assert [half.phase for half in halves] == ["intent", "outcome"]
    assert all(half.holds and half.drawing is not None for half in halves)
    html = draw(await log.get(proofs[0].event_id, looked_by=BOB), halves)
    assert "Verified now" in html
    assert "Does not verify" not in html


def changed_root(proof: Proof) -> Proof:
    return replace(proof, checkpoint=replace(proof.checkpoint, root=bytes(32)))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, leaf_data=p.leaf_data + b"\0"),
        lambda p: replace(p, seq=p.seq ^ 1),
        lambda p: replace(p, path=p.path[:-1]),
        lambda p: replace(p, path=(*p.path, bytes(32))),
        lambda p: replace(p, path=(bytes(32), *p.path[1:])),
        lambda p: replace(p, checkpoint=replace(p.checkpoint, size=p.checkpoint.size + 1_000_000)),
        changed_root,
    ],
)
async def test_a_record_that_is_not_what_was_signed_is_not_drawn_and_the_page_says_so(log, proofs, change):
    half = prove(change(proofs[0]), log.verifier_key)
    assert not half.holds
    html = draw(await log.get(proofs[0].event_id, looked_by=BOB), [half, prove(proofs[1], log.verifier_key)])
    assert "Does not verify" in html
    assert "Verified now" not in html


async def test_a_head_signed_by_another_key_does_not_count(log, proofs):
    stranger = VerifierKey.of(log.verifier_key.name, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    half = prove(proofs[0], stranger)
    assert half.is_included
    assert not half.is_signed
    assert not half.holds
    html = draw(await log.get(proofs[0].event_id, looked_by=BOB), [half])
    assert "signature is wrong" in html
    assert "Verified now" not in html


async def test_the_page_shows_no_content(log, proofs):
    html = draw(await log.get(proofs[0].event_id, looked_by=BOB), [prove(p, log.verifier_key) for p in proofs])
    assert "secret fox" not in html
    assert base64.b64encode(b"secret fox").decode() not in html


async def test_rows_stand_under_their_day_in_the_order_they_came(log):
    page = await log.search(REQUESTS, searched_by=BOB)
    days = by_day(page.rows)
    assert [day.day for day in days] == [date(2026, 11, 22), date(2026, 11, 21)]
    assert [row for day in days for row in day.rows] == list(page.rows)


async def test_a_row_says_the_same_in_json(log):
    page = await log.search(REQUESTS, searched_by=BOB)
    open_row, done = row_json(page.rows[0]), row_json(page.rows[1])
    assert (open_row["effect"], open_row["concluded_at"]) == ("", None)
    assert (done["who"], done["effect"], done["reasons"]) == ("Alice", "deny", ["dlp.iban"])
    assert done["opened_at"] == "2026-11-22T00:00:00.000Z"


async def test_a_record_in_json_names_its_proof(log, proofs):
    view = await log.get(proofs[0].event_id, looked_by=BOB)
    halves = [prove(proof, log.verifier_key) for proof in proofs]
    found = record_json(view, halves, 30)
    assert found["proof"]["verified"] is True
    assert found["unreadable_from"] == "2026-12-23"
    broken = record_json(view, [prove(changed_root(proofs[0]), log.verifier_key), halves[1]], 30)
    assert broken["proof"]["verified"] is False


async def test_the_day_on_which_a_record_becomes_unreadable_is_the_day_the_log_destroys_it(log, proofs, clock):
    view = await log.get(proofs[0].event_id, looked_by=BOB)
    day = unreadable_from(view.envelopes[0].day, 30)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    clock.now = midnight - timedelta(seconds=1)
    await log.purge()
    assert not (await log.get(proofs[0].event_id, looked_by=BOB)).content_destroyed
    clock.now = midnight
    await log.purge()
    after = await log.get(proofs[0].event_id, looked_by=BOB)
    assert after.content_destroyed
    halves = [prove(proof, log.verifier_key) for proof in await log.proof(proofs[0].event_id)]
    html = draw(after, halves)
    assert "Nobody can read it any more" in html
    assert "Verified now" in html
    assert row_json((await log.search(REQUESTS, searched_by=BOB)).rows[1])["who"] == ""


def test_a_missing_person_is_no_person_in_json():
    row = SimpleNamespace(
        event_id="x",
        action="a",
        subject=None,
        opened_at=START,
        concluded_at=None,
        effect="",
        reasons=(),
        model="",
        credits=0,
        latency_bucket_ms=None,
        bundle_revision="",
        seqs=(1,),
    )
    found = row_json(row)  # type: ignore[arg-type]
    assert (found["subject"], found["who"]) == (None, "")
