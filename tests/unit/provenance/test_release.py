"""The last step of a picture, and the room opened from its settings."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from gateway import cli_provenance
from gateway.prints.block_list import BlockList
from gateway.prints.fingerprint import ALIKE, fingerprint
from gateway.provenance.certificates import CHAIN_NAME, CertificateRefused
from gateway.provenance.check import Verdict
from gateway.provenance.credentials import Signer, State, Statement, Verifier
from gateway.provenance.opening import make_missing, open_provenance
from gateway.provenance.release import Released, ReleaseFailed, Releaser, handle_of
from gateway.provenance.watermark import Watermark, find
from gateway.settings import CertificateFiles, ProvenanceSettings
from tests.unit.provenance.issuing import Authority
from tests.unit.provenance.pictures import ATTACKS, decoded, encoded, made, psnr
from tests.unit.provenance.test_check import NOTHING

SECRET = b"a secret of at least 32 bytes, for tests"
MARK = Watermark(SECRET)
STATEMENT = Statement(record_id="01a20320-a200-7213-8e45-855782a7aab8", model="m", policy_revision="r")
FORMS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
PIXELS = made("texture", 11)


def _release(signer: Signer, media_type: str = "image/png", **options: int) -> Released:
    data = encoded(PIXELS, FORMS[media_type], **({} if media_type == "image/png" else {"quality": 95}))
    return Releaser(MARK, signer).release(data, media_type, STATEMENT, **options)


@pytest.mark.parametrize("media_type", FORMS)
def test_a_released_picture_is_known_by_all_three(signer: Signer, verifier: Verifier, media_type: str) -> None:
    released = _release(signer, media_type, index=2)
    assert verifier.read(released.data, media_type).state is State.TRUSTED
    found = find([MARK], decoded(released.data))
    assert found is not None
    assert found.handle == released.handle == handle_of(SECRET, STATEMENT.record_id, 2)
    assert fingerprint(decoded(released.data)).distance(released.fingerprint) <= ALIKE // 4
    assert (released.width, released.height, released.media_type) == (512, 512, media_type)


def test_a_png_is_as_near_as_promised(signer: Signer) -> None:
    assert psnr(PIXELS, decoded(_release(signer).data)) >= 40


def test_the_quality_asked_for_is_kept(signer: Signer) -> None:
    assert len(_release(signer, "image/jpeg", quality=60).data) < len(_release(signer, "image/jpeg").data) / 2


def test_each_picture_of_a_record_has_its_own_handle() -> None:
    handles = {handle_of(SECRET, record, index) for record in ("a", "b") for index in range(10)}
    assert len(handles) == 20
    assert handle_of(SECRET + b"!", "a", 0) not in handles


def test_what_shows_through_still_does(signer: Signer) -> None:
    image = Image.fromarray(PIXELS)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    out = io.BytesIO()
    image.save(out, "PNG")
    released = Releaser(MARK, signer).release(out.getvalue(), "image/png", STATEMENT)
    again = Image.open(io.BytesIO(released.data))
    assert again.mode == "RGBA"
    assert (np.asarray(again.getchannel("A")) == np.asarray(image.getchannel("A"))).all()


def test_a_picture_without_room_for_a_mark_is_signed_without(signer: Signer, verifier: Verifier) -> None:
    released = Releaser(MARK, signer).release(encoded(made("shapes", 1, 48), "PNG"), "image/png", STATEMENT)
    assert released.handle is None
    assert verifier.read(released.data, "image/png").state is State.TRUSTED


@pytest.mark.parametrize("data", [b"", b"secret words", encoded(PIXELS, "PNG")[:900], encoded(PIXELS, "JPEG")])
def test_what_is_no_picture_of_its_type_does_not_leave(signer: Signer, data: bytes) -> None:
    with pytest.raises(ReleaseFailed, match="could not be decoded") as caught:
        Releaser(MARK, signer).release(data, "image/png", STATEMENT)
    assert "secret" not in str(caught.value)


def _settings(folder: Path, **more: object) -> ProvenanceSettings:
    return ProvenanceSettings.model_validate(
        {"directory": folder / "set", "watermark_secret_path": folder / "watermark.key", **more}
    )


def _now() -> datetime:
    return datetime.now(UTC)


async def test_a_first_start_makes_what_is_missing_and_then_opens(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    with pytest.raises(CertificateRefused, match="imprimatur provenance init"):
        open_provenance(settings, _now)
    assert len(make_missing(settings, _now())) == 4
    assert make_missing(settings, _now()) == []
    assert (tmp_path / "watermark.key").stat().st_mode & 0o777 == 0o600
    opened = open_provenance(settings, _now)
    released = opened.releaser.release(encoded(PIXELS, "PNG"), "image/png", STATEMENT)
    checked = await opened.checker(NOTHING.lookups).check(released.data)
    assert checked.manifest is not None
    assert (checked.manifest.state, checked.verdict) == (State.TRUSTED, Verdict.GENERATED_ELSEWHERE)
    assert checked.watermark is not None


async def test_after_both_keys_were_changed_old_pictures_are_still_known(tmp_path: Path) -> None:
    first = _settings(tmp_path)
    make_missing(first, _now())
    old = open_provenance(first, _now).releaser.release(encoded(PIXELS, "PNG"), "image/png", STATEMENT)
    company = Authority()
    chain, key = company.signer(tmp_path)
    (tmp_path / "root.pem").write_bytes(company.pem)
    second = _settings(
        tmp_path,
        certificates=(CertificateFiles(chain_path=chain, key_path=key),),
        trust_anchor_paths=(tmp_path / "root.pem",),
        watermark_secret_path=tmp_path / "new.key",
        older_watermark_secret_paths=(tmp_path / "watermark.key",),
    )
    assert make_missing(second, _now()) == [tmp_path / "new.key"]
    opened = open_provenance(second, _now)
    checked = await opened.checker(NOTHING.lookups).check(old.data)
    assert checked.manifest is not None
    assert checked.manifest.state is State.TRUSTED
    assert checked.watermark is not None
    assert checked.watermark.handle == old.handle
    new = opened.releaser.release(encoded(PIXELS, "PNG"), "image/png", STATEMENT)
    assert Verifier(company.pem).read(new.data, "image/png").state is State.TRUSTED
    assert new.handle != old.handle


def test_a_secret_that_others_can_read_or_guess_stops_the_start(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    make_missing(settings, _now())
    (tmp_path / "watermark.key").chmod(0o644)
    with pytest.raises(CertificateRefused, match="chmod 600"):
        open_provenance(settings, _now)
    (tmp_path / "watermark.key").write_text("short")
    (tmp_path / "watermark.key").chmod(0o600)
    with pytest.raises(CertificateRefused, match="too short"):
        open_provenance(settings, _now)


def test_a_list_that_can_t_be_read_stops_the_start(tmp_path: Path) -> None:
    listed = tmp_path / "blocked.txt"
    settings = _settings(tmp_path, block_list_path=listed)
    make_missing(settings, _now())
    with pytest.raises(CertificateRefused, match=r"blocked\.txt"):
        open_provenance(settings, _now)
    listed.write_text("nonsense x\n")
    with pytest.raises(CertificateRefused, match="line 1"):
        open_provenance(settings, _now)
    listed.write_text("a" * 64 + " a list\n#window torn a list\n")
    with pytest.raises(CertificateRefused, match="line 2"):
        open_provenance(settings, _now)
    listed.write_text("a" * 64 + " a list\n")
    assert list(open_provenance(settings, _now).blocked) == list(BlockList.read(listed.read_text()))


@pytest.fixture
def command(tmp_path: Path) -> typer.Typer:
    app = typer.Typer()
    cli_provenance.add_to(app, lambda _: _settings(tmp_path))
    return app


def test_the_command_makes_shows_and_checks(command: typer.Typer, tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(command, ["provenance", "show"]).exit_code == 1
    made_it = run(command, ["provenance", "init"])
    assert made_it.exit_code == 0
    assert f"{tmp_path / 'set' / CHAIN_NAME}: made" in made_it.output
    assert "Nothing was missing" in run(command, ["provenance", "init"]).output
    shown = run(command, ["provenance", "show"]).output
    assert "signs now" in shown
    assert "PRIVATE" not in made_it.output + shown
    opened = open_provenance(_settings(tmp_path), _now)
    released = opened.releaser.release(encoded(PIXELS, "PNG"), "image/png", STATEMENT)
    signed, saved, other = tmp_path / "signed.png", tmp_path / "saved.jpg", tmp_path / "other.png"
    signed.write_bytes(released.data)
    saved.write_bytes(encoded(ATTACKS["cut 10 %, all around"](decoded(released.data)), "JPEG", quality=75))
    other.write_bytes(encoded(made("clouds", 3), "PNG"))
    told = run(command, ["provenance", "check", str(signed)])
    assert (told.exit_code, STATEMENT.record_id in told.output) == (0, True)
    told = run(command, ["provenance", "check", str(saved)])
    assert (told.exit_code, f"{released.handle:012x}" in told.output) == (0, True)
    assert run(command, ["provenance", "check", str(other)]).exit_code == 1
    other.write_bytes(b"no picture")
    assert run(command, ["provenance", "check", str(other)]).exit_code == 2, "not looked at is no no"
    assert run(command, ["provenance", "check", str(tmp_path / "none.png")]).exit_code == 2
