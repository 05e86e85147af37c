"""An OPA-shaped HTTP server over a real engine, with faults to order. A program of its own:

    python -m tests.support.opa_server --directory policies --port 0 [--engine oracle|embedded]

prints `ready PORT ENGINE` and serves, as OPA does: `POST /v1/data/<path>` with `strict-builtin-errors` and
`provenance`, and `GET /health`. The engine `oracle` is OPA itself as a library (`opa-golib-python-bindings`); it is
loaded here and never in the test process, because a Go runtime doesn't survive a fork. `embedded` is the fallback
where that package isn't installed; the shape is then still OPA's, the answers are the embedded engine's.

With `--bundle-url` it has no folder: it fetches a signed bundle as an OPA does (ETag, long poll, token, verification
with an explicit key), activates what verifies, keeps what it has otherwise, and reports to `POST /status`.

For tests only: `PUT /fault/<kind>` makes every answer go wrong until `DELETE /fault`, `PUT /confirmed/<time>` sets when
`/v1/status` says that the bundle was last confirmed, `POST /load` reads the folder again, `GET /seen` tells what the
last question looked like.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from gateway.policy.bundle import BundleRefused
from gateway.policy.signing import verify
from gateway.policy.tarball import unpack

VERSION = "1.20.0"
ALLOW = {"effect": "allow", "reasons": [], "obligations": {}}


class Rules:
    """What the folder held when it was last read, in an engine."""

    def __init__(self, directory: Path | None, engine: str) -> None:
        self.directory = directory
        self.engine = engine
        self.ask: Callable[[str, Any], Any] = lambda path, document: {}
        self.revision = ""
        if directory is not None:
            self.load()

    def take(self, files: dict[str, bytes], revision: str) -> None:
        """Rules of an unpacked bundle."""
        modules = {path: text.decode() for path, text in files.items() if path.endswith(".rego")}
        self.ask = (_oracle if self.engine == "oracle" else _embedded)(modules, {(): json.loads(files["data.json"])})
        self.revision = revision

    def load(self) -> None:
        if self.directory is None:
            return
        root = self.directory
        self.revision = json.loads((root / ".manifest").read_text())["revision"]
        modules = {p.relative_to(root).as_posix(): p.read_text() for p in sorted(root.rglob("*.rego"))}
        data = {p.relative_to(root).parent.parts: yaml.safe_load(p.read_text()) for p in root.rglob("data.yaml")}
        self.ask = (_oracle if self.engine == "oracle" else _embedded)(modules, data)


def _oracle(modules: dict[str, str], data: dict[tuple[str, ...], Any]) -> Callable[[str, Any], Any]:
    from opa_bindings import OpaEngine
    from opa_bindings.engine import OpaUndefinedError

    engine = OpaEngine()
    for path, text in modules.items():
        engine.add_policy(path, text)
    for place, value in data.items():
        engine.add_data(value, path=".".join(place))

    def ask(path: str, document: Any) -> Any:
        try:
            return {"result": engine.eval_document(path, document)}
        except OpaUndefinedError:
            return {}

    return ask


def _embedded(modules: dict[str, str], data: dict[tuple[str, ...], Any]) -> Callable[[str, Any], Any]:
    import regorus

    engine = regorus.Engine()
    for path, text in modules.items():
        engine.add_policy(path, text)
    for place, value in data.items():
        for part in reversed(place):
            value = {part: value}
        engine.add_data(value)

    def ask(path: str, document: Any) -> Any:
        engine.set_input(document)
        answer = json.loads(engine.eval_rule_as_json(f"data.{path}"))
        return {} if answer == "<undefined>" else {"result": answer}

    return ask


def _ill_formed(kind: str, told: dict[str, Any]) -> web.Response | None:
    """Answers that are wrong in themselves. `told` stands beside a result, as it does beside a good one."""
    bodies: dict[str, web.Response] = {
        "500": web.json_response({"code": "internal_error", "message": "eval_conflict_error: alice@corp"}, status=500),
        "503": web.json_response({"code": "unavailable"}, status=503),
        "401": web.json_response({"code": "unauthorized"}, status=401),
        "404": web.json_response({"code": "not_found"}, status=404),
        "redirect": web.Response(status=307, headers={"location": "/yes"}),
        "undefined": web.json_response({"decision_id": "d", **told}),
        "null": web.json_response({"result": None, **told}),
        "boolean": web.json_response({"result": True, **told}),
        "text": web.json_response({"result": "allow", **told}),
        "list": web.json_response([{"result": ALLOW}]),
        "number-for-effect": web.json_response({"result": {**ALLOW, "effect": 1}, **told}),
        "unknown-effect": web.json_response({"result": {**ALLOW, "effect": "permit"}, **told}),
        "unknown-obligation": web.json_response({"result": {**ALLOW, "obligations": {"notify": ["ciso"]}}, **told}),
        "huge": web.Response(
            body=b" " * (8 << 20) + json.dumps({"result": ALLOW, **told}).encode(), content_type="application/json"
        ),
        "unknown-key": web.json_response({"result": {**ALLOW, "allow": True}, **told}),
        "no-effect": web.json_response({"result": {"reasons": [], "obligations": {}}, **told}),
        "bad-json": web.Response(text='{"result": {"effect": "allow"', content_type="application/json"),
        "json-as-html": web.Response(text=json.dumps({"result": ALLOW, **told}), content_type="text/html"),
        "202": web.json_response({"result": ALLOW, **told}, status=202),
        "html": web.Response(text="<html>proxy error</html>", content_type="text/html"),
        "garbage": web.Response(body=bytes(range(256)), content_type="application/json"),
        "empty": web.Response(body=b"", content_type="application/json"),
    }
    return bodies.get(kind)


def build(rules: Rules) -> web.Application:
    """The application."""
    state: dict[str, Any] = {"fault": "", "seen": {}, "confirmed": ""}

    async def decide(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        state["seen"] = {"query": dict(request.query), "headers": dict(request.headers), "body": body}
        fault = state["fault"]
        if fault == "hang":
            await asyncio.sleep(30)
        if fault == "cut-off" and request.transport is not None:
            request.transport.abort()
        if fault == "drip":
            return await _drip(request)
        revision = "somebody-elses" if fault == "wrong-revision" else rules.revision
        bundles = {} if fault == "no-revision" else {"imprimatur": {"revision": revision}}
        told = {"provenance": {"version": VERSION, "build_commit": "", "bundles": bundles}}
        told = told if request.query.get("provenance") == "true" else {}
        if answer := _ill_formed(fault, told):
            return answer
        try:
            answer_body = rules.ask(request.match_info["path"].replace("/", "."), body["input"])
        except Exception as error:
            return web.json_response({"code": "internal_error", "message": str(error)}, status=500)
        return web.json_response({**answer_body, **told})

    async def health(request: web.Request) -> web.Response:
        asked = request.query.get("bundles") == "true"
        return web.json_response({}, status=200 if asked and state["fault"] not in ("unhealthy", "503") else 500)

    async def status(_: web.Request) -> web.Response:
        if not state["confirmed"]:
            return web.json_response({"code": "internal_error"}, status=500)
        bundle = {"name": "imprimatur", "active_revision": rules.revision}
        bundle["last_successful_request"] = state["confirmed"]
        return web.json_response({"result": {"bundles": {"imprimatur": bundle}}})

    async def confirm(request: web.Request) -> web.Response:
        state["confirmed"] = request.match_info["at"]
        return web.Response()

    async def order_fault(request: web.Request) -> web.Response:
        state["fault"] = request.match_info["kind"]
        return web.Response()

    async def mend(_: web.Request) -> web.Response:
        state["fault"] = ""
        return web.Response()

    async def load(_: web.Request) -> web.Response:
        rules.load()
        return web.Response()

    async def seen(_: web.Request) -> web.Response:
        return web.json_response(state["seen"])

    async def yes(_: web.Request) -> web.Response:
        return web.json_response({"result": ALLOW})

    app = web.Application()
    app.add_routes(
        [
            web.post("/v1/data/{path:.+}", decide),
            web.get("/health", health),
            web.get("/v1/status", status),
            web.put("/confirmed/{at}", confirm),
            web.put("/fault/{kind}", order_fault),
            web.delete("/fault", mend),
            web.post("/load", load),
            web.get("/seen", seen),
            web.route("*", "/yes", yes),
        ]
    )
    return app


async def _drip(request: web.Request) -> web.StreamResponse:
    """A good answer, a byte at a time: each byte resets a naive read timeout."""
    response = web.StreamResponse(headers={"content-type": "application/json"})
    await response.prepare(request)
    for byte in json.dumps({"result": ALLOW}).encode():
        await response.write(bytes([byte]))
        await asyncio.sleep(0.05)
    return response


async def _follow(rules: Rules, url: str, token: str, keys: dict[str, bytes]) -> None:
    """Fetch, verify, activate, report; again and again."""
    etag, wait = "", ""
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {token}"}) as session:
        while True:
            asked = {"prefer": f"modes=snapshot,delta{wait}", "if-none-match": etag}
            code = ""
            try:
                async with session.get(f"{url}/bundles/imprimatur.tar.gz", headers=asked) as answer:
                    body = await answer.read()
                    if answer.status == 200:
                        files = unpack(body)
                        rules.take(files, verify(files, keys, now=datetime.now(UTC)).revision)
                        etag, wait = answer.headers["etag"], ";wait=10"
                    elif answer.status != 304:
                        code = "bundle_error"
            except (BundleRefused, aiohttp.ClientError) as error:
                print(f"bundle {type(error).__name__}", file=sys.stderr, flush=True)
                code = "bundle_error"
            bundle = {"name": "imprimatur", "active_revision": rules.revision, **({"code": code} if code else {})}
            report = {"labels": {"id": "sidecar", "version": VERSION}, "bundles": {"imprimatur": bundle}}
            with contextlib.suppress(aiohttp.ClientError):
                await (await session.post(f"{url}/status", json=report)).release()
            if code:
                await asyncio.sleep(0.2)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--bundle-url", default="", help="address of the service whose bundle `imprimatur` to fetch")
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--key-id", default="")
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--engine", choices=["oracle", "embedded"])
    arguments = parser.parse_args()
    engine = arguments.engine or ("oracle" if importlib.util.find_spec("opa_bindings") else "embedded")
    rules = Rules(arguments.directory, engine)
    runner = web.AppRunner(build(rules), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", arguments.port)
    await site.start()
    port = runner.addresses[0][1]
    print(f"ready {port} {engine}", flush=True)
    if arguments.bundle_url:
        keys = {arguments.key_id: arguments.key_file.read_bytes()}
        await _follow(rules, arguments.bundle_url, arguments.token_file.read_text().strip(), keys)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
