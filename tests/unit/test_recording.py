"""What a record holds of a request with pictures: who sent what, to the digest, and never a picture."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit import AuditLog, AuditSettings, ContentDestroyed, Query, Subject
from gateway.credits import Ledger
from gateway.credits.usage import UsageCounts
from gateway.errors import ContentBlocked, InvalidRequest, RateLimited
from gateway.exchange import CleanUpload, Credentials, FileFacts, Origin, Reason, SketchRegion
from gateway.keeping import Keeping, KeepingRules
from gateway.observe.metrics import Metrics
from gateway.recording import Call, Recorder
from gateway.settings import CreditSettings
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from gateway.vocabulary import Effect, Permission
from tests.support.cases import open_content
from tests.support.policy import ALICE, EDIT, MASK, PICTURE

CANARY = b"canary-pixels"
POLICIES = Path(__file__).parents[2] / "policies"


@pytest.fixture
async def audit(tmp_path):
    settings = AuditSettings(
        directory=tmp_path / "log",
        kek_path=tmp_path / "kek.key",
        signing_key_path=tmp_path / "sign.key",
        witness_path=tmp_path / "witness.txt",
        origin="test/audit",
        create_keys=True,
        disk_refuse_fraction=0.0,
    )
    log = await AuditLog.open(settings, clock=lambda: datetime.now(UTC))
    yield log
    await log.aclose()


@pytest.fixture
async def recorder(audit, tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite")
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)

    def clock() -> datetime:
        return datetime.now(UTC)

    keeping = Keeping(POLICIES)
    ledger, usage = Ledger(database, CreditSettings(), clock), UsageCounts(database, clock)
    yield Recorder(audit, ledger, usage, Metrics(), clock, keeping)
    await database.aclose()


def call(request=None, error=None) -> Call:
    async def read():
        if error is not None:
            raise error
        return request

    return Call(
        action=Permission.IMAGE_EDIT, credentials=Credentials(method="POST"), origin=Origin(ip="127.0.0.1"), read=read
    )


async def contents(audit, request_id) -> list[dict]:
    opened = await open_content(audit, request_id, by="t", purpose="a test")
    return [dict(content) for content in opened.contents]


async def test_uploads_are_known_by_their_digests_and_texts_as_they_were_changed(recorder, audit):
    sent = replace(PICTURE, data=CANARY, facts=replace(PICTURE.facts, sha256="11"))
    sketch = (SketchRegion(label="for jane@corp.com", box=(0, 0, 1, 1)), SketchRegion(stroke=((0.5, 0.5),)))
    request = replace(EDIT, uploads=(sent, MASK), sketch=sketch)
    forwarded = FileFacts(sha256="22", size_bytes=9, media_type="image/png", width=8, height=8)
    with suppress(InvalidRequest):
        async with recorder.open(ALICE, call(request)) as (record, _):
            record.uploads = (CleanUpload(field="image", data=CANARY, sent=sent.facts, forwarded=forwarded),)
            record.revise(request, [{"prompt": "a fox", "sketch.0": "for someone@example.com"}])
            raise InvalidRequest("to end it")
    intent, outcome = await contents(audit, record.request_id)
    assert [upload["sha256"] for upload in intent["request"]["uploads"]] == ["11", "00"]
    assert [upload["field"] for upload in intent["request"]["uploads"]] == ["image", "mask"]
    assert intent["request"]["sketch"][0]["label"] == "for jane@corp.com"
    assert outcome["uploads"][0]["sent"]["sha256"] == "11"
    assert outcome["uploads"][0]["forwarded"] == {
        "sha256": "22",
        "size_bytes": 9,
        "media_type": "image/png",
        "width": 8,
        "height": 8,
    }
    assert (outcome["revised_prompts"], outcome["revised_labels"]) == (["a fox"], ["for someone@example.com", ""])
    whole = json.dumps([intent, outcome])
    assert CANARY.decode() not in whole
    assert base64.b64encode(CANARY).decode() not in whole


async def test_a_body_for_which_there_was_no_room_is_recorded_as_that(recorder, audit):
    with pytest.raises(RateLimited):
        async with recorder.open(ALICE, call(error=RateLimited("full"))):
            pytest.fail("nothing was read")
    page = await audit.search(Query(), searched_by=Subject(actor="t", display="t"))
    (row,) = [row for row in page.rows if row.action == "image:edit"]
    assert (row.effect, row.reasons) == (Effect.DENY, ("request.no-room",))


@pytest.fixture
def zero_retention(recorder, monkeypatch):
    """ALICE's group keeps nothing."""
    rules = KeepingRules(
        classes={"standard": 30, "abuse": 30, "zero": 30},
        groups=dict.fromkeys(ALICE.groups, "zero"),
        abuse_reasons=("content.",),
    )
    monkeypatch.setattr(recorder._keeping, "rules", lambda: rules)


async def test_zero_retention_keeps_the_envelope_and_nothing_that_opens(recorder, audit, zero_retention):
    with suppress(InvalidRequest):
        async with recorder.open(ALICE, call(EDIT)) as (record, _):
            raise InvalidRequest("to end it")
    with pytest.raises(ContentDestroyed):
        await contents(audit, record.request_id)
    page = await audit.search(Query(actor=ALICE.id), searched_by=Subject(actor="t"))
    assert [(row.action, row.effect, row.subject) for row in page.rows] == [("image:edit", "deny", None)]


async def test_abuse_is_kept_with_what_was_asked_even_under_zero_retention(recorder, audit, zero_retention):
    reason = Reason(code="content.violence", message="no")
    with suppress(ContentBlocked):
        async with recorder.open(ALICE, call(EDIT)) as (record, _):
            raise ContentBlocked("no", stage="input", reasons=(reason,))
    view = await audit.get(record.request_id, looked_by=Subject(actor="t"))
    assert [half.class_ for half in view.envelopes] == ["zero", "abuse"]


async def test_words_are_searchable_only_where_policy_says_so(recorder, audit, monkeypatch):
    for number, allowed in enumerate((False, True)):
        rules = KeepingRules(classes={"standard": 30, "abuse": 30, "zero": 30}, keyword_index=allowed)
        monkeypatch.setattr(recorder._keeping, "rules", lambda rules=rules: rules)
        with suppress(InvalidRequest):
            async with recorder.open(ALICE, call(replace(EDIT, prompt="a Zeppelin over the harbour"))):
                raise InvalidRequest("to end it")
        found = await audit.search(Query(word="zeppelin harbour", action="image:"), searched_by=Subject(actor="t"))
        assert len(found.rows) == number
