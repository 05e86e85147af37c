"""Time stamps by a real authority (``openssl ts``), and what is no time stamp of the note."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from audit.errors import WitnessRefused, WitnessUnavailable
from audit.note import NoteRefused
from audit.store.disk import Disk
from audit.witness.rfc3161 import TimestampWitness
from audit.witness.shelf import Shelf, stamped_notes
from audit.witness.stamp import check_timestamp, read_certificates

REPLY = "application/timestamp-reply"


@pytest.fixture
def tsa(authority: Any, answers: Any, reply: Any) -> str:
    def answer(it: Any) -> None:
        assert it.headers["Content-Type"] == "application/timestamp-query"
        reply(it, 200, authority.stamp(it.body), REPLY)

    return answers(answer)


def stamped(url: str, log: Any, root: Path, size: int = 5) -> bytes:
    witness = TimestampWitness("tsa", url, root, total_seconds=20)
    try:
        token = witness.submit(log.submission(log.grow(size))).token
        assert token is not None
        return token
    finally:
        witness.close()


def test_a_note_is_stamped_and_the_stamp_holds(tsa: str, authority: Any, log: Any) -> None:
    token = stamped(tsa, log, authority.root)
    at = check_timestamp(log.sign(5).note(log.key).encode(), token, read_certificates(authority.root))
    assert abs(at.timestamp() - time.time()) < 60


def test_openssl_accepts_what_is_kept_on_disk(tsa: str, authority: Any, log: Any, tmp_path: Path) -> None:
    """An auditor needs none of this program to check it."""
    witness = TimestampWitness("tsa", tsa, authority.root)
    submission = log.submission(log.grow(5))
    Shelf(tmp_path, "tsa", Disk()).keep(submission, witness.submit(submission))
    witness.close()
    ((note, token),) = stamped_notes(tmp_path)
    done = subprocess.run(
        ["openssl", "ts", "-verify", "-data", note, "-in", token, "-CAfile", authority.root],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Verification: OK" in done.stdout + done.stderr


def test_an_auditor_needs_one_package_for_it_and_no_http_client(
    tsa: str, authority: Any, log: Any, tmp_path: Path
) -> None:
    (tmp_path / "5.tsr").write_bytes(stamped(tsa, log, authority.root))
    (tmp_path / "5.note").write_text(log.sign(5).note(log.key))

    def verify(missing: str) -> subprocess.CompletedProcess[str]:
        start = f"import runpy, sys; sys.modules[{missing!r}] = None; runpy.run_module('audit', run_name='__main__')"
        paper = [tmp_path / "5.note", "--vkey", log.key, "--timestamp-root", authority.root]
        command = [sys.executable, "-c", start, "verify", *map(str, paper)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = verify("httpx")
    assert done.returncode == 0, done.stderr
    assert "stamped at 20" in done.stdout
    done = verify("rfc3161_client")
    assert done.returncode == 2
    assert done.stderr == "error: checking a time stamp needs the package rfc3161-client: install it\n"


def test_a_stamp_of_another_note_does_not_hold(tsa: str, authority: Any, log: Any) -> None:
    token = stamped(tsa, log, authority.root)
    roots = read_certificates(authority.root)
    log.grow(6)
    with pytest.raises(NoteRefused):
        check_timestamp(log.sign(6).note(log.key).encode(), token, roots)


def test_a_stamp_of_another_authority_does_not_hold(tsa: str, authority: Any, other_authority: Any, log: Any) -> None:
    with pytest.raises(WitnessRefused):
        stamped(tsa, log, other_authority.root)
    token = stamped(tsa, log, authority.root)
    note = log.sign(5).note(log.key).encode()
    with pytest.raises(NoteRefused):
        check_timestamp(note, token, read_certificates(other_authority.root))


def test_a_stamp_changed_in_any_place_does_not_hold(tsa: str, authority: Any, log: Any) -> None:
    token = stamped(tsa, log, authority.root)
    roots, note = read_certificates(authority.root), log.sign(5).note(log.key).encode()
    accepted = 0
    for at in range(0, len(token), 7):
        changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        try:
            when = check_timestamp(note, changed, roots)
        except NoteRefused:
            continue
        # Bytes that no signature covers (status text, a certificate nobody uses) may differ; the statement may not.
        assert when == check_timestamp(note, token, roots)
        accepted += 1
    assert accepted < len(token) / 7 / 4


def test_an_old_stamp_played_back_is_refused(authority: Any, answers: Any, reply: Any, log: Any) -> None:
    """The nonce of the request must be in the answer."""
    first: list[bytes] = []

    def answer(it: Any) -> None:
        first.append(authority.stamp(it.body))
        reply(it, 200, first[0], REPLY)

    url = answers(answer)
    stamped(url, log, authority.root)
    with pytest.raises(WitnessRefused, match="Nonce"):
        stamped(url, log, authority.root)


@pytest.mark.parametrize(
    ("status", "body", "kind", "error"),
    [
        (503, b"", REPLY, WitnessUnavailable),
        (429, b"", REPLY, WitnessUnavailable),
        (302, b"", REPLY, WitnessRefused),
        (200, b"", REPLY, WitnessRefused),
        (200, b"garbage", REPLY, WitnessRefused),
        (200, b"<html>", "text/html", WitnessRefused),
        (200, b"x" * 70_000, REPLY, WitnessRefused),
        (400, b"", REPLY, WitnessRefused),
    ],
)
def test_answers_that_are_no_stamp(
    authority: Any, answers: Any, reply: Any, log: Any, status: int, body: bytes, kind: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        stamped(answers(lambda it: reply(it, status, body, kind)), log, authority.root)


def test_a_refusal_of_the_authority_is_a_refusal(authority: Any, answers: Any, reply: Any, log: Any) -> None:
    # TimeStampResp with PKIStatus rejection (2) and no token: RFC 3161, section 2.4.2.
    url = answers(lambda it: reply(it, 200, bytes.fromhex("30053003020102"), REPLY))
    with pytest.raises(WitnessRefused):
        stamped(url, log, authority.root)


def test_a_file_without_certificates_is_told(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("nothing")
    with pytest.raises(ValueError, match="no certificate"):
        read_certificates(tmp_path / "roots.pem")
