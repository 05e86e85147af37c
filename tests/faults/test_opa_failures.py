"""An OPA server in every kind of trouble, from outside: the promised code, a record, nothing forwarded or charged.

The vectors are `tests/vectors/policy/opa-failures.json`; docs/explanation/failures.md has the same table in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.stack import Stack
from tests.support.image_server import ImageServerDouble
from tests.support.opa_process import OpaProcess
from tests.support.patience import UNHURRIED
from tests.support.person import PersonAt
from tests.support.policy import SHIPPED

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/policy/opa-failures.json").read_text())

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("opa-faults")]


@pytest.fixture(scope="module")
def opa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpaProcess]:
    folder = tmp_path_factory.mktemp("opa") / "policies"
    shutil.copytree(SHIPPED, folder)
    server = OpaProcess(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, opa: OpaProcess) -> Iterator[Stack]:
    """A gateway that asks that server."""
    policy = {
        "engine": "opa",
        "opa_url": opa.url,
        "opa_stale_minutes": 0.01,
        "reload_seconds": 0.1,
        "decision_timeout_seconds": 2,
        "breaker_failures": 1000,
    }
    with Stack(
        tmp_path_factory.mktemp("guarded"),
        say=lambda _: None,
        with_model=False,
        settings={**UNHURRIED, "policy": policy},
    ) as running:
        yield running


@contextlib.asynccontextmanager
async def stale(stack: Stack, alice: PersonAt) -> Any:
    """The gateway's rules have moved on, a while ago, and OPA's have not."""
    manifest = stack.policies / ".manifest"
    before = manifest.read_text()
    manifest.write_text(before.replace('"revision": "', '"revision": "new-'))
    try:
        for _ in range(300):
            ready = (await alice.client.get("/readyz")).json()
            if ready["parts"]["policy"] != "ok":
                break
            await asyncio.sleep(0.1)
        yield
    finally:
        manifest.write_text(before)
        for _ in range(300):
            if (await alice.client.get("/readyz")).json()["parts"]["policy"] == "ok":
                break
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])
async def test_it_is_a_recorded_no_and_nothing_is_forwarded_or_charged(
    guarded: Stack, opa: OpaProcess, vector: dict[str, Any]
) -> None:
    async with ImageServerDouble(guarded.model_port) as server, PersonAt(guarded, "alice") as alice:
        before = await alice.credits()
        if vector["fault"] == "stale":
            async with stale(guarded, alice):
                answer = await alice.generate("a fox", size="auto")
        else:
            with opa.down() if vector["fault"] == "down" else opa.fault(vector["fault"]):
                answer = await alice.generate("a fox", size="auto")
        assert (answer.status_code, answer.json()["error"]["code"]) == (vector["status"], vector["code"]), answer.text
        assert await alice.credits() == before
        assert server.requests == []
        async with PersonAt(guarded, "bob") as bob:
            row = await bob.effect_of(answer.headers["x-request-id"])
    assert (row["effect"], row["reasons"]) == (vector["effect"], [vector["reason"]])
