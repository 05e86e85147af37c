"""What a hostile or broken log can do to the reference witness, over real HTTP."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.checkpoint import sign_checkpoint
from audit.errors import KeyRefused, StoreDamaged, StoreInUse
from audit.note import NoteSignature, add_signatures, read_note, read_signatures
from audit.store.disk import Disk
from audit.tree import EMPTY_ROOT
from audit.witness.ledger import Ledger
from audit.witness.server import MAX_BODY_BYTES, WitnessServer
from audit.witness.service import WitnessService


def post(witness: Any, body: bytes) -> httpx.Response:
    return httpx.post(witness.url + "/add-checkpoint", content=body, trust_env=False, timeout=10)


def cosigned(witness: Any, log: Any, size: int, response: httpx.Response) -> bool:
    text = log.sign(size).text
    return response.status_code == 200 and witness.key.time_of(text, read_signatures(response.text)) is not None


def told_size(response: httpx.Response) -> int:
    assert (response.status_code, response.headers["content-type"]) == (409, "text/x.tlog.size")
    assert response.text.endswith("\n")
    return int(response.text)


def test_a_growing_log_is_cosigned_step_by_step(witness: Any, log: Any) -> None:
    old = 0
    for size in (0, 1, 2, 255, 256, 257, 1000):
        checkpoint = log.grow(size)
        assert cosigned(witness, log, size, post(witness, log.request(old, checkpoint)))
        old = size
    assert witness.ledger.find(log.key.name).head.size == 1000


def test_the_same_checkpoint_is_cosigned_again(witness: Any, log: Any) -> None:
    """A log that missed the answer asks again."""
    checkpoint = log.grow(7)
    assert cosigned(witness, log, 7, post(witness, log.request(0, checkpoint)))
    assert cosigned(witness, log, 7, post(witness, log.request(7, checkpoint)))


def test_a_cosigned_note_opens_under_both_keys(witness: Any, log: Any) -> None:
    checkpoint = log.grow(7)
    note = add_signatures(checkpoint.note(log.key), [post(witness, log.request(0, checkpoint)).text])
    text, signatures = read_note(note)
    assert log.key.verify(text.encode(), checkpoint.signature)
    assert abs(witness.key.time_of(text, signatures).timestamp() - time.time()) < 60


def test_a_wrong_old_size_is_answered_with_the_right_one(witness: Any, log: Any) -> None:
    post(witness, log.request(0, log.grow(10)))
    checkpoint = log.grow(20)
    assert told_size(post(witness, log.request(0, checkpoint))) == 10
    assert told_size(post(witness, log.request(15, checkpoint))) == 10
    assert cosigned(witness, log, 20, post(witness, log.request(10, checkpoint)))


def test_a_rolled_back_log_gets_no_cosignature(witness: Any, log: Any) -> None:
    log.grow(20)
    post(witness, log.request(0, log.sign(20)))
    for old in (0, 5, 10):
        assert told_size(post(witness, log.request(old, log.sign(10)))) == 20
    assert post(witness, log.request(20, log.sign(10), [])).status_code == 400
    assert witness.ledger.find(log.key.name).head.size == 20


def test_a_forked_log_gets_no_cosignature_and_leaves_evidence(witness: Any, log: Any, new_log: Any) -> None:
    fork = new_log(salt="other")
    post(witness, log.request(0, log.grow(10)))
    before = witness.ledger.find(log.key.name)
    assert post(witness, fork.request(10, fork.grow(20))).status_code == 422
    assert post(witness, fork.request(10, fork.sign(20), [])).status_code == 422
    assert witness.ledger.find(log.key.name) == before
    (evidence, *_) = (witness.folder / "evidence").iterdir()
    kept = json.loads(evidence.read_text())
    assert kept["known"] == log.sign(10).note(log.key)
    assert kept["request"].endswith(fork.sign(20).note(fork.key))


def test_the_same_size_with_another_root_is_refused_without_a_size(witness: Any, log: Any, new_log: Any) -> None:
    post(witness, log.request(0, log.grow(10)))
    fork = new_log(salt="other")
    response = post(witness, fork.request(10, fork.grow(10)))
    assert response.status_code == 409
    assert response.headers["content-type"] != "text/x.tlog.size"
    assert witness.ledger.evidence_count() == 1


def test_evidence_is_bounded(witness: Any, log: Any, new_log: Any) -> None:
    post(witness, log.request(0, log.grow(10)))
    known = witness.ledger.find(log.key.name)
    for number in range(130):
        witness.ledger.keep_evidence(known, f"request {number}")
    assert witness.ledger.evidence_count() == 100


def test_a_proof_of_another_pair_of_sizes_is_refused(witness: Any, log: Any) -> None:
    post(witness, log.request(0, log.grow(10)))
    log.grow(40)
    path = log.tree.consistency_path(11, 40)
    assert post(witness, log.request(10, log.sign(40), path)).status_code == 422
    assert post(witness, log.request(10, log.sign(40), path + path)).status_code == 422


def test_a_proof_from_nothing_must_be_empty(witness: Any, log: Any) -> None:
    checkpoint = log.grow(10)
    assert post(witness, log.request(0, checkpoint, [EMPTY_ROOT])).status_code == 422
    assert witness.ledger.find(log.key.name).note == ""


def test_an_empty_tree_with_a_root_of_its_own_is_refused(witness: Any, log: Any) -> None:
    strange = sign_checkpoint(log.signer, 0, b"\1" * 32)
    assert post(witness, log.request(0, strange)).status_code == 422
    assert cosigned(witness, log, 0, post(witness, log.request(0, log.grow(0))))


def test_an_unknown_origin_is_not_found(witness: Any, new_log: Any) -> None:
    other = new_log(origin="example.com/other")
    assert post(witness, other.request(0, other.grow(3))).status_code == 404


def test_a_known_origin_under_an_unknown_key_is_forbidden(witness: Any, log: Any, new_log: Any) -> None:
    impostor = new_log(seed=9)
    assert post(witness, impostor.request(0, impostor.grow(3))).status_code == 403
    assert witness.ledger.find(log.key.name).note == ""


def test_a_broken_signature_of_a_known_key_is_forbidden(witness: Any, log: Any) -> None:
    checkpoint = log.grow(3)
    line = NoteSignature(log.key.name, log.key.key_id, b"\1" * 64).line
    body = f"old 0\n\n{checkpoint.text}\n{line}".encode()
    assert post(witness, body).status_code == 403


def test_signatures_of_strangers_beside_the_logs_are_ignored(witness: Any, log: Any, new_log: Any) -> None:
    checkpoint, stranger = log.grow(3), new_log(origin="stranger.example")
    extra = NoteSignature("stranger.example", stranger.key.key_id, b"\1" * 64).line
    body = log.request(0, checkpoint) + extra.encode()
    assert cosigned(witness, log, 3, post(witness, body))


def test_extension_lines_are_cosigned_as_they_are(witness: Any, log: Any) -> None:
    """This log writes none, others may; the whole text is what a witness signs."""
    text = log.grow(3).text + "extension of another log\n"
    line = NoteSignature(log.key.name, log.key.key_id, log.signer.sign(text)).line
    response = post(witness, f"old 0\n\n{text}\n{line}".encode())
    assert witness.key.time_of(text, read_signatures(response.text)) is not None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: b"",
        lambda body: b"garbage",
        lambda body: b"\xff\xfe" + body,
        lambda body: body.replace(b"old 0", b"old 00"),
        lambda body: body.replace(b"old 0", b"old -1"),
        lambda body: body.replace(b"old 0", b"old 0 "),
        lambda body: body.replace(b"old 0", b"old 9223372036854775808"),
        lambda body: body.replace(b"old 0", b"old  0"),
        lambda body: body.replace(b"old 0\n", b"old 0\nAAAA\n"),
        lambda body: body.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"B\n"),
        lambda body: body.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n" * 64),
        lambda body: body.replace(b"old 0\n", b"old 0\n" + (b"A" * 43 + b"=\n") * 64),
        lambda body: body.replace(b"\n\n", b"\n"),
        lambda body: body.replace(b"\n", b"\r\n"),
        lambda body: body[:-1],
        lambda body: body.replace("\u2014".encode(), b"-"),
        lambda body: body.replace(b"example.com/audit\n3\n", b"example.com/audit\n03\n"),
        lambda body: body.replace(b"example.com/audit\n3\n", b"example.com/audit\n"),
    ],
)
def test_garbage_is_a_bad_request_and_changes_nothing(witness: Any, log: Any, spoil: Callable[[bytes], bytes]) -> None:
    body = log.request(0, log.grow(3))
    assert post(witness, spoil(body)).status_code == 400
    assert witness.ledger.find(log.key.name).note == ""
    assert cosigned(witness, log, 3, post(witness, body))


def test_a_huge_body_is_refused_before_it_is_read(witness: Any) -> None:
    connection = http.client.HTTPConnection(witness.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/add-checkpoint")
    connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()  # and not a byte of it
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "-5"}])
def test_a_body_without_a_length_is_refused(witness: Any, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection(witness.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/add-checkpoint")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, response.getheader("Connection")) == (411, "close")
    connection.close()


def test_a_connection_is_kept_for_the_next_checkpoint(witness: Any, log: Any) -> None:
    with httpx.Client(trust_env=False) as client:
        for old, size in ((0, 4), (4, 9)):
            body = log.request(old, log.grow(size))
            assert client.post(witness.url + "/add-checkpoint", content=body).status_code == 200


def test_who_sends_half_a_request_holds_up_nobody(witness: Any, log: Any) -> None:
    with socket.create_connection(witness.server.server_address[:2]) as slow:
        slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 100\r\n\r\nold")
        assert cosigned(witness, log, 3, post(witness, log.request(0, log.grow(3))))


def test_who_takes_too_long_is_hung_up_on(witness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.witness.server.REQUEST_SECONDS", 0.2)
    with socket.create_connection(witness.server.server_address[:2], timeout=10) as slow:
        slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\n")
        assert slow.recv(100) == b""


def test_idle_connections_beyond_the_limit_are_dropped(witness: Any, log: Any) -> None:
    idle = [socket.create_connection(witness.server.server_address[:2], timeout=10) for _ in range(80)]
    for connection in idle[64:]:
        assert connection.recv(1) == b""
    for connection in idle:
        connection.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if cosigned(witness, log, 3, post(witness, log.request(0, log.grow(3)))):
                return
        except httpx.HTTPError:
            time.sleep(0.02)  # the places are given back as the threads notice
    pytest.fail("the witness did not come back")


@pytest.mark.parametrize("path", ["/", "/add-checkpoint/", "/add-checkpoint?x=1", "/../add-checkpoint"])
def test_other_addresses_are_not_found(witness: Any, path: str) -> None:
    connection = http.client.HTTPConnection(witness.url.removeprefix("http://"), timeout=10)
    connection.request("POST", path, body=b"x")
    assert connection.getresponse().status == 404
    connection.close()


def test_people_see_the_newest_note(witness: Any, log: Any) -> None:
    address = f"{witness.url}/{hashlib.sha256(log.key.name.encode()).hexdigest()}/checkpoint"
    assert httpx.get(address, trust_env=False).status_code == 404
    checkpoint = log.grow(3)
    post(witness, log.request(0, checkpoint))
    assert httpx.get(address, trust_env=False).text == checkpoint.note(log.key)


def test_of_two_forks_at_once_one_wins_and_stays(witness: Any, log: Any, new_log: Any) -> None:
    """The race that the specification names: both are checked against the same old size."""
    fork = new_log(salt="other")
    requests = [log.request(0, log.grow(n)) for n in range(1, 40)] + [
        fork.request(0, fork.grow(n)) for n in range(1, 40)
    ]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: post(witness, body).status_code, requests))
    assert answers.count(200) == 1
    assert set(answers) == {200, 409}


def test_concurrent_checkpoints_never_roll_the_record_back(witness: Any, log: Any) -> None:
    post(witness, log.request(0, log.grow(1)))
    log.grow(60)
    seen: list[int] = []

    def submit(size: int) -> None:
        for _ in range(200):
            known = witness.ledger.find(log.key.name).head.size
            seen.append(known)
            if known >= size or post(witness, log.request(known, log.sign(size))).status_code == 200:
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(submit, range(2, 61)))
    assert witness.ledger.find(log.key.name).head.size == 60


def test_a_kept_connection_gets_nothing_after_the_witness_stopped(tmp_path: Path, log: Any, run_witness: Any) -> None:
    """Another process may serve the same record by then: two would cosign two futures."""
    Ledger.create(tmp_path / "w", "witness.example/w").register(log.key)
    with httpx.Client(trust_env=False) as client:
        with run_witness(tmp_path / "w") as first:
            client.post(first.url + "/add-checkpoint", content=log.request(0, log.grow(10)))
        log.grow(20)
        with pytest.raises(httpx.HTTPError):
            client.post(first.url + "/add-checkpoint", content=log.request(10, log.sign(20)))
    assert first.server.service.add_checkpoint(log.request(10, log.sign(20))).status == 503
    assert Ledger(tmp_path / "w").find(log.key.name).head.size == 10


def test_the_record_survives_a_restart(tmp_path: Path, log: Any, run_witness: Any) -> None:
    Ledger.create(tmp_path / "w", "witness.example/w").register(log.key)
    with run_witness(tmp_path / "w") as first:
        post(first, log.request(0, log.grow(10)))
    with run_witness(tmp_path / "w") as second:
        log.grow(20)
        assert told_size(post(second, log.request(0, log.sign(5)))) == 10
        assert cosigned(second, log, 20, post(second, log.request(10, log.sign(20))))


def test_the_checkpoint_is_on_disk_before_the_cosignature_exists(tmp_path: Path, log: Any) -> None:
    """A crash between the two loses an answer, never the memory of it."""
    ledger = Ledger.create(tmp_path / "w", "witness.example/w")
    ledger.register(log.key)
    service = WitnessService(ledger)
    sizes: list[int] = []

    def crash(text: str) -> str:
        sizes.append(Ledger(tmp_path / "w").find(log.key.name).head.size)
        raise OSError("kill -9")

    service._cosigner.cosign = crash  # type: ignore[method-assign]
    assert service.add_checkpoint(log.request(0, log.grow(10))).status == 500
    assert sizes == [10]
    service.close()
    again = WitnessService(Ledger(tmp_path / "w"))
    assert again.add_checkpoint(log.request(0, log.sign(10))).status == 409
    assert again.add_checkpoint(log.request(10, log.sign(10))).status == 200
    again.close()


def test_a_disk_that_fails_means_no_cosignature(tmp_path: Path, log: Any) -> None:
    class Full:
        def write_whole(self, path: Path, data: bytes, mode: int) -> None:
            raise OSError(28, "No space left on device")

    ledger = Ledger.create(tmp_path / "w", "witness.example/w")
    ledger.register(log.key)
    service = WitnessService(Ledger(tmp_path / "w", Full()))  # type: ignore[arg-type]
    assert service.add_checkpoint(log.request(0, log.grow(10))).status == 500
    assert ledger.find(log.key.name).note == ""
    service.close()


def test_killed_at_random_the_witness_never_forgets_what_it_cosigned(tmp_path: Path, log: Any) -> None:
    """``kill -9`` in the middle of a stream of checkpoints: whatever was answered is what it knows afterwards."""
    folder = tmp_path / "w"
    Ledger.create(folder, "witness.example/w").register(log.key)
    log.grow(400)
    answered = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "audit", "witness", "serve", str(folder), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            known = Ledger(folder).find(log.key.name).head.size
            assert known >= answered
            stop = time.monotonic() + 0.15
            with httpx.Client(trust_env=False) as client:
                for size in range(known + 1, 400):
                    body = log.request(known, log.sign(size))
                    if client.post(url + "/add-checkpoint", content=body).status_code == 200:
                        answered = known = size
                    if time.monotonic() > stop:
                        break
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
    assert answered > 0
    assert Ledger(folder).find(log.key.name).head.size >= answered


def test_a_forgotten_log_is_unknown_not_new(tmp_path: Path, log: Any) -> None:
    """Who deletes a witness's memory of a log must not get it to start over."""
    ledger = Ledger.create(tmp_path / "w", "witness.example/w")
    ledger.register(log.key)
    service = WitnessService(ledger)
    service.add_checkpoint(log.request(0, log.grow(10)))
    for path in (tmp_path / "w" / "logs").iterdir():
        path.unlink()
    assert service.add_checkpoint(log.request(0, log.sign(5))).status == 404
    service.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "{",
        lambda text: text.replace("\\n10\\n", "\\n9\\n"),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"note"', '"nothing"'),
    ],
)
def test_a_record_that_somebody_changed_stops_the_witness(
    tmp_path: Path, log: Any, spoil: Callable[[str], str]
) -> None:
    ledger = Ledger.create(tmp_path / "w", "witness.example/w")
    ledger.register(log.key)
    service = WitnessService(ledger)
    service.add_checkpoint(log.request(0, log.grow(10)))
    (path,) = (tmp_path / "w" / "logs").iterdir()
    path.write_text(spoil(path.read_text()))
    log.grow(20)
    assert service.add_checkpoint(log.request(10, log.sign(20))).status == 500
    service.close()
    with pytest.raises(StoreDamaged):
        WitnessService(Ledger(tmp_path / "w"))


def test_two_processes_cannot_serve_one_witness(witness: Any) -> None:
    with pytest.raises(StoreInUse):
        WitnessServer(Ledger(witness.folder), "127.0.0.1", 0)


def test_keys_are_private_never_replaced_and_never_another(tmp_path: Path, log: Any, new_log: Any) -> None:
    folder = tmp_path / "w"
    Ledger.create(folder, "witness.example/w")
    assert stat.S_IMODE((folder / "witness.pem").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        Ledger.create(folder, "witness.example/w")
    os.chmod(folder / "witness.pem", 0o644)
    with pytest.raises(KeyRefused):
        WitnessService(Ledger(folder))
    Ledger.create(tmp_path / "other", "witness.example/w")
    (tmp_path / "other" / "witness.pem").replace(folder / "witness.pem")
    with pytest.raises(KeyRefused, match="not the key"):
        WitnessService(Ledger(folder))


def test_a_log_that_changes_its_key_keeps_its_history(tmp_path: Path, log: Any, new_log: Any) -> None:
    ledger = Ledger.create(tmp_path / "w", "witness.example/w")
    ledger.register(log.key)
    service = WitnessService(ledger)
    service.add_checkpoint(log.request(0, log.grow(10)))
    after = new_log(seed=2)
    after.grow(20)
    assert service.add_checkpoint(after.request(10, after.sign(20))).status == 403
    ledger.register(after.key)
    assert service.add_checkpoint(after.request(10, after.sign(20))).status == 200
    service.close()


def test_a_witness_does_not_witness_itself(tmp_path: Path, new_log: Any) -> None:
    ledger = Ledger.create(tmp_path / "w", "witness.example/w")
    with pytest.raises(ValueError, match="own key"):
        ledger.register(ledger.signer().verifier_key)


def test_checking_and_persisting_are_one_step(tmp_path: Path, log: Any) -> None:
    """The race of the specification, with a disk slow enough to lose it."""

    class Slow(Disk):
        def write_whole(self, path: Path, data: bytes, mode: int) -> None:
            time.sleep(0.1)
            super().write_whole(path, data, mode)

    Ledger.create(tmp_path / "w", "witness.example/w").register(log.key)
    service = WitnessService(Ledger(tmp_path / "w", Slow()))
    requests = [log.request(0, log.grow(size)) for size in (5, 6, 7)]
    with ThreadPoolExecutor(3) as pool:
        statuses = sorted(reply.status for reply in pool.map(service.add_checkpoint, requests))
    service.close()
    assert statuses == [200, 409, 409]
