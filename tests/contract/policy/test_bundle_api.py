"""OPA's bundle and status APIs as the whole gateway serves them, and an OPA server that lives by them."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn

from gateway.policy.signing import SigningKey, make_key, verify
from gateway.policy.tarball import unpack
from gateway.vocabulary import Role
from tests.authz.bed import Bed, open_bed
from tests.authz.matrix import KEY as API_KEY
from tests.support.opa_sidecar import Sidecar
from tests.support.policy import SHIPPED, change

pytestmark = [pytest.mark.xdist_group("authz"), pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

PEM = make_key()
KEY = SigningKey(PEM, "policy-1")
TOKEN = "canary-" + "t" * 40
PATH = "/bundles/imprimatur.tar.gz"
BAD = "gateway/lib/bad.rego"
LIMITS = "gateway/config/limits/data.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped rules, those of the detectors too: a whole gateway runs on them."""
    target = tmp_path_factory.mktemp("rules") / "policies"
    shutil.copytree(SHIPPED, target)
    return target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> AsyncIterator[Bed]:
    state = tmp_path_factory.mktemp("bundles")
    (state / "signing.pem").write_bytes(PEM)
    (state / "token").write_text(TOKEN + "\n")
    policy = {
        "directory": folder,
        "reload_seconds": 0.1,
        "bundles": {
            "signing_key_path": state / "signing.pem",
            "key_id": "policy-1",
            "token_path": state / "token",
            "requests_per_minute": 10_000,
            "lag_seconds": 0.2,
        },
    }
    async with open_bed(state, policy) as bed:
        yield bed


@pytest.fixture
def desk(bed: Bed) -> Any:
    assert bed.services.bundles is not None
    return bed.services.bundles


async def ask(bed: Bed, path: str = PATH, token: str = TOKEN, **headers: str) -> httpx.Response:
    async with bed.client() as client:
        auth = {"authorization": f"Bearer {token}"} if token else {}
        return await client.get(path, headers={**auth, **{k.replace("_", "-"): v for k, v in headers.items()}})


async def tell(bed: Bed, report: object, path: str = "/status", token: str = TOKEN) -> httpx.Response:
    async with bed.client() as client:
        return await client.post(path, json=report, headers={"authorization": f"Bearer {token}"})


async def metric(bed: Bed, name: str) -> float:
    async with bed.client() as client:
        text = (await client.get("/metrics")).text
    found = re.search(rf"^imprimatur_policy_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def edit(bed: Bed, folder: Path, desk: Any, text: str) -> str:
    """Another revision in force; its name."""
    before = desk.publisher.current.etag
    path = folder / LIMITS
    path.write_text(path.read_text() + f"# {text}\n")
    found = await desk.publisher.other_than(before, 60)
    assert found is not None, desk.publisher.reloader.error
    return str(found.revision)


async def test_the_bundle_is_the_rules_in_force_and_verifies(bed: Bed) -> None:
    answer = await ask(bed)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/gzip")
    found = verify(unpack(answer.content), {"policy-1": KEY.public_pem}, now=datetime.now(UTC))
    assert found.revision == bed.services.policy.revision


async def test_who_has_it_already_is_told_so_in_a_few_bytes(bed: Bed) -> None:
    etag = (await ask(bed)).headers["etag"]
    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}'):
        answer = await ask(bed, if_none_match=known)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    for unknown in ('"other"', etag[:-2] + '"', "*junk"):
        assert (await ask(bed, if_none_match=unknown)).status_code == 200


async def test_a_long_poll_is_answered_with_the_change(bed: Bed, folder: Path, desk: Any) -> None:
    prefer = "modes=snapshot,delta;wait=60"
    first = await ask(bed, prefer=prefer)
    assert first.headers["content-type"] == "application/vnd.openpolicyagent.bundles"
    waiting = asyncio.create_task(ask(bed, prefer=prefer, if_none_match=first.headers["etag"]))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    revision = await edit(bed, folder, desk, "long poll")
    answer = await asyncio.wait_for(waiting, 30)
    assert answer.status_code == 200
    assert verify(unpack(answer.content), {"policy-1": KEY.public_pem}, now=datetime.now(UTC)).revision == revision


async def test_a_long_poll_without_a_change_ends_in_time(bed: Bed) -> None:
    etag = (await ask(bed)).headers["etag"]
    answer = await asyncio.wait_for(ask(bed, prefer="wait=1", if_none_match=etag), 20)
    assert answer.status_code == 304


@pytest.mark.parametrize("token", ["", "wrong" * 10, TOKEN + "x", TOKEN[:-1], "é" * 40])
async def test_without_the_token_there_is_no_bundle_and_no_report(bed: Bed, token: str) -> None:
    headers = {"authorization": f"Bearer {token}".encode()} if token else {}
    async with bed.client() as client:
        for answer in (await client.get(PATH, headers=headers), await client.post("/status", json={}, headers=headers)):
            assert answer.status_code == 401
            assert "canary" not in answer.text
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_token_is_a_bearers(bed: Bed) -> None:
    async with bed.client() as client:
        for scheme, status in (("bearer", 200), ("Basic", 401), ("", 401)):
            answer = await client.get(PATH, headers={"authorization": f"{scheme} {TOKEN}".strip()})
            assert answer.status_code == status, scheme


@pytest.mark.parametrize("caller", [Role.ADMIN.value, Role.POLICY_APPROVER.value, API_KEY])
async def test_nobodys_session_or_key_opens_them(bed: Bed, caller: str) -> None:
    headers = await bed.headers(caller)
    async with bed.client() as client:
        assert (await client.get(PATH, headers=headers)).status_code == 401
        assert (await client.post("/status", json={}, headers=headers)).status_code == 401


async def test_the_token_opens_nothing_else(bed: Bed) -> None:
    async with bed.client() as client:
        for path in ("/v1/models", "/v1/organization/audit_logs", "/v1/session"):
            assert (await client.get(path, headers={"authorization": f"Bearer {TOKEN}"})).status_code == 401


async def test_another_name_is_not_there(bed: Bed) -> None:
    for path in ("/bundles/other.tar.gz", "/bundles/..%2f..%2fetc%2fpasswd.tar.gz"):
        assert (await ask(bed, path)).status_code == 404


async def test_too_many_requests_wait_the_wrong_tokens_too(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "signing.pem").write_bytes(PEM)
    (tmp_path / "token").write_text(TOKEN)
    paths = {"signing_key_path": tmp_path / "signing.pem", "key_id": "policy-1", "token_path": tmp_path / "token"}
    async with open_bed(tmp_path, {"directory": folder, "bundles": {**paths, "requests_per_minute": 3}}) as small:
        codes = [(await ask(small, token="wrong" * 10)).status_code for _ in range(3)]
        assert codes == [401] * 3
        answer = await ask(small)
        assert (answer.status_code, "retry-after" in answer.headers) == (429, True)


async def test_without_a_key_nothing_is_served(tmp_path: Path) -> None:
    async with open_bed(tmp_path) as plain:
        assert plain.services.bundles is None
        assert (await ask(plain)).status_code == 404
        assert (await tell(plain, {})).status_code == 404


@pytest.mark.parametrize(
    ("bundles", "says"),
    [
        ({"key_id": ""}, "needs an id"),
        ({"token_path": None}, "token_path must be given"),
        ({"token_path": "short"}, "at least 32 characters"),
        ({"signing_key_path": "token"}, "no unencrypted private key"),
    ],
)
async def test_a_gateway_that_can_not_sign_does_not_start(
    tmp_path: Path, folder: Path, bundles: dict[str, Any], says: str
) -> None:
    (tmp_path / "signing.pem").write_bytes(PEM)
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "short").write_text("short")
    section = {"signing_key_path": "signing.pem", "key_id": "policy-1", "token_path": "token", **bundles}
    section = {k: tmp_path / v if k.endswith("_path") and v else v for k, v in section.items()}
    with pytest.raises(ValueError, match=says):
        async with open_bed(tmp_path, {"directory": folder, "bundles": section}):
            pass


async def test_opa_is_not_asked_by_rules_of_ours_that_nobody_signs(tmp_path: Path) -> None:
    policy = {"engine": "opa", "opa_url": "http://127.0.0.1:9", "opa_rules_from": "gateway"}
    with pytest.raises(ValueError, match="signing_key_path must be given"):
        async with open_bed(tmp_path, policy):
            pass


@pytest.mark.parametrize("body", [[], {}, {"labels": {}}, "text", None])
async def test_what_is_no_report_is_refused(bed: Bed, body: object) -> None:
    answer = await tell(bed, body)
    assert answer.status_code == 400
    assert "no status report" in answer.json()["error"]["message"]


async def test_a_report_without_end_is_refused(bed: Bed) -> None:
    assert (await tell(bed, {"labels": {"id": "x" * (300 << 10)}})).status_code == 413


async def test_a_server_that_lags_raises_the_alarm_by_metric(bed: Bed, folder: Path, desk: Any) -> None:
    def report(revision: str) -> dict[str, Any]:
        return {"labels": {"id": "slow-one"}, "bundles": {"imprimatur": {"active_revision": revision}}}

    assert (await tell(bed, report(desk.publisher.current.revision), "/status/partition")).status_code == 204
    assert await metric(bed, 'opa_servers{state="current"}') == 1
    new = await edit(bed, folder, desk, "lag")
    await asyncio.sleep(0.3)
    assert await metric(bed, 'opa_servers{state="lagging"}') == 1
    assert await metric(bed, "opa_lag_seconds") >= 0.2
    await tell(bed, report(new))
    assert await metric(bed, 'opa_servers{state="lagging"}') == 0
    assert await metric(bed, "opa_lag_seconds") == 0


async def test_each_bundle_is_on_record_before_it_is_handed_out(bed: Bed, folder: Path, desk: Any) -> None:
    headers = await bed.headers(Role.AUDITOR.value)

    async def told() -> int:
        async with bed.client() as client:
            answer = await client.get("/v1/organization/audit_logs?limit=100", headers=headers)
        return [event["type"] for event in answer.raise_for_status().json()["data"]].count("policy:bundle:publish")

    before = await told()
    assert before >= 1
    await edit(bed, folder, desk, "recorded")
    assert await told() == before + 1


async def test_an_opa_server_follows_the_rules_in_force(bed: Bed, folder: Path, desk: Any) -> None:
    """Over real HTTP: it fetches, verifies, activates, reports; and what it can not verify it does not take."""
    server = uvicorn.Server(uvicorn.Config(bed.app, port=0, log_level="error", lifespan="off", access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    trusting, doubting = [
        await asyncio.to_thread(Sidecar, url, token=TOKEN, key_id="policy-1", public_pem=pem)
        for pem in (KEY.public_pem, SigningKey(make_key(), "x").public_pem)
    ]
    try:
        await asyncio.to_thread(trusting.wait_for, desk.publisher.current.revision)
        revision = await edit(bed, folder, desk, "for opa")
        await asyncio.to_thread(trusting.wait_for, revision, 10)
        change(folder, {BAD: "package gateway.lib\n\nx := http.send({})\n"})
        while not desk.publisher.reloader.error:
            await asyncio.sleep(0.05)
        assert await asyncio.to_thread(trusting.revision) == revision, "refused rules reach no server"
        assert await asyncio.to_thread(doubting.revision) == "", "a signature of an unknown key is none"
    finally:
        change(folder, {BAD: None})
        for sidecar in (trusting, doubting):
            await asyncio.to_thread(sidecar.stop)
        server.should_exit = True
        await serving
