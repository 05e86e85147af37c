"""The client of a C2SP witness, against the reference witness and against ones that misbehave."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.cosignature import Cosigner, WitnessKey
from audit.errors import AuditUnavailable, StoreDamaged, WitnessRefused, WitnessUnavailable
from audit.note import NoteSigner, read_signatures
from audit.witness import Submission
from audit.witness.http import HttpWitness
from audit.witness.ledger import Ledger
from audit.witness.post import Poster, check_url
from audit.witness.server import WitnessServer

COSIGNER = Cosigner(NoteSigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"\5" * 32)))


def client_of(witness: Any, name: str = "w1") -> HttpWitness:
    return HttpWitness(name, witness.url, witness.key, total_seconds=10)


def test_a_new_checkpoint_is_cosigned_and_the_cosignature_verified(witness: Any, log: Any) -> None:
    client = client_of(witness)
    for size in (5, 6, 300):
        submission = log.submission(log.grow(size))
        (line,) = client.submit(submission).cosignatures
        assert witness.key.time_of(submission.checkpoint.text, read_signatures(line)) is not None
    client.close()


def test_after_a_restart_the_witness_tells_where_it_stands(witness: Any, log: Any) -> None:
    first = client_of(witness)
    first.submit(log.submission(log.grow(10)))
    first.close()
    second = client_of(witness)
    assert second.submit(log.submission(log.grow(25))).cosignatures
    assert second.submit(log.submission(log.sign(25))).cosignatures  # the same one again
    second.close()


def test_a_rolled_back_log_is_told(witness: Any, log: Any) -> None:
    client = client_of(witness)
    log.grow(30)
    client.submit(log.submission(log.sign(30)))
    with pytest.raises(WitnessRefused, match="size 30, but this log has only 20: it was rolled back"):
        client.submit(log.submission(log.sign(20)))
    client.close()


@pytest.mark.parametrize("size", [10, 20])
def test_a_forked_log_is_told(witness: Any, log: Any, new_log: Any, size: int) -> None:
    client = client_of(witness)
    client.submit(log.submission(log.grow(10)))
    fork = new_log(salt="other")
    with pytest.raises(WitnessRefused, match="forked"):
        client.submit(fork.submission(fork.grow(size)))
    client.close()


def test_a_log_it_does_not_know_and_a_key_it_does_not_know(witness: Any, new_log: Any) -> None:
    client = client_of(witness)
    for other, why in ((new_log(origin="example.com/other"), "404"), (new_log(seed=9), "403")):
        with pytest.raises(WitnessRefused, match=why):
            client.submit(other.submission(other.grow(3)))
    client.close()


def test_a_pruned_log_says_that_it_cannot_prove_from_there(witness: Any, log: Any) -> None:
    client = client_of(witness)
    client.submit(log.submission(log.grow(10)))

    def pruned(_old: int) -> list[bytes]:
        raise StoreDamaged("tile 0/0 is missing from the tree")

    later = log.submission(log.grow(20))
    with pytest.raises(WitnessRefused, match=r"stands at size 10.*pruned"):
        client.submit(Submission(checkpoint=later.checkpoint, note=later.note, prove_consistency=pruned))

    def closed(_old: int) -> list[bytes]:
        raise AuditUnavailable("the audit log is closed")

    with pytest.raises(WitnessUnavailable, match="closed"):
        client.submit(Submission(checkpoint=later.checkpoint, note=later.note, prove_consistency=closed))
    client.close()


def ask(url: str, log: Any, key: WitnessKey = COSIGNER.key, **options: Any) -> Any:
    client = HttpWitness("w1", url, key, **{"total_seconds": 5, **options})
    try:
        return client.submit(log.submission(log.grow(8)))
    finally:
        client.close()


def good_line(log: Any) -> bytes:
    return COSIGNER.cosign(log.sign(8).text).encode()


def test_lines_of_other_witnesses_are_ignored(log: Any, answers: Any, reply: Any) -> None:
    other = Cosigner(NoteSigner("witness.example/w2", Ed25519PrivateKey.from_private_bytes(b"\6" * 32)))
    log.grow(8)
    url = answers(lambda it: reply(it, 200, other.cosign(log.sign(8).text).encode() + good_line(log)))
    assert ask(url, log).cosignatures == (good_line(log).decode(),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"thank you\n",
        b"\xff\xff",
        "\u2014 witness.example/w1 AAAA\n".encode(),
        pytest.param(lambda log: COSIGNER.cosign(log.sign(7).text).encode(), id="another checkpoint"),
        pytest.param(lambda log: good_line(log) * 2, id="signed twice"),
        pytest.param(lambda log: good_line(log) + b"x" * 70_000, id="too long"),
        pytest.param(
            lambda log: (
                Cosigner(NoteSigner("witness.example/w1", Ed25519PrivateKey.generate()))
                .cosign(log.sign(8).text)
                .encode()
            ),
            id="another key",
        ),
    ],
)
def test_a_cosignature_that_does_not_hold_is_refused(log: Any, answers: Any, reply: Any, body: Any) -> None:
    log.grow(8)
    url = answers(lambda it: reply(it, 200, body(log) if callable(body) else body))
    with pytest.raises(WitnessRefused):
        ask(url, log)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"5", "text/x.tlog.size"),
        (b"05\n", "text/x.tlog.size"),
        (b"-5\n", "text/x.tlog.size"),
        (b"\n", "text/x.tlog.size"),
        (b"\xb2\n", "text/x.tlog.size"),
        (b"5\n", "text/plain"),
    ],
)
def test_a_conflict_without_a_usable_size_is_refused(
    log: Any, answers: Any, reply: Any, body: bytes, kind: str
) -> None:
    with pytest.raises(WitnessRefused):
        ask(answers(lambda it: reply(it, 409, body, kind)), log)


def test_a_witness_that_changes_its_mind_for_ever_is_left_alone(log: Any, answers: Any, reply: Any) -> None:
    asked: list[bytes] = []

    def answer(it: Any) -> None:
        asked.append(it.body)
        reply(it, 409, b"%d\n" % (len(asked) % 2 + 1), "text/x.tlog.size")

    with pytest.raises(WitnessUnavailable, match="changes its mind"):
        ask(answers(answer), log)
    assert len(asked) == 3


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_a_busy_witness_is_asked_later_when_it_wishes(log: Any, answers: Any, reply: Any, status: int) -> None:
    with pytest.raises(WitnessUnavailable) as caught:
        ask(answers(lambda it: reply(it, status, Retry_After="17")), log)
    assert caught.value.retry_after_seconds == 17


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(log: Any, answers: Any, reply: Any, status: int) -> None:
    log.grow(8)
    elsewhere: list[bytes] = []

    def other(it: Any) -> None:
        elsewhere.append(it.body)
        reply(it, 200, good_line(log))

    target = answers(other)
    with pytest.raises(WitnessRefused, match="redirects are not followed"):
        ask(answers(lambda it: reply(it, status, Location=target + "/add-checkpoint")), log)
    assert elsewhere == []


def test_nobody_there_is_no_answer(log: Any, answers: Any) -> None:
    with pytest.raises(WitnessUnavailable, match="cannot be reached"):
        ask("http://127.0.0.1:1", log)


def test_who_hangs_up_gave_no_answer(log: Any, answers: Any) -> None:
    def hang_up(it: BaseHTTPRequestHandler) -> None:
        it.close_connection = True

    with pytest.raises(WitnessUnavailable):
        ask(answers(hang_up), log)


def test_an_answer_in_drops_ends_at_the_deadline(log: Any, answers: Any) -> None:
    def drip(it: BaseHTTPRequestHandler) -> None:
        it.send_response(200)
        it.send_header("Content-Length", "1000")
        it.end_headers()
        for _ in range(100):
            it.wfile.write(b"x")
            it.wfile.flush()
            time.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(WitnessUnavailable, match="in time"):
        ask(answers(drip), log, total_seconds=0.4)
    assert time.monotonic() - began < 3


def test_no_proxy_of_whoever_started_us_sees_it(
    log: Any, answers: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    log.grow(8)
    assert ask(answers(lambda it: reply(it, 200, good_line(log))), log).cosignatures


@pytest.mark.parametrize(
    "url",
    [
        "http://witness.example/w1",
        "ftp://127.0.0.1/",
        "witness.example",
        "https://user:secret@witness.example/",
        "https://witness.example/?token=1",
        "https://witness.example/#x",
        "http://127.0.0.1.witness.example/",
    ],
)
def test_addresses_that_must_not_be_used_are_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        Poster(url)
    assert "secret" not in str(caught.value)


def test_addresses_that_may_be_used() -> None:
    assert check_url("https://witness.example/w1") == "witness.example"
    assert check_url("http://127.0.0.1:8090") == "127.0.0.1"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost -days 2"
        " -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


def test_over_tls_only_a_trusted_certificate_will_do(tmp_path: Path, log: Any, certificate: Path) -> None:
    ledger = Ledger.create(tmp_path / "w", "witness.example/w")
    ledger.register(log.key)
    server = WitnessServer(
        ledger, "127.0.0.1", 0, certificate=certificate / "cert.pem", private_key=certificate / "key.pem"
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = f"https://localhost:{server.server_address[1]}"
    try:
        with pytest.raises(WitnessUnavailable, match="certificate is not trusted"):
            ask(url, log, ledger.key)
        assert ask(url, log, ledger.key, ca_file=certificate / "cert.pem").cosignatures
        context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(server.server_address[:2]) as plain, pytest.raises(OSError):
            context.wrap_socket(plain, server_hostname="localhost")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_without_end_is_dropped_at_once(log: Any, answers: Any) -> None:
    """Not at the deadline, which would let a witness fill our memory until then."""

    def pour(it: BaseHTTPRequestHandler) -> None:
        it.send_response(200)
        it.send_header("Content-Length", str(10**12))
        it.end_headers()
        for _ in range(10_000):
            it.wfile.write(b"x" * 65_536)

    began = time.monotonic()
    with pytest.raises(WitnessRefused):
        ask(answers(pour), log, total_seconds=20)
    assert time.monotonic() - began < 10
