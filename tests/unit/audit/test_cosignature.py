from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import parse_head, sign_checkpoint
from audit.cosignature import Cosigner, WitnessKey, WitnessPolicy
from audit.note import (
    NoteRefused,
    NoteSignature,
    NoteSigner,
    VerifierKey,
    add_signatures,
    decode_base64,
    read_note,
    read_signatures,
)

LOG = NoteSigner("example.com/audit", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
CHECKPOINT = sign_checkpoint(LOG, 5, b"\7" * 32)
NOTE = CHECKPOINT.note(LOG.verifier_key)
AT = 1_795_348_800  # 2026-11-22T12:00:00Z


def cosigner(name: str = "witness.example/w1", seed: int = 5, at: float = AT) -> Cosigner:
    return Cosigner(NoteSigner(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)), lambda: at)


def cosigned(*cosigners: Cosigner) -> str:
    return add_signatures(NOTE, [one.cosign(CHECKPOINT.text) for one in cosigners])


@pytest.fixture
def published(vectors: Path) -> dict[str, Any]:
    return json.loads((vectors / "c2sp-cosignature.json").read_text())


def test_the_published_cosigned_checkpoint_is_read(published: dict[str, Any]) -> None:
    """The specification's example; its keys were not published, so the signature cannot be verified."""
    text, signatures = read_note(published["note"])
    assert parse_head(text)[:2] == (published["origin"], published["size"])
    line = next(item for item in signatures if item.name == published["witness"])
    assert line.key_id.hex() == published["key_id"]
    assert struct.unpack(">Q", line.signature[:8])[0] == published["time"]
    assert len(line.signature) == 8 + 64


def test_the_published_answer_of_a_witness_is_read(published: dict[str, Any]) -> None:
    signatures = read_signatures(published["answer"])
    assert [item.name for item in signatures] == published["answer_names"]
    assert "".join(item.line for item in signatures) == published["answer"]


def test_the_message_is_what_the_specification_says() -> None:
    """Built by hand from its text: header line, time line, the whole note body."""
    message = b"cosignature/v1\ntime 1795348800\n" + CHECKPOINT.text.encode()
    signed = Ed25519PrivateKey.from_private_bytes(b"\5" * 32).sign(message)
    (line,) = read_signatures(cosigner().cosign(CHECKPOINT.text))
    assert line.signature == AT.to_bytes(8, "big") + signed


def test_a_cosigned_checkpoint_tells_who_and_when() -> None:
    made = cosigner()
    text, signatures = read_note(cosigned(made))
    assert made.key.time_of(text, signatures) == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert cosigner("witness.example/w2", seed=6).key.time_of(text, signatures) is None


def test_a_witness_key_comes_back_and_is_no_log_key() -> None:
    key = cosigner().key
    assert WitnessKey.parse(str(key)) == key
    with pytest.raises(NoteRefused):
        VerifierKey.parse(str(key))
    with pytest.raises(NoteRefused):
        WitnessKey.parse(str(LOG.verifier_key))


def test_a_signature_of_the_log_type_is_no_cosignature() -> None:
    """One key in both roles must not let one statement pass for the other."""
    made = cosigner()
    line = NoteSignature(made.key.name, made.key.key_id, AT.to_bytes(8, "big") + LOG.verifier_key.public_key * 2)
    with pytest.raises(NoteRefused):
        made.key.time_of(CHECKPOINT.text, [line])
    as_log = NoteSigner(made.key.name, Ed25519PrivateKey.from_private_bytes(b"\5" * 32))
    plain = NoteSignature(made.key.name, made.key.key_id, as_log.sign(CHECKPOINT.text))
    with pytest.raises(NoteRefused, match="length"):
        made.key.time_of(CHECKPOINT.text, [plain])


@given(st.data())
def test_a_cosignature_changed_in_any_bit_does_not_hold(data: st.DataObject) -> None:
    made = cosigner()
    (line,) = read_signatures(made.cosign(CHECKPOINT.text))
    at = data.draw(st.integers(0, len(line.signature) * 8 - 1))
    changed = bytearray(line.signature)
    changed[at // 8] ^= 1 << at % 8
    with pytest.raises(NoteRefused):
        made.key.time_of(CHECKPOINT.text, [line._replace(signature=bytes(changed))])


@pytest.mark.parametrize("text", [CHECKPOINT.text + "x\n", CHECKPOINT.text.replace("\n5\n", "\n6\n"), ""])
def test_a_cosignature_of_another_text_does_not_hold(text: str) -> None:
    made = cosigner()
    with pytest.raises(NoteRefused):
        made.key.time_of(text, read_signatures(made.cosign(CHECKPOINT.text)))


def test_a_clock_that_cannot_be_right_signs_nothing() -> None:
    for at in (-1.0, 2.0**63):
        with pytest.raises(ValueError, match="clock"):
            cosigner(at=at).cosign(CHECKPOINT.text)


def test_a_time_beyond_all_dates_is_refused_not_a_crash() -> None:
    made = cosigner(at=2.0**62)
    with pytest.raises(NoteRefused):
        made.key.time_of(CHECKPOINT.text, read_signatures(made.cosign(CHECKPOINT.text)))


def test_a_policy_counts_witnesses() -> None:
    one, two, three = cosigner(), cosigner("witness.example/w2", 6), cosigner("witness.example/w3", 7)
    keys = [one.key, two.key, three.key]
    note = cosigned(one, three)
    assert set(WitnessPolicy(keys=keys, required=2).cosigned_by(note)) == {one.key.name, three.key.name}
    with pytest.raises(NoteRefused, match="expected 3, got 2"):
        WitnessPolicy(keys=keys, required=3).cosigned_by(note)
    with pytest.raises(NoteRefused, match="expected 1, got 0"):
        WitnessPolicy(keys=[two.key], required=1).cosigned_by(note)
    assert WitnessPolicy().cosigned_by(note) == {}


def test_one_witness_under_two_names_counts_once() -> None:
    one = cosigner()
    same = cosigner("witness.example/alias")
    with pytest.raises(ValueError, match="twice"):
        WitnessPolicy(keys=[one.key, same.key], required=2)


def test_two_keys_of_one_witness_count_once() -> None:
    old, new = cosigner(seed=5), cosigner(seed=6)
    policy = WitnessPolicy(keys=[old.key, new.key], required=1)
    assert len(policy.cosigned_by(cosigned(old, new))) == 1
    assert len(policy.cosigned_by(cosigned(old))) == 1
    with pytest.raises(NoteRefused):
        WitnessPolicy(keys=[old.key, new.key], required=2).cosigned_by(cosigned(old, new))


@pytest.mark.parametrize("required", [-1, 1])
def test_a_policy_that_nothing_could_fulfil_is_refused(required: int) -> None:
    with pytest.raises(ValueError, match="required"):
        WitnessPolicy(required=required)


def test_a_broken_signature_of_a_known_witness_spoils_the_note_even_if_others_suffice() -> None:
    """Signed-note: if a signature from a known key fails to verify, reject the whole note."""
    one, two = cosigner(), cosigner("witness.example/w2", 6)
    (line,) = read_signatures(two.cosign("another\n5\nAAAA\n"))
    note = add_signatures(cosigned(one), [line.line])
    with pytest.raises(NoteRefused):
        WitnessPolicy(keys=[one.key, two.key], required=1).cosigned_by(note)


def test_lines_are_added_once() -> None:
    line = cosigner().cosign(CHECKPOINT.text)
    assert add_signatures(add_signatures(NOTE, [line]), [line, line]) == NOTE + line


@pytest.mark.parametrize("text", ["AAAB", "AAA=", "AA=="])
def test_base64_has_one_spelling(text: str) -> None:
    decode_base64(text)
    for other in (text.replace("A=", "B="), text + "\n", " " + text, text.rstrip("="), text[:-1] + "-"):
        if other != text:
            with pytest.raises(ValueError, match="base64"):
                decode_base64(other)
