"""What each part's failure does to a request: the promised code, a record, nothing forwarded, nothing charged."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sqlite3

import httpx
import pytest

from demo.idp.browserless import SignInStopped
from demo.stack import Stack
from tests.support import image_server as double
from tests.support.image_server import BROKEN, ImageServerDouble
from tests.support.patience import UNHURRIED
from tests.support.person import PersonAt

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("faults")]


async def row_of(crew, answer: httpx.Response) -> dict:
    async with PersonAt(crew, "bob") as bob:
        return await bob.effect_of(answer.headers["x-request-id"])


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_image_server_is_named_recorded_and_not_charged(crew, server, name):
    server.behaviour, code = BROKEN[name]
    async with PersonAt(crew, "alice") as alice:
        before = await alice.credits()
        answer = await alice.generate("a fox", size="auto")
        assert answer.status_code in (502, 503)
        assert answer.json()["error"]["code"] == code
        assert await alice.credits() == before
    assert (await row_of(crew, answer))["effect"] == "failed"


async def test_no_image_server_at_all(crew):
    async with PersonAt(crew, "alice") as alice:
        answer = await alice.generate("a fox", size="auto")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
        ready = await alice.client.get("/readyz")
    assert ready.status_code == 200, "without pictures there are still records, pages and refusals"
    assert ready.json()["parts"]["model_server"] == "not reachable"
    assert (await row_of(crew, answer))["reasons"] == ["model.unavailable"]


async def test_something_that_is_no_picture_is_not_delivered(crew, server):
    fake = base64.b64encode(b"<script>alert(1)</script>").decode()
    server.behaviour = double.saying({"data": [{"b64_json": fake}], "size": "32x32"})
    async with PersonAt(crew, "alice") as alice:
        before = await alice.credits()
        answer = await alice.generate("a fox", size="auto")
        assert answer.status_code in (400, 403), answer.text
        assert fake not in answer.text
        assert await alice.credits() == before
    assert (await row_of(crew, answer))["reasons"] == ["screening.unavailable"]


async def test_a_client_that_hangs_up_stops_the_model_and_pays_nothing(crew, server):
    server.behaviour = double.stall
    async with PersonAt(crew, "alice") as alice:
        before = await alice.credits()
        body = {"prompt": "a fox", "stream": True}
        async with alice.client.stream("POST", "/v1/images/generations", json=body, headers=alice.unsafe) as answer:
            request_id = answer.headers["x-request-id"]
            async for line in answer.aiter_lines():
                if line.startswith("event: image_generation.progress"):
                    break
        for _ in range(100):
            if server.gone:
                break
            await asyncio.sleep(0.05)
        assert server.gone >= 1
        async with PersonAt(crew, "bob") as bob:
            row = await bob.effect_of(request_id)
        assert (row["effect"], row["reasons"]) == ("cancelled", ["client.gone"])
        assert await alice.credits() == before


async def test_a_client_that_hangs_up_without_a_stream_is_noticed_too(crew, server):
    server.behaviour = double.stall
    async with PersonAt(crew, "alice") as alice:
        before = await alice.credits()
        with contextlib.suppress(httpx.ReadTimeout):
            await alice.client.post(
                "/v1/images/generations",
                json={"prompt": "a fox"},
                headers=alice.unsafe,
                timeout=httpx.Timeout(5, read=1),
            )
        for _ in range(100):
            if server.gone:
                break
            await asyncio.sleep(0.05)
        assert server.gone >= 1
        for _ in range(50):
            if await alice.credits() == before:
                break
            await asyncio.sleep(0.1)
        assert await alice.credits() == before


async def test_killed_between_intent_and_outcome_leaves_unknown_and_gives_the_credits_back(crew, server):
    server.behaviour = double.stall
    async with PersonAt(crew, "alice") as alice:
        before = await alice.credits()
        body = {"prompt": "a fox", "stream": True}
        request_id = ""
        with contextlib.suppress(httpx.HTTPError):
            async with alice.client.stream("POST", "/v1/images/generations", json=body, headers=alice.unsafe) as answer:
                request_id = answer.headers["x-request-id"]
                assert await alice.credits() == before - 1
                crew.gateway.kill()
        crew.restart_gateway()
        async with PersonAt(crew, "bob") as bob:
            row = await bob.effect_of(request_id)
        assert (row["effect"], row["reasons"]) == ("unknown", ["internal.crashed"])
        assert await alice.credits() == before


async def test_killed_between_outcome_and_settling_is_on_record_and_costs_nothing(crew, server):
    """The record says "delivered" and is durable; the database is busy, so the credits wait; then the power goes."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def wait_then_draw(double_, body, writer):
        asked.set()
        await may_answer.wait()
        await double.good(double_, body, writer)

    server.behaviour = wait_then_draw
    async with PersonAt(crew, "alice") as alice, PersonAt(crew, "bob") as bob:
        before = await alice.credits()
        drawing = asyncio.create_task(alice.generate("a fox", size="auto"))
        await asyncio.wait_for(asked.wait(), 20)
        with contextlib.closing(sqlite3.connect(crew.state / "gateway.sqlite", isolation_level=None)) as database:
            # Settling never ends. Reading goes on, and so does every other writing until then.
            database.execute(
                "create view endless as with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
            )
            database.execute(
                "create trigger slow_settling before insert on credit_entries when new.kind = 'settle'"
                " begin select max(i) from endless; end"
            )
            may_answer.set()
            rows = []
            for _ in range(100):
                rows = await bob.records(action="image:generate", who="canaille|alice")
                if rows and rows[0]["effect"]:
                    break
                await asyncio.sleep(0.03)
            crew.gateway.kill()
            database.execute("drop trigger slow_settling")
            database.execute("drop view endless")
        assert rows[0]["effect"] == "allow"
        with pytest.raises(httpx.HTTPError):
            await drawing
        crew.restart_gateway()
        assert await alice.credits() == before
        (told,) = [
            row for row in await bob.records(action="system:ledger:mend") if row["opened_at"] > rows[0]["opened_at"]
        ]
        assert told["reasons"] == ["credits.unsettled"]


async def test_rules_reload_without_a_restart_and_broken_ones_change_nothing(crew, server):
    networks = crew.policies / "gateway" / "config" / "networks" / "data.yaml"
    limits = crew.policies / "gateway" / "lib" / "lib.rego"
    original, rules = networks.read_text(), limits.read_text()
    async with PersonAt(crew, "alice") as alice:
        assert (await alice.generate("a fox", size="auto")).status_code == 200
        try:
            limits.write_text(rules + "\nthis is no rego {\n")
            await asyncio.sleep(2.5)
            assert (await alice.generate("a fox", size="auto")).status_code == 200, "broken rules must change nothing"
            limits.write_text(rules)
            networks.write_text(original.replace("0.0.0.0/0", "10.9.8.0/24").replace("::/0", "fd00::/8"))
            for _ in range(150):
                answer = await alice.generate("a fox", size="auto")
                if answer.status_code == 403:
                    break
                await asyncio.sleep(0.1)
            assert answer.status_code == 403, "an untrusted network must be refused"
        finally:
            networks.write_text(original)
            limits.write_text(rules)
        for _ in range(150):
            if (answer := await alice.generate("a fox", size="auto")).status_code == 200:
                break
            await asyncio.sleep(0.1)
        assert answer.status_code == 200


WRONG = {
    "no prompt": ({"n": 1}, "prompt"),
    "prompt is a number": ({"prompt": 5}, "prompt"),
    "prompt is empty": ({"prompt": ""}, "prompt"),
    "prompt is blank": ({"prompt": "   "}, "prompt"),
    "prompt of 33,000 characters": ({"prompt": "a" * 33_000}, "prompt"),
    "prompt with NUL": ({"prompt": "a\x00b"}, "prompt"),
    "prompt with bidi override": ({"prompt": "a\u202eb"}, "prompt"),
    "prompt with a lone surrogate": (b'{"prompt": "a\\ud800b"}', "prompt"),
    "n is zero": ({"prompt": "a", "n": 0}, "n"),
    "n is eleven": ({"prompt": "a", "n": 11}, "n"),
    "n is text": ({"prompt": "a", "n": "1"}, "n"),
    "n is true": ({"prompt": "a", "n": True}, "n"),
    "n is a fraction": ({"prompt": "a", "n": 1.5}, "n"),
    "size is absurd": ({"prompt": "a", "size": "99999x99999"}, "size"),
    "size is words": ({"prompt": "a", "size": "large"}, "size"),
    "size is a number": ({"prompt": "a", "size": 512}, "size"),
    "size is 17 wide": ({"prompt": "a", "size": "17x16"}, "size"),
    "size is a ribbon": ({"prompt": "a", "size": "1600x16"}, "size"),
    "size the model can't make": ({"prompt": "a", "size": "2048x2048"}, "size"),
    "model is unknown": ({"prompt": "a", "model": "dall-e-9"}, "model"),
    "model is a path": ({"prompt": "a", "model": "../../etc/passwd\n"}, "model"),
    "quality": ({"prompt": "a", "quality": "best"}, "quality"),
    "background": ({"prompt": "a", "background": "plaid"}, "background"),
    "output_format gif": ({"prompt": "a", "output_format": "gif"}, "output_format"),
    "output_compression": ({"prompt": "a", "output_compression": 101}, "output_compression"),
    "moderation": ({"prompt": "a", "moderation": "off"}, "moderation"),
    "stream is text": ({"prompt": "a", "stream": "yes"}, "stream"),
    "partial_images": ({"prompt": "a", "partial_images": 4}, "partial_images"),
    "response_format": ({"prompt": "a", "response_format": "file"}, "response_format"),
    "style": ({"prompt": "a", "style": "baroque"}, "style"),
    "seed": ({"prompt": "a", "seed": -1}, "seed"),
    "steps": ({"prompt": "a", "steps": 10_000}, "steps"),
    "guidance": ({"prompt": "a", "guidance": "high"}, "guidance"),
    "negative_prompt": ({"prompt": "a", "negative_prompt": ["x"]}, "negative_prompt"),
    "unknown field": ({"prompt": "a", "admin": True}, "admin"),
    "bad JSON": (b'{"prompt": "a"', None),
    "not UTF-8": (b'{"prompt": "\xff\xfe"}', None),
    "a list": (b"[1]", None),
    "nothing": (b"", None),
    "duplicate key": (b'{"prompt": "a", "prompt": "b"}', None),
    "NaN": (b'{"prompt": "a", "guidance": NaN}', None),
    "nested too deeply": (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
}


async def test_every_wrong_field_is_named_recorded_and_reaches_nobody(crew, server):
    async with PersonAt(crew, "alice") as alice, PersonAt(crew, "bob") as bob:
        before = await alice.credits()
        await alice.client.get("/v1/models")  # the catalogue is known from here on
        for name, (body, param) in WRONG.items():
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await alice.client.post(
                "/v1/images/generations", content=raw, headers={**alice.unsafe, "content-type": "application/json"}
            )
            error = answer.json()["error"]
            assert answer.status_code == 400, (name, answer.text)
            assert error["param"] == param, (name, error)
            assert error["type"] == "invalid_request_error", name
            row = await bob.effect_of(answer.headers["x-request-id"])
            assert (row["effect"], row["reasons"]) == ("deny", ["request.invalid"]), name
        assert await alice.credits() == before
    assert server.requests == []


async def test_oversize_and_mistyped_bodies_have_their_own_codes(crew, server):
    async with PersonAt(crew, "alice") as alice:
        large = await alice.client.post("/v1/images/generations", content=b"x" * (2 << 20), headers=alice.unsafe)

        async def endless():
            for _ in range(64):
                yield b"x" * 65_536

        chunked = await alice.client.post("/v1/images/generations", content=endless(), headers=alice.unsafe)
        form = await alice.client.post("/v1/images/generations", data={"prompt": "a"}, headers=alice.unsafe)
    assert [a.status_code for a in (large, chunked, form)] == [413, 413, 415]
    assert server.requests == []


async def test_the_provider_being_down_is_said_and_nobody_comes_in(crew):
    crew.idp.stop()
    try:
        with pytest.raises((SignInStopped, httpx.HTTPError)):
            async with PersonAt(crew, "alice"):
                pass
        async with httpx.AsyncClient(base_url=crew.url) as client:
            answer = await client.get("/auth/sign-in", headers={"accept": "application/json"}, follow_redirects=False)
        assert answer.status_code in (303, 503)
    finally:
        crew.idp.start().wait_ready()


@pytest.fixture
def refusing(tmp_path):
    """A gateway whose audit log takes no intents: the disk counts as full below 99.9 % free."""
    changes = {**UNHURRIED, "audit": {"disk_refuse_fraction": 0.999}}
    with Stack(tmp_path / "refusing", say=lambda _: None, with_model=False, settings=changes) as running:
        yield running


async def test_no_durable_intent_no_request(refusing):
    async with ImageServerDouble(refusing.model_port) as server, PersonAt(refusing, "alice") as alice:
        before = await alice.credits()
        answer = await alice.generate("a fox", size="auto")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
        assert await alice.credits() == before
        assert server.requests == []
        assert (await alice.client.get("/readyz")).json()["parts"]["audit"] != "ok"


@pytest.fixture
def without_opa(tmp_path):
    """A gateway that is told to ask an OPA server, where none is."""
    changes = {**UNHURRIED, "policy": {"engine": "opa", "opa_url": "http://127.0.0.1:9"}}
    with Stack(tmp_path / "no-opa", say=lambda _: None, with_model=False, settings=changes) as running:
        yield running


async def test_no_policy_engine_no_request(without_opa):
    async with ImageServerDouble(without_opa.model_port) as server, PersonAt(without_opa, "alice") as alice:
        answer = await alice.generate("a fox", size="auto")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "policy_unavailable")
        assert server.requests == []
