"""An OPA-shaped HTTP server over a real engine, with faults to order. A program of its own:

    python tests/support/opa_server.py --directory policies --port 0 [--engine oracle|embedded]

prints `ready PORT ENGINE` and serves, as OPA does: `POST /v1/data/<path>` with `strict-builtin-errors` and
`provenance`, and `GET /health`. The engine `oracle` is OPA itself as a library (`opa-golib-python-bindings`); it is
loaded here and never in the test process, because a Go runtime doesn't survive a fork. `embedded` is the fallback
where that package isn't installed; the shape is then still OPA's, the answers are the embedded engine's.

For tests only: `PUT /fault/<kind>` makes every answer go wrong until `DELETE /fault`, `POST /load` reads the folder
again, `GET /seen` tells what the last question looked like.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

VERSION = "1.20.0"
ALLOW = {"effect": "allow", "reasons": [], "obligations": {}}


class Rules:
    """What the folder held when it was last read, in an engine."""

    def __init__(self, directory: Path, engine: str) -> None:
        self.directory = directory
        self.engine = engine
        self.ask: Callable[[str, Any], Any]
        self.revision = ""
        self.load()

    def load(self) -> None:
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


def _ill_formed(kind: str) -> web.Response | None:
    """Answers that are wrong in themselves."""
    bodies: dict[str, web.Response] = {
        "500": web.json_response({"code": "internal_error", "message": "eval_conflict_error: alice@corp"}, status=500),
        "503": web.json_response({"code": "unavailable"}, status=503),
        "401": web.json_response({"code": "unauthorized"}, status=401),
        "404": web.json_response({"code": "not_found"}, status=404),
        "redirect": web.Response(status=307, headers={"location": "/yes"}),
        "undefined": web.json_response({"decision_id": "d"}),
        "null": web.json_response({"result": None}),
        "boolean": web.json_response({"result": True}),
        "text": web.json_response({"result": "allow"}),
        "list": web.json_response([{"result": ALLOW}]),
        "number-for-effect": web.json_response({"result": {**ALLOW, "effect": 1}}),
        "unknown-effect": web.json_response({"result": {**ALLOW, "effect": "permit"}}),
        "unknown-obligation": web.json_response({"result": {**ALLOW, "obligations": {"notify": ["ciso"]}}}),
        "unknown-key": web.json_response({"result": {**ALLOW, "allow": True}}),
        "no-effect": web.json_response({"result": {"reasons": [], "obligations": {}}}),
        "bad-json": web.Response(text='{"result": {"effect": "allow"', content_type="application/json"),
        "html": web.Response(text="<html>proxy error</html>", content_type="text/html"),
        "garbage": web.Response(body=bytes(range(256)), content_type="application/json"),
        "empty": web.Response(body=b"", content_type="application/json"),
    }
    return bodies.get(kind)


def build(rules: Rules) -> web.Application:
    """The application."""
    state: dict[str, Any] = {"fault": "", "seen": {}, "healthy": True}

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
        if answer := _ill_formed(fault):
            return answer
        try:
            answer_body = rules.ask(request.match_info["path"].replace("/", "."), body["input"])
        except Exception as error:
            return web.json_response({"code": "internal_error", "message": str(error)}, status=500)
        if request.query.get("provenance") == "true":
            bundles = {"imprimatur": {"revision": rules.revision}}
            answer_body["provenance"] = {"version": VERSION, "build_commit": "", "bundles": bundles}
        return web.json_response(answer_body)

    async def health(request: web.Request) -> web.Response:
        asked = request.query.get("bundles") == "true"
        return web.json_response({}, status=200 if asked and state["fault"] not in ("unhealthy", "503") else 500)

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


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--engine", choices=["oracle", "embedded"])
    arguments = parser.parse_args()
    engine = arguments.engine or ("oracle" if importlib.util.find_spec("opa_bindings") else "embedded")
    runner = web.AppRunner(build(Rules(arguments.directory, engine)), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", arguments.port)
    await site.start()
    port = runner.addresses[0][1]
    print(f"ready {port} {engine}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
