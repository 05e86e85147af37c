"""`imprimatur policy rollout` against a small gateway on loopback that answers as the real one does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app

TOKEN = "secret-token"  # of the little gateway here
STEP: dict[str, Any] = {
    "number": 7,
    "kind": "start",
    "revision": "ab" * 32,
    "groups": ["pilots"],
    "percent": 5.0,
    "steps": [25.0, 100.0],
    "actor": "company|bea\x1b[2J",
    "reason": "because",
    "at": "2026-11-26T12:00:00+00:00",
}


class Gateway(ThreadingHTTPServer):
    """Has a rollout, or none; what it was sent is in `seen`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, Any]] = []
        self.running: dict[str, Any] | None = STEP
        self.here: dict[str, Any] = {"step": 7, "error": ""}
        self.refuse = ""


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.seen.append((self.command, self.path, body))
        told: dict[str, Any] = {"running": self.server.running, "here": self.server.here, "history": []}
        status = 200
        if self.command == "POST":
            told = STEP | {"percent": (body or {}).get("percent", 5.0)}
            if self.server.refuse:
                status, told = 400, {"error": {"message": self.server.refuse}}
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer  # noqa: N815  # the names that the library calls

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def call(gateway: Gateway, *arguments: str) -> Result:
    url = f"http://127.0.0.1:{gateway.server_address[1]}"
    asked = ["policy", "rollout", *arguments, "--server", url, "--token-stdin"]
    return CliRunner().invoke(app, asked, input=f"{TOKEN}\n")


def test_status_says_for_whom_and_how_far_and_sends_nothing_strange_to_the_terminal(gateway: Gateway) -> None:
    told = call(gateway, "status")
    assert told.exit_code == 0, told.output
    assert "for group pilots, 5 % of all others" in told.output
    assert "approved further: 25 %, everybody" in told.output
    assert "\x1b" not in told.output
    gateway.here = {"step": 6, "error": "too slow here"}
    told = call(gateway, "status")
    assert (told.exit_code, "does not follow yet: too slow here" in told.output) == (1, True)
    assert json.loads(call(gateway, "status", "--json").output)["running"]["number"] == 7
    gateway.running = None
    assert (call(gateway, "status").output, call(gateway, "status").exit_code) == (
        "No rules are being rolled out.\n",
        0,
    )


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (("widen", "25"), {"percent": 25.0}),
        (("finish",), {}),
        (("withdraw",), {}),
    ],
)
def test_each_act_names_the_line_that_was_seen(gateway: Gateway, arguments: tuple[str, ...], sent: Any) -> None:
    told = call(gateway, *arguments, "--reason", "it went well")
    assert told.exit_code == 0, told.output
    assert gateway.seen[-1] == (
        "POST",
        f"/v1/policy/rollout/{arguments[0]}",
        {"after": 7, "reason": "it went well", **sent},
    )
    gateway.refuse = "25 % was not approved."
    told = call(gateway, *arguments, "--reason", "it went well")
    assert (told.exit_code, "was not approved" in told.output) == (2, True)
    gateway.running, count = None, len(gateway.seen)
    assert call(gateway, *arguments, "--reason", "it went well").exit_code == 2
    assert len(gateway.seen) == count + 1, "nothing was asked of a gateway without a rollout"
