"""`imprimatur policy replay` and `preview` against a small gateway on loopback that answers as the real one does."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.replay.report import Tally
from tests.unit.replay.conftest import SHIPPED, document
from tests.unit.replay.test_report import ALLOW, DENY, out

TOKEN = "secret-token"  # of the little gateway here


class Gateway(ThreadingHTTPServer):
    """Takes a job, is done at the second look; what it was sent is in `seen`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, Any, str]] = []
        self.end: dict[str, Any] = {"status": "done", "report": report()}
        self.refuse: tuple[int, dict[str, Any]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.seen.append((self.command, self.path, body, self.headers["authorization"]))
        status, told = 200, {"id": "job-1", "status": "running", "done": 0, "total": 1}
        if self.server.refuse is not None:
            status, told = self.server.refuse
        elif self.path == "/v1/policy/previews":
            side = {"effect": "deny", "error": "", "missing_facts": ["subject.training"], "reasons": [reason()]}
            told = {"candidate": side, "baseline": {**side, "effect": "allow", "reasons": []}}
        elif self.command == "GET":
            told |= self.server.end
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815  # the names that the library calls

    def log_message(self, *_: object) -> None: ...


def reason() -> dict[str, Any]:
    fact = {"name": "input.resource.n", "missing": False, "value": 2}
    place = {"rule": "a.fit", "path": "a.rego", "line": 4, "condition": "input.resource.n < 2", "facts": [fact]}
    return {"code": "count.not-permitted", "rule": "a.fit", "path": "a.rego", "line": 3, "conditions": [place]}


def report() -> dict[str, Any]:
    found = Tally(minutes_per_review=3)
    found.add(document(), recorded=out(ALLOW), before=out(ALLOW), after=out(DENY, "count.not-permitted"))
    told = {"baseline": {"revision": "old"}, "candidate": {"revision": "new"}, **found.report()}
    told["samples"][0].pop("input")
    told["samples"][0]["explanation"] = {"reasons": [reason()]}
    return told


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def run(gateway: Gateway, *words: str, token: str = TOKEN) -> Any:
    return CliRunner().invoke(app, ["policy", *words, "--server", gateway.url, "--token-stdin"], input=f"{token}\n")


def test_a_replay_is_asked_for_followed_and_shown(gateway, folder):
    told = run(gateway, "replay", str(folder), "--days", "3")
    assert told.exit_code == 0, told.output
    for words in ("old -> new", "newly denied", "idp|alice", "a.rego:4: input.resource.n < 2", "input.resource.n = 2"):
        assert words in told.output
    (method, path, body, authorization), *looks = gateway.seen
    assert (method, path, authorization) == ("POST", "/v1/policy/replays", f"Bearer {TOKEN}")
    assert (looks[0][0], looks[0][1]) == ("GET", "/v1/policy/replays/job-1")
    assert body["days"] == 3
    assert "against" not in body
    assert TOKEN not in told.output


def test_only_what_an_engine_reads_is_sent(gateway, folder):
    run(gateway, "replay", str(folder), "--against", str(folder))
    body = gateway.seen[0][2]
    assert body["against"] == {"files": body["files"]}
    assert base64.b64decode(body["files"][".manifest"]) == (folder / ".manifest").read_bytes()
    assert "gateway/access/access.rego" in body["files"]
    assert not [path for path in body["files"] if path.endswith("_test.rego") or path.startswith(("dlp/", "content/"))]


def test_json_is_the_report_itself(gateway, folder):
    assert json.loads(run(gateway, "replay", str(folder), "--json").stdout) == report()


def test_rules_that_do_not_load_end_with_one_and_their_place(gateway, folder):
    problem = {"path": "a.rego", "line": 3, "column": 1, "message": "expected a rule"}
    gateway.end = {"status": "failed", "failure": "These rules could not come into force.", "problems": [problem]}
    told = run(gateway, "replay", str(folder))
    assert told.exit_code == 1
    assert "a.rego:3:1: expected a rule" in told.output


def test_a_refusal_and_a_failure_end_with_two(gateway, folder):
    gateway.end = {"status": "failed", "failure": "it took longer than 5 seconds", "problems": []}
    assert run(gateway, "replay", str(folder)).exit_code == 2
    gateway.refuse = 403, {"error": {"message": "None of your roles lets you do this.\x1b[2J"}}
    told = run(gateway, "replay", str(folder))
    assert told.exit_code == 2
    assert "None of your roles" in told.output
    assert "\x1b[2J" not in told.output  # CWE-150


def test_a_preview_explains_both_sides(gateway, folder):
    told = run(gateway, "preview", "request-1", str(folder), "--stage", "request")
    assert told.exit_code == 0, told.output
    for words in ("in force: allow", "these rules: deny", "a.rego:4", "missing: input.subject.training"):
        assert words in told.output
    assert (gateway.seen[0][2]["request_id"], gateway.seen[0][2]["stage"]) == ("request-1", "request")


def test_a_preview_of_a_file_sends_what_stands_in_it(gateway, folder, tmp_path):
    path = tmp_path / "input.json"
    path.write_text('{"version": 1}')
    assert run(gateway, "preview", str(path), str(folder)).exit_code == 0
    assert gateway.seen[0][2]["input"] == {"version": 1}
    path.write_text("{")
    assert run(gateway, "preview", str(path), str(folder)).exit_code == 2


def test_a_token_goes_nowhere_unprotected(folder):
    told = CliRunner().invoke(
        app, ["policy", "replay", str(folder), "--server", "http://images.example.com", "--token-stdin"], input="t\n"
    )
    assert told.exit_code == 2
    assert "not https" in told.output


def test_a_folder_that_is_not_there_is_said(gateway, tmp_path):
    assert run(gateway, "replay", str(tmp_path / "none")).exit_code == 2
    assert gateway.seen == []
