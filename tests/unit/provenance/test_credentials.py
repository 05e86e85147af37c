"""Content Credentials: valid and trusted for our root, found out for one changed byte, and silent about people."""

from __future__ import annotations

import io
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image

from gateway.provenance import credentials
from gateway.provenance.certificates import CertificateRefused, load
from gateway.provenance.credentials import MAX_WORD, TRAINED_ALGORITHM, Signer, State, Statement, Verifier
from tests.unit.provenance.issuing import Authority
from tests.unit.provenance.pictures import decoded, encoded, made

STATEMENT = Statement(
    record_id="01a20320-a200-7213-8e45-855782a7aab8", model="imprimatur-embedded", policy_revision="sha256:12ab"
)
FORMS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


def _picture(media_type: str) -> bytes:
    return encoded(made("texture", 1, 256), FORMS[media_type])


@pytest.mark.parametrize("media_type", FORMS)
def test_a_signed_picture_is_trusted_and_says_what_made_it(signer: Signer, verifier: Verifier, media_type: str) -> None:
    manifest = verifier.read(signer.sign(_picture(media_type), media_type, STATEMENT), media_type)
    assert (manifest.state, manifest.problems) == (State.TRUSTED, ())
    assert manifest.is_generated
    assert (manifest.record_id, manifest.model, manifest.policy_revision) == (
        STATEMENT.record_id,
        STATEMENT.model,
        STATEMENT.policy_revision,
    )
    assert manifest.generator == "Imprimatur"


@pytest.mark.parametrize("media_type", FORMS)
def test_pixels_stay_and_little_is_added(signer: Signer, media_type: str) -> None:
    plain = _picture(media_type)
    signed = signer.sign(plain, media_type, STATEMENT)
    assert (decoded(signed) == decoded(plain)).all()
    assert 0 < len(signed) - len(plain) < 5_000


def test_the_sdks_own_reader_agrees(signer: Signer, anchors: bytes) -> None:
    """Nothing of ours in between: what any other product that uses the library would say."""
    signed = signer.sign(_picture("image/png"), "image/png", STATEMENT)
    settings = c2pa.Settings.from_dict({"trust": {"user_anchors": anchors.decode()}, "verify": {"verify_trust": True}})
    with c2pa.Context(settings) as context, c2pa.Reader("image/png", io.BytesIO(signed), context=context) as reader:
        told = json.loads(reader.json())
    assert told["validation_state"] == "Trusted"
    (manifest,) = told["manifests"].values()
    assert "thumbnail" not in manifest
    (actions,) = [a for a in manifest["assertions"] if a["label"].startswith("c2pa.actions")]
    (action,) = actions["data"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", TRAINED_ALGORITHM)


@pytest.mark.parametrize("media_type", FORMS)
def test_one_changed_byte_is_found_wherever_it_says_or_shows_something(
    signer: Signer, verifier: Verifier, media_type: str
) -> None:
    """The format leaves its own padding and the names of its boxes unsigned: a change there
    is not found, and it changes nothing that is told. In the picture none goes unseen."""
    plain = _picture(media_type)
    signed = signer.sign(plain, media_type, STATEMENT)
    told = verifier.read(signed, media_type)
    start = signed.index(b"jumb")
    statement = range(start, start + len(signed) - len(plain))
    random = np.random.default_rng(1)
    unseen = 0
    for place in [*random.integers(0, len(signed), 60).tolist(), *range(start, start + 3600, 45), len(signed) // 2]:
        changed = bytearray(signed)
        changed[place] ^= 1 << int(random.integers(8))
        manifest = verifier.read(bytes(changed), media_type)
        if manifest.state not in (State.INVALID, State.ABSENT):
            assert place in statement, place
            assert manifest == told, place
            unseen += 1
    assert unseen < 40, "about a third of a manifest is padding"


def test_a_statement_moved_to_another_picture_is_found(signer: Signer, verifier: Verifier) -> None:
    one, other = _picture("image/png"), encoded(made("clouds", 9, 256), "PNG")
    signed = signer.sign(one, "image/png", STATEMENT)
    start = signed.index(b"caBX") - 4
    end = start + 12 + int.from_bytes(signed[start : start + 4], "big")
    chunk = signed[start:end]
    moved = other[:33] + chunk + other[33:]
    assert verifier.read(moved, "image/png").state is State.INVALID


def test_a_stranger_s_signature_holds_but_is_not_trusted(tmp_path: Path, verifier: Verifier, signer: Signer) -> None:
    stranger = Authority()
    other = Signer([load(*stranger.signer(tmp_path))], lambda: datetime.now(UTC))
    signed = other.sign(_picture("image/png"), "image/png", STATEMENT)
    assert verifier.read(signed, "image/png").state is State.UNTRUSTED
    assert Verifier(stranger.pem).read(signed, "image/png").state is State.TRUSTED
    assert Verifier().read(signer.sign(_picture("image/png"), "image/png", STATEMENT), "image/png").state is (
        State.UNTRUSTED
    )


@pytest.mark.parametrize("kind", ["Es256", "Ed25519", "Ps256"])
def test_each_kind_of_key_signs(tmp_path: Path, kind: str) -> None:
    authority = Authority()
    own = Signer([load(*authority.signer(tmp_path, kind=kind))], lambda: datetime.now(UTC))
    signed = own.sign(_picture("image/jpeg"), "image/jpeg", STATEMENT)
    assert Verifier(authority.pem).read(signed, "image/jpeg").state is State.TRUSTED


def test_after_a_rotation_old_pictures_are_still_trusted(tmp_path: Path) -> None:
    first, second = Authority(), Authority()
    now = datetime.now(UTC)
    old = load(*first.signer(tmp_path, "old", begins=now - timedelta(days=5)))
    new = load(*second.signer(tmp_path, "new", begins=now - timedelta(days=1)))
    signed = Signer([old], lambda: now).sign(_picture("image/png"), "image/png", STATEMENT)
    rotated = Signer([old, new], lambda: now)
    assert rotated.current() is new
    both = Verifier(first.pem + second.pem)
    assert both.read(signed, "image/png").state is State.TRUSTED
    assert both.read(rotated.sign(_picture("image/png"), "image/png", STATEMENT), "image/png").state is State.TRUSTED


def test_a_certificate_that_ended_is_told_apart_from_a_changed_picture(tmp_path: Path) -> None:
    import time

    authority = Authority()
    begins = datetime.now(UTC) - timedelta(minutes=1)
    short = load(*authority.signer(tmp_path, begins=begins, lasting=timedelta(minutes=1, seconds=2)))
    signed = Signer([short], lambda: datetime.now(UTC)).sign(_picture("image/png"), "image/png", STATEMENT)
    changed = bytearray(signed)
    changed[-40] ^= 1
    while datetime.now(UTC) <= short.valid_until:
        time.sleep(0.1)
    time.sleep(1)
    assert Verifier(authority.pem).read(signed, "image/png").state is State.EXPIRED
    assert Verifier(authority.pem).read(bytes(changed), "image/png").state is State.INVALID


def test_nothing_is_signed_when_no_certificate_is_valid(tmp_path: Path) -> None:
    clock = [datetime.now(UTC)]
    own = Signer([load(*Authority().signer(tmp_path))], lambda: clock[0])
    clock[0] += timedelta(days=400)
    with pytest.raises(CertificateRefused, match="valid now"):
        own.sign(_picture("image/png"), "image/png", STATEMENT)
    with pytest.raises(CertificateRefused, match="valid now"):
        Signer([], lambda: clock[0])


def test_a_saved_copy_has_no_manifest(signer: Signer, verifier: Verifier) -> None:
    signed = signer.sign(_picture("image/png"), "image/png", STATEMENT)
    out = io.BytesIO()
    Image.open(io.BytesIO(signed)).save(out, "PNG")
    assert verifier.read(out.getvalue(), "image/png").state is State.ABSENT


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBP"])
@pytest.mark.parametrize("media_type", FORMS)
def test_rubbish_is_never_trusted_and_never_raises(verifier: Verifier, data: bytes, media_type: str) -> None:
    assert verifier.read(data, media_type).state in (State.INVALID, State.ABSENT)


def test_a_torn_file_is_never_trusted(signer: Signer, verifier: Verifier) -> None:
    signed = signer.sign(_picture("image/webp"), "image/webp", STATEMENT)
    for length in range(20, len(signed), len(signed) // 40):
        assert verifier.read(signed[:length], "image/webp").state in (State.INVALID, State.ABSENT), length


def test_words_of_strangers_are_cut_and_harmless(signer: Signer, verifier: Verifier) -> None:
    hostile = Statement(record_id="\x1b[2J\u202e\n<script>", model="m" * 5_000, policy_revision="r")
    manifest = verifier.read(signer.sign(_picture("image/png"), "image/png", hostile), "image/png")
    assert manifest.record_id == "[2J<script>"
    assert len(manifest.model) == MAX_WORD


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"validation_state": "Trusted", "manifests": [], "active_manifest": {}},
        {
            "validation_state": 7,
            "validation_status": [None, {"code": {}}],
            "manifests": {"a": 3},
            "active_manifest": "a",
        },
        {
            "active_manifest": "a",
            "manifests": {"a": {"assertions": [{"label": 3, "data": [1]}, 4], "signature_info": []}},
        },
        {
            "active_manifest": "a",
            "manifests": {"a": {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [None, []]}}]}},
        },
    ],
)
def test_a_report_of_any_shape_is_read(told: dict[str, Any]) -> None:
    manifest = credentials._manifest(told)
    assert not manifest.is_generated
    assert manifest.record_id == ""


def test_neither_signing_nor_reading_goes_to_the_network(
    signer: Signer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The native library opens sockets by itself, so its settings are what is held; and Python's are watched."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("went to the network"))
    assert verifier.read(signer.sign(_picture("image/png"), "image/png", STATEMENT), "image/png").state is State.TRUSTED
    assert verifier._settings["verify"]["remote_manifest_fetch"] is False
    assert verifier._settings["verify"]["ocsp_fetch"] is False


def test_other_types_are_refused(signer: Signer) -> None:
    with pytest.raises(ValueError, match="expected a PNG, JPEG or WebP"):
        signer.sign(b"GIF89a", "image/gif", STATEMENT)


def test_what_cannot_be_signed_is_an_error_without_its_bytes(signer: Signer) -> None:
    with pytest.raises(credentials.SigningFailed) as caught:
        signer.sign(b"secret words", "image/png", STATEMENT)
    assert "secret" not in str(caught.value)
