"""`imprimatur provenance check --server` and `block`, as somebody at a terminal meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import keyring
import pytest
from typer.testing import CliRunner, Result

from gateway import cli_login, cli_provenance_ask
from gateway.cli import app
from gateway.login.device_flow import DeviceFlow
from gateway.prints.block_file import add
from gateway.prints.block_list import BlockList
from gateway.prints.fingerprint import fingerprint, turned
from gateway.prints.window_list import written
from gateway.prints.windows import listed as listed_windows
from tests.support.device_issuer import ACCESS, GATEWAY, DeviceIssuer, tokens
from tests.support.memory_keyring import MemoryKeyring
from tests.unit.provenance.pictures import ROOT, encoded, made

PIXELS = made("texture", 31)
DIGITS = "f8f8f0cce0f4e84d0e370a22028f67f0b36e2ed596623e1d33e6b39c4e9c9b22"
PATH = "/v1/content_provenance_checks"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "secret-project.png"
    path.write_bytes(encoded(PIXELS, "PNG"))
    return path


def run(*words: str | Path, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=typed)


# Asking a gateway


class Gateway:
    """A gateway's answer, and what it was asked."""

    def __init__(self, issuer: DeviceIssuer) -> None:
        self.issuer = issuer
        self.asked: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200, json=answer())

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._handle), follow_redirects=False)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != PATH:
            return self.issuer.client()._transport.handle_request(request)
        request.read()
        self.asked.append(request)
        return self.answer(request)


def answer(**changes: Any) -> dict[str, Any]:
    marks = [
        {"type": "c2pa", "outcome": "detected", "state": "trusted", "message": "It holds.", "record_ids": ["r-1"]},
        {"type": "watermark", "outcome": "detected", "message": "Ours was read."},
        {"type": "fingerprint", "outcome": "not_detected", "message": "Like no other."},
    ]
    told = {"object": "content_provenance_check", "verdict": "made-here", "message": "Made here.", "results": marks}
    return told | changes


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Gateway]:
    """One at which this person is signed in."""
    issuer = DeviceIssuer()
    gateway = Gateway(issuer)
    monkeypatch.setattr(cli_login, "client", gateway.client)
    monkeypatch.setattr(cli_provenance_ask, "client", gateway.client)
    monkeypatch.setattr(cli_login, "DeviceFlow", lambda http: DeviceFlow(http, issuer.sleep, time.time))
    monkeypatch.setenv("HOME", str(tmp_path))
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    issuer.polls = [tokens()]
    assert run("login", GATEWAY).exit_code == 0
    yield gateway
    keyring.set_keyring(before)


def test_a_gateway_is_asked_as_whoever_signed_in(gateway: Gateway, picture: Path) -> None:
    shown = run("provenance", "check", picture, "--server", GATEWAY + "/")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines() == [
        "Made here.",
        "manifest     trusted: It holds.",
        f"             {GATEWAY}/audit/records/r-1",
        "watermark    detected: Ours was read.",
        "fingerprint  not_detected: Like no other.",
    ]
    (asked,) = gateway.asked
    assert str(asked.url) == GATEWAY + PATH
    assert asked.headers["authorization"] == f"Bearer {ACCESS}"
    assert picture.read_bytes() in asked.content
    assert b"secret-project" not in asked.content


def test_a_token_can_be_handed_in_where_there_is_no_keyring(gateway: Gateway, picture: Path) -> None:
    keyring.set_keyring(keyring.backends.fail.Keyring())
    asked = ("provenance", "check", picture, "--server", GATEWAY)
    assert run(*asked).exit_code == 2
    assert run(*asked, "--token-stdin", typed="imp_pat_x\n").exit_code == 0
    assert gateway.asked[0].headers["authorization"] == "Bearer imp_pat_x"
    bad = run(*asked, "--token-stdin", typed="a\u00e9b\n")
    assert (bad.exit_code, "a\u00e9b" in bad.output) == (2, False)


def test_a_likeness_and_nothing_are_no_yes(gateway: Gateway, picture: Path) -> None:
    for verdict in ("looks-like-ours", "generated-elsewhere", "unknown", "unreadable", ""):
        gateway.answer = lambda _, verdict=verdict: httpx.Response(200, json=answer(verdict=verdict))
        assert run("provenance", "check", picture, "--server", GATEWAY).exit_code == 1


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"error": {"message": "file: this is no picture."}}, "file: this is no picture."),
        (429, {"error": {"message": "Try again in 7 s."}}, "Try again in 7 s."),
        (502, None, "answered with status 502"),
        (302, None, "answered with status 302"),
        (200, None, "not as a gateway does"),
        (200, [], "not as a gateway does"),
        (200, {"object": "list", "results": [{}]}, "not as a gateway does"),
        (200, answer(results=7), "not as a gateway does"),
    ],
)
def test_no_answer_is_neither_yes_nor_no(gateway: Gateway, picture: Path, status: int, body: Any, words: str) -> None:
    content = b"<h1>" if body is None else json.dumps(body).encode()
    elsewhere = {"location": "https://attacker.example/"}
    gateway.answer = lambda _: httpx.Response(status, content=content, headers=elsewhere)
    shown = run("provenance", "check", picture, "--server", GATEWAY)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert words in shown.stderr
    assert ACCESS not in shown.output
    assert len(gateway.asked) == 1


def test_a_broken_line_is_said(gateway: Gateway, picture: Path) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late")

    gateway.answer = broken
    shown = run("provenance", "check", picture, "--server", GATEWAY)
    assert (shown.exit_code, "can't be reached: ReadTimeout" in shown.stderr) == (2, True)


def test_a_sign_in_goes_to_its_own_gateway_and_never_in_the_clear(gateway: Gateway, picture: Path) -> None:
    for server, words in (
        ("http://images.example.com", "is not https"),
        ("https://other.example.com", "not signed in"),
        ("images.example.com", "is not https"),
    ):
        shown = run("provenance", "check", picture, "--server", server)
        assert (shown.exit_code, words in shown.stderr) == (2, True), shown.output
    assert gateway.asked == []


def test_what_a_server_says_can_not_steer_the_terminal(gateway: Gateway, picture: Path) -> None:
    evil = "\x1b]0;owned\x07\u202e"
    marks = [{"type": evil, "state": evil, "message": evil, "record_ids": [evil]}]
    gateway.answer = lambda _: httpx.Response(200, json=answer(message=evil, results=marks))
    shown = run("provenance", "check", picture, "--server", GATEWAY)
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.output)


# Blocking a picture


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "blocked.txt"
    path.write_text(f"# from the clearing house\n{DIGITS} theirs", "utf-8")
    path.chmod(0o640)
    return path


def lines(label: str) -> str:
    """What a list holds of the picture."""
    return f"{fingerprint(PIXELS)} {label}\n{written(listed_windows(PIXELS), label)}"


def block(picture: Path, path: Path, *more: str) -> Result:
    return run("provenance", "block", picture, "--list", path, *more)


def test_a_picture_is_blocked_once_and_the_rest_of_the_list_stays(picture: Path, listed: Path) -> None:
    before = listed.read_text("utf-8")
    first = block(picture, listed, "--label", "withdrawn  logo")
    said = f"{listed}: added {fingerprint(PIXELS)} and {len(listed_windows(PIXELS))} windows of it\n"
    assert (first.exit_code, first.stdout) == (0, said), first.output
    assert listed.read_text("utf-8") == f"{before}\n{lines('withdrawn logo')}"
    assert listed.stat().st_mode & 0o777 == 0o640
    after = listed.read_bytes()
    again = block(picture, listed)
    assert (again.exit_code, again.stdout) == (0, f"{listed}: there already, 0 bits away, as withdrawn logo\n")
    assert listed.read_bytes() == after
    assert BlockList.read(after.decode()).match(turned(PIXELS)) is not None
    assert sorted(path.name for path in listed.parent.iterdir()) == ["blocked.txt", "secret-project.png"]


def test_the_same_picture_laid_otherwise_or_saved_again_is_there_already(picture: Path, listed: Path) -> None:
    assert block(picture, listed).exit_code == 0
    height, width = PIXELS.shape[:2]
    cut = PIXELS[height // 8 :, : -(width // 6)]
    others = ((PIXELS, "JPEG"), (PIXELS[:, ::-1], "PNG"), (PIXELS.transpose(1, 0, 2), "WEBP"), (cut[:, ::-1], "JPEG"))
    for pixels, form in others:
        picture.write_bytes(encoded(pixels, form))
        assert "there already" in block(picture, listed).stdout


def test_a_new_list_is_begun_and_a_link_stays_one(picture: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    link.symlink_to(real)
    assert block(picture, link).exit_code == 0
    assert link.is_symlink()
    assert real.read_text("utf-8") == lines("blocked")
    assert real.stat().st_mode & 0o777 == 0o644


def test_the_list_of_the_settings_is_meant_where_none_is_named(
    picture: Path, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Say which list" in run("provenance", "block", picture).stderr
    monkeypatch.setenv("IMPRIMATUR_PROVENANCE__BLOCK_LIST_PATH", str(listed))
    assert run("provenance", "block", picture).exit_code == 0
    assert str(fingerprint(PIXELS)) in listed.read_text("utf-8")


@pytest.mark.parametrize(
    ("data", "label", "code", "words"),
    [
        (b"no picture", "x", 2, "this is not a PNG, JPEG or WebP picture"),
        (encoded(PIXELS, "PNG")[:-400], "x", 2, "broken or cut off"),
        (encoded(made("plain", 1), "PNG"), "x", 1, "its quality is"),
        (encoded(PIXELS, "PNG"), " ", 1, "expected a label"),
        (encoded(PIXELS, "PNG"), "a\x1bb", 1, "expected a label"),
        (encoded(PIXELS, "PNG"), "x" * 101, 1, "expected a label"),
    ],
)
def test_what_can_not_be_blocked_is_said_and_the_list_stays(
    picture: Path, listed: Path, data: bytes, label: str, code: int, words: str
) -> None:
    before = listed.read_bytes()
    picture.write_bytes(data)
    shown = block(picture, listed, "--label", label)
    assert (shown.exit_code, words in shown.stderr) == (code, True), shown.output
    assert listed.read_bytes() == before


def test_a_list_that_can_not_be_read_or_written_is_left_alone(picture: Path, listed: Path, tmp_path: Path) -> None:
    listed.write_text("not a list\n", "utf-8")
    shown = block(picture, listed)
    assert (shown.exit_code, "line 1" in shown.stderr, listed.read_text("utf-8")) == (1, True, "not a list\n")
    assert block(picture, tmp_path / "nowhere" / "list.txt").exit_code == 2
    assert block(tmp_path / "no.png", listed).exit_code == 2


def test_a_list_is_replaced_whole_or_not_at_all(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = listed.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        add(listed, turned(PIXELS), "x")
    assert listed.read_bytes() == before
    assert [path.name for path in listed.parent.iterdir()] == ["blocked.txt"]


WRITER = """
import sys
from hashlib import sha256
from pathlib import Path
from gateway.prints.block_file import add
from gateway.prints.fingerprint import Fingerprint
first = int(sys.argv[2])
for n in range(first, first + 20):
    add(Path(sys.argv[1]), [Fingerprint(int.from_bytes(sha256(b"%d" % n).digest()), 100)], f"n{n}")
"""


def test_three_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first)], env=environment)
        for first in (0, 100, 200)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len({blocked.label for blocked in BlockList.read(path.read_text("utf-8"))}) == 60
