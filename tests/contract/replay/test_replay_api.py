"""Replays, previews and shadows asked of a whole gateway: what it kept of real requests, and what other rules say."""

from __future__ import annotations

import asyncio
import base64
import shutil
import sqlite3
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml

from gateway.policy.bundle import read_bundle
from gateway.policy.engine import EntryPoint
from tests.authz.bed import Bed, open_bed

pytestmark = [pytest.mark.xdist_group("authz"), pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SHIPPED = Path(__file__).resolve().parents[3] / "policies"
LIMITS = "gateway/config/limits/data.yaml"
CANARY = "a heron in a fog of zirconium"


def encoded(files: Mapping[str, bytes]) -> dict[str, str]:
    wanted = (".rego", "data.yaml", ".manifest", "capabilities.json")
    return {path: base64.b64encode(data).decode() for path, data in files.items() if path.endswith(wanted)}


def changed(limits: Mapping[str, Any]) -> dict[str, str]:
    """The shipped rules with other limits, as the API takes them."""
    files = dict(read_bundle(SHIPPED).files)
    files[LIMITS] = yaml.safe_dump({**yaml.safe_load(files[LIMITS]), **limits}).encode()
    return encoded(files)


def one_picture() -> dict[str, str]:
    limits = yaml.safe_load((SHIPPED / LIMITS).read_text())
    return changed({"images_per_request": dict.fromkeys(limits["images_per_request"], 1)})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """A gateway that was asked for pictures by two people; its image server is away, which rules don't care about."""
    state = tmp_path_factory.mktemp("replay")
    shutil.copytree(SHIPPED, state / "policies")
    async with open_bed(state, {"directory": state / "policies"}) as bed:
        for name, n in (("ann", 1), ("ann", 2), ("bob", 2), ("bob", 10)):
            await ask(bed, name, n)
        yield bed


async def ask(bed: Bed, name: str, n: int) -> httpx.Response:
    headers = await bed.sign_in(name, "employee")
    async with bed.client() as client:
        return await client.post("/v1/images/generations", json={"prompt": CANARY, "n": n}, headers=headers)


async def call(bed: Bed, method: str, path: str, body: object | None = None, who: str = "policy-author") -> Any:
    headers = {"accept": "application/json", **await bed.headers(who)}
    async with bed.client() as client:
        return await client.request(method, f"/v1/policy{path}", json=body, headers=headers)


async def replayed(bed: Bed, body: Mapping[str, Any]) -> dict[str, Any]:
    started = await call(bed, "POST", "/replays", body)
    assert started.status_code == 202, started.text
    while True:
        told = (await call(bed, "GET", f"/replays/{started.json()['id']}")).json()
        if told["status"] not in ("waiting", "running"):
            return dict(told)
        await asyncio.sleep(0.1)


async def test_a_tighter_limit_is_replayed_on_what_people_did(bed):
    told = await replayed(bed, {"files": one_picture()})
    assert told["status"] == "done", told
    report = told["report"]
    denied = {row["id"]: row["newly_denied"] for row in report["people"]}
    assert (denied["company|ann"], denied["company|bob"]) == (1, 1)  # bob's other one was refused anyway
    assert report["newly_denied"] == sum(denied.values())
    assert report["replayable"]["share"] == 1
    assert report["replayable"]["recorded_differently"] == 0
    moved = {row["code"]: (row["before"], row["after"]) for row in report["reasons"]}
    assert moved["count.not-permitted"] == (1, 1 + report["newly_denied"])
    (why,) = report["samples"][0]["explanation"]["reasons"]
    assert why["code"] == "count.not-permitted"
    assert why["conditions"][0]["facts"] == [{"name": "input.resource.n", "missing": False, "value": 2}]
    assert CANARY not in str(told)


async def test_the_rules_in_force_change_nothing(bed):
    report = (await replayed(bed, {"files": encoded(read_bundle(SHIPPED).files)}))["report"]
    assert report["decisions"] > 0
    assert report["people_affected"] == 0
    assert all(row["from"] == row["to"] for row in report["effects"])


async def test_two_drafts_are_held_against_each_other(bed):
    report = (await replayed(bed, {"files": encoded(read_bundle(SHIPPED).files), "against": {"files": one_picture()}}))[
        "report"
    ]
    assert report["newly_allowed"] >= 2
    assert report["replayable"]["recorded_differently"] > 0


async def test_rules_that_do_not_load_are_told_with_their_place(bed):
    files = one_picture()
    files["gateway/lib/lib.rego"] = base64.b64encode(b"package gateway.lib\n\nreason(\n").decode()
    told = await replayed(bed, {"files": files})
    assert told["status"] == "failed"
    assert told["problems"][0]["path"] == "gateway/lib/lib.rego"
    assert told["problems"][0]["line"] >= 3


async def test_a_past_decision_is_explained_by_its_id(bed):
    answer = await ask(bed, "dora", 2)
    request_id = answer.headers["x-request-id"]
    told = await call(bed, "POST", "/previews", {"files": one_picture(), "request_id": request_id, "stage": "request"})
    assert told.status_code == 200, told.text
    told = told.json()
    assert told["baseline"]["effect"] == "allow"
    assert told["candidate"]["effect"] == "deny"
    assert [reason["code"] for reason in told["candidate"]["reasons"]] == ["count.not-permitted"]
    assert told["input"]["request_id"] == request_id


async def test_a_written_input_is_explained_and_says_which_facts_are_missing(bed):
    told = (await call(bed, "POST", "/previews", {"files": one_picture(), "input": {"version": 1}})).json()
    assert told["candidate"]["effect"] == "deny"
    assert "subject.roles" in told["candidate"]["missing_facts"]


async def test_an_unknown_request_and_a_question_without_one_are_refused(bed):
    unknown = await call(bed, "POST", "/previews", {"files": one_picture(), "request_id": "0" * 36})
    assert unknown.status_code == 404
    assert (await call(bed, "POST", "/previews", {"files": one_picture()})).status_code == 400


async def test_rules_are_files_or_a_draft_or_a_revision_and_one_of_them(bed):
    both = {"files": one_picture(), "draft": "x"}
    for body, status in (({}, 400), (both, 400), ({"draft": "x"}, 404), ({"revision": "0" * 64}, 404)):
        assert (await call(bed, "POST", "/replays", body)).status_code == status
        assert (await call(bed, "PUT", "/shadow", body)).status_code == status


async def test_paths_that_lead_elsewhere_are_refused(bed):
    answer = await call(bed, "POST", "/replays", {"files": {"../x.rego": "e30="}})
    assert answer.status_code == 400
    assert (await call(bed, "POST", "/replays", {"files": {"x.rego": "%%"}})).status_code == 400


async def test_a_shadow_sees_live_decisions_and_changes_none(bed):
    started = await call(bed, "PUT", "/shadow", {"files": one_picture()})
    assert started.status_code == 200, started.text
    before = await ask(bed, "cleo", 2)
    await asyncio.wait_for(bed.services.replaying.shadows.current.settle(), 30)
    told = (await call(bed, "GET", "/shadow")).json()
    assert before.status_code == 503  # not 403: what decided was what is in force, and the image server is away
    assert told["changes"]["newly_denied"] >= 1
    assert any(sample["person"] == "company|cleo" for sample in told["samples"])
    async with bed.client() as client:
        metrics = (await client.get("/metrics")).text
    assert 'imprimatur_policy_shadow_decisions{outcome="different"}' in metrics
    assert (await call(bed, "DELETE", "/shadow")).json()["compared"] >= told["compared"]
    assert (await call(bed, "GET", "/shadow")).status_code == 404


async def test_each_start_is_on_record(bed):
    await replayed(bed, {"files": one_picture(), "days": 3})
    headers = await bed.headers("auditor")
    async with bed.client() as client:
        found = await client.get(
            "/v1/organization/audit_logs", params={"event_types[]": "policy:replay:start"}, headers=headers
        )
    assert found.status_code == 200, found.text
    assert "policy:replay:start" in found.text


async def test_what_is_kept_holds_neither_prompts_nor_names_in_the_clear(bed, tmp_path):
    await bed.services.replaying.journal.flush()
    path = bed.services.settings.database_url.removeprefix("sqlite+aiosqlite:///")
    with sqlite3.connect(path) as database:
        pages = b"".join(row[0] for row in database.execute("select sealed from replay_pages"))
    assert len(pages) > 100
    assert b"company|ann" not in pages
    journal = bed.services.replaying.journal
    text = b"\n".join([page async for page in journal.pages(7)])
    assert b"company|ann" in text
    assert CANARY.encode() not in text
    assert b"heron" not in text


async def test_a_shadow_that_disagrees_too_often_is_a_metric_and_a_record(bed):
    assert (await call(bed, "PUT", "/shadow", {"files": one_picture()})).status_code == 200
    seen: list[Any] = []
    engine = bed.services.policy._engine
    engine.watchers.append(lambda *told: seen.append(told))
    await ask(bed, "eve", 2)
    engine.watchers.pop()
    shadow = bed.services.replaying.shadows.current
    for _ in range(120):
        shadow.saw(*next(told for told in seen if told[0] is EntryPoint.IMAGE))
    await asyncio.wait_for(shadow.settle(), 60)
    assert shadow.alarmed
    async with bed.client() as client:
        assert "imprimatur_policy_shadow_alarms_total 1.0" in (await client.get("/metrics")).text
        for _ in range(50):
            found = await client.get(
                "/v1/organization/audit_logs",
                params={"event_types[]": "policy:shadow:alarm"},
                headers=await bed.headers("auditor"),
            )
            if "policy:shadow:alarm" in found.text:
                break
            await asyncio.sleep(0.1)
    assert "policy:shadow:alarm" in found.text
    await call(bed, "DELETE", "/shadow")


async def test_nobody_without_the_permission_sees_a_report(bed):
    for who in ("employee", "admin", "auditor", "billing"):
        assert (await call(bed, "GET", "/replays", who=who)).status_code == 403
        assert (await call(bed, "POST", "/replays", {"files": one_picture()}, who=who)).status_code == 403


async def test_a_replay_can_be_cancelled(bed):
    started = (await call(bed, "POST", "/replays", {"files": one_picture()})).json()
    told = (await call(bed, "DELETE", f"/replays/{started['id']}")).json()
    assert told["status"] == "cancelled"
    assert (await call(bed, "GET", "/replays/none")).status_code == 404


async def test_a_sweep_takes_out_what_was_erased(bed):
    answer = await ask(bed, "fay", 1)
    replaying = bed.services.replaying
    await replaying.journal.flush()
    request_id = answer.headers["x-request-id"]
    assert await replaying.journal.find(request_id)
    bed.services.audit.governance.erased.add([uuid.UUID(request_id).bytes], bed.services.clock())
    await replaying.sweep()
    assert await replaying.journal.find(request_id) is None
