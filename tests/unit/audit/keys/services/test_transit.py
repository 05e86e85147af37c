"""What a transit engine, or whatever stands in front of it, may answer. The real engine is asked in the contract suite;
here a small server on loopback says what the real one says rarely."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.services.settings import TransitServiceSettings
from audit.keys.services.transit import TransitKeyService
from tests.support.certificates import Authority

WRAPPED = b"vault:v1:" + base64.b64encode(bytes(92))
GOOD_KEY = {
    "type": "aes256-gcm96",
    "derived": True,
    "exportable": False,
    "allow_plaintext_backup": False,
    "latest_version": 3,
}


class Engine:
    """Answers as it is told and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.drip_seconds = 0.0
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                engine.seen.append((self.command, self.path, dict(self.headers.items()), self.rfile.read(size)))
                status, body, headers = engine.answers.pop(0) if len(engine.answers) > 1 else engine.answers[0]
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if not engine.drip_seconds:
                    self.wfile.write(data)
                    return
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(engine.drip_seconds)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client that gives up is what is asked for here."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def says(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        self.answers = [(status, body, headers or {})]

    def then(self, status: int, body: Any = b"") -> None:
        self.answers.append((status, body, {}))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def token_path(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text("s.first\n")
    return path


@pytest.fixture
def service(engine: Engine, token_path: Path) -> Iterator[TransitKeyService]:
    made = opened(engine, token_path)
    yield made
    made.close()


def opened(engine: Engine, token_path: Path, **changes: Any) -> TransitKeyService:
    values = {"url": engine.url, "key": "kek", "token_path": token_path, "timeout_seconds": 2, "attempts": 2, **changes}
    return TransitKeyService(TransitServiceSettings(kind="transit", **values))


@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_a_refusal_of_the_engine_is_final(engine: Engine, service: TransitKeyService, status: int) -> None:
    engine.says(status, {"errors": ["encryption key not found: s.SECRET"]})
    with pytest.raises(KeyRefused) as caught:
        service.unwrap(WRAPPED, b"context")
    assert len(engine.seen) == 1
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<h1>Not found</h1>", b"", b"[]", {"message": "no Route matched"}, b"\xff\xfe"])
def test_a_proxy_on_the_way_is_not_believed_about_keys(engine: Engine, service: TransitKeyService, body: Any) -> None:
    engine.says(404, body)
    with pytest.raises(KeyServiceUnavailable):
        service.unwrap(WRAPPED, b"context")


@pytest.mark.parametrize("status", [412, 429, 472, 473, 500, 502, 503, 504])
def test_a_service_that_cannot_now_is_asked_again(engine: Engine, service: TransitKeyService, status: int) -> None:
    engine.says(status, {"errors": ["Vault is sealed"]})
    engine.then(200, {"data": {"plaintext": base64.b64encode(b"secret").decode()}})
    assert service.unwrap(WRAPPED, b"context") == b"secret"
    engine.says(status, {"errors": []})
    with pytest.raises(KeyServiceUnavailable, match=str(status)):
        service.unwrap(WRAPPED, b"context")
    assert len(engine.seen) == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_token_follows_a_redirect(engine: Engine, service: TransitKeyService, status: int) -> None:
    elsewhere = Engine()
    elsewhere.says(200, {"data": {"plaintext": ""}})
    engine.says(status, b"", {"Location": f"{elsewhere.url}/v1/transit/decrypt/kek"})
    try:
        with pytest.raises(KeyServiceUnavailable):
            service.unwrap(WRAPPED, b"context")
        assert elsewhere.seen == []
    finally:
        elsewhere.close()


def test_a_token_that_does_not_pass_is_not_tried_again_but_a_newer_one_is(
    engine: Engine, service: TransitKeyService, token_path: Path
) -> None:
    engine.says(403, {"errors": ["permission denied"]})
    with pytest.raises(KeyServiceUnavailable, match="renew it"):
        service.unwrap(WRAPPED, b"context")
    assert len(engine.seen) == 1
    token_path.write_text("s.second\n")
    engine.says(200, {"data": {"plaintext": base64.b64encode(b"secret").decode()}})
    assert service.unwrap(WRAPPED, b"context") == b"secret"
    assert [headers["X-Vault-Token"] for _, _, headers, _ in engine.seen] == ["s.first", "s.second"]


@pytest.mark.parametrize("text", ["", "\n", "one\ntwo", "s.x\r\nX-Forwarded-For: 127.0.0.1", "s.ä"])
def test_a_token_file_that_holds_no_token_is_refused(engine: Engine, token_path: Path, text: str) -> None:
    token_path.write_text(text)
    with pytest.raises(KeyRefused, match="token"):
        opened(engine, token_path)


def test_a_token_that_others_may_read_is_refused(engine: Engine, token_path: Path) -> None:
    token_path.chmod(0o644)
    with pytest.raises(KeyRefused, match="0644"):
        opened(engine, token_path)


def test_the_namespace_goes_along_and_the_address_is_the_one_configured(engine: Engine, token_path: Path) -> None:
    service = opened(engine, token_path, namespace="audit/prod", mount="kms/transit")
    engine.says(200, {"data": {"ciphertext": WRAPPED.decode()}})
    service.wrap(b"secret", b"context")
    method, path, headers, body = engine.seen[0]
    assert (method, path) == ("POST", "/v1/kms/transit/encrypt/kek")
    assert headers["X-Vault-Namespace"] == "audit/prod"
    assert headers["X-Vault-Request"] == "true"
    assert json.loads(body) == {
        "plaintext": base64.b64encode(b"secret").decode(),
        "context": base64.b64encode(b"context").decode(),
    }
    service.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[]",
        {"data": None},
        {"data": {}},
        {"data": {"ciphertext": 7, "plaintext": 7}},
        {"data": {"ciphertext": "secret", "plaintext": "!"}},
        {"data": {"ciphertext": "vault:v0:AAAA"}},
        b"x" * 200_000,
        b"[" * 50_000,
    ],
)
def test_an_answer_that_makes_no_sense_is_no_answer(engine: Engine, service: TransitKeyService, answer: Any) -> None:
    engine.says(200, answer)
    with pytest.raises(KeyServiceUnavailable):
        service.wrap(b"secret", b"context")
    with pytest.raises(KeyServiceUnavailable):
        service.unwrap(WRAPPED, b"context")


def test_an_answer_that_drips_ends_in_time(engine: Engine, token_path: Path) -> None:
    service = opened(engine, token_path, timeout_seconds=0.5, attempts=1)
    engine.says(200, b" " * 1000)
    engine.drip_seconds = 0.05
    begun = time.monotonic()
    with pytest.raises(KeyServiceUnavailable, match="in time"):
        service.unwrap(WRAPPED, b"context")
    assert time.monotonic() - begun < 1
    service.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"derived": False}, "not derived"),
        ({"exportable": True}, "can leave"),
        ({"allow_plaintext_backup": True}, "can leave"),
        ({"type": "rsa-4096"}, "wrong type"),
        ({"type": "hmac"}, "wrong type"),
    ],
)
def test_a_key_that_ignores_the_context_or_can_leave_is_refused(
    engine: Engine, service: TransitKeyService, change: dict[str, Any], reason: str
) -> None:
    engine.says(200, {"data": {**GOOD_KEY, **change}})
    with pytest.raises(KeyRefused, match=reason):
        service.check()
    with pytest.raises(KeyRefused, match=reason):
        _ = service.key_id


def test_a_newer_version_is_named_once_it_has_wrapped(engine: Engine, service: TransitKeyService) -> None:
    engine.says(200, {"data": GOOD_KEY})
    assert service.key_id == "transit:transit/kek:v3"
    engine.says(200, {"data": {"ciphertext": WRAPPED.decode().replace("v1", "v4")}})
    service.wrap(b"secret", b"context")
    assert service.key_id == "transit:transit/kek:v4"


def test_a_certificate_of_nobody_known_is_not_trusted(tmp_path: Path, token_path: Path) -> None:
    engine = Engine()
    certificate, key = Authority(tmp_path, "stranger").issue("transit")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    engine.server.socket = context.wrap_socket(engine.server.socket, server_side=True)
    try:
        for ca_path in (None, Authority(tmp_path, "ours").path):
            service = opened(engine, token_path, url=engine.url.replace("http:", "https:"), ca_path=ca_path, attempts=1)
            with pytest.raises(KeyServiceUnavailable, match="certificate is not trusted"):
                service.unwrap(WRAPPED, b"context")
            service.close()
        assert engine.seen == []
    finally:
        engine.close()


def test_a_file_that_is_no_authority_is_refused(engine: Engine, tmp_path: Path, token_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(KeyRefused, match="certificate authority"):
            opened(engine, token_path, ca_path=tmp_path / name)


def test_no_proxy_of_the_environment_sees_a_token(
    engine: Engine, token_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Engine()
    proxy.says(200, {"data": {"ciphertext": WRAPPED.decode()}})
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    engine.says(200, {"data": {"ciphertext": WRAPPED.decode()}})
    service = opened(engine, token_path)
    service.wrap(b"secret", b"context")
    assert (len(engine.seen), proxy.seen) == (1, [])
    service.close()
    proxy.close()


def test_a_closed_service_is_unavailable(service: TransitKeyService) -> None:
    service.close()
    with pytest.raises(KeyServiceUnavailable):
        service.unwrap(WRAPPED, b"context")


def test_a_second_spelling_of_the_same_bytes_is_refused_without_asking(
    engine: Engine, service: TransitKeyService
) -> None:
    """92 bytes leave two spare bits at the end of Base64, and engines pass over them."""
    assert WRAPPED.endswith(b"AA=")
    for text in (WRAPPED[:-2] + b"B=", WRAPPED[:-1], WRAPPED.replace(b"v1", b"v01"), WRAPPED + b"\n", b"vault:v1:"):
        with pytest.raises(KeyRefused):
            service.unwrap(text, b"context")
    assert engine.seen == []
