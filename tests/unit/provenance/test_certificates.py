"""Certificates are taken when they can sign and refused with a reason when they can't, before the first picture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.provenance import certificates
from gateway.provenance.certificates import (
    CHAIN_NAME,
    CLAIM_SIGNING,
    DOCUMENT_SIGNING,
    KEY_NAME,
    ROOT_NAME,
    CertificateRefused,
    load,
    make_demonstration_set,
    newest,
    read_anchors,
)
from tests.unit.provenance.issuing import Authority

NOW = datetime.now(UTC)


@pytest.mark.parametrize("kind", ["Es256", "Ed25519", "Ps256"])
def test_three_kinds_of_keys_are_known(tmp_path: Path, kind: str) -> None:
    assert load(*Authority().signer(tmp_path, kind=kind)).algorithm == kind


@pytest.mark.parametrize("kind", ["P-384", "short RSA"])
def test_other_keys_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CertificateRefused, match="expected a P-256"):
        load(*Authority().signer(tmp_path, kind=kind))


def test_the_root_stays_out_of_the_chain_that_travels(tmp_path: Path) -> None:
    loaded = load(*Authority().signer(tmp_path))
    assert loaded.chain.count(b"BEGIN CERTIFICATE") == 1
    assert "PRIVATE" not in repr(loaded)


@pytest.mark.parametrize("usages", [(CLAIM_SIGNING,), (DOCUMENT_SIGNING,), (ExtendedKeyUsageOID.EMAIL_PROTECTION,)])
def test_each_usage_that_the_specification_names_may_sign(
    tmp_path: Path, usages: tuple[x509.ObjectIdentifier, ...]
) -> None:
    assert load(*Authority().signer(tmp_path, usages=usages))


@pytest.mark.parametrize("usages", [None, (ExtendedKeyUsageOID.SERVER_AUTH,)])
def test_a_certificate_for_something_else_is_refused(
    tmp_path: Path, usages: tuple[x509.ObjectIdentifier, ...] | None
) -> None:
    with pytest.raises(CertificateRefused, match=r"Ask your authority for .* 1\.3\.6\.1\.4\.1\.62558\.2\.1"):
        load(*Authority().signer(tmp_path, usages=usages))


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    chain, key = Authority().signer(tmp_path)
    key.chmod(0o640)
    with pytest.raises(CertificateRefused, match="chmod 600"):
        load(chain, key)


def test_key_and_chain_belong_together(tmp_path: Path) -> None:
    authority = Authority()
    chain, _ = authority.signer(tmp_path, "one")
    _, key = authority.signer(tmp_path, "two")
    with pytest.raises(CertificateRefused, match="not that of the key"):
        load(chain, key)


def test_a_chain_in_disorder_is_refused(tmp_path: Path) -> None:
    chain, key = Authority().signer(tmp_path)
    chain.write_bytes(
        chain.read_bytes().partition(b"-----END CERTIFICATE-----\n")[0]
        + b"-----END CERTIFICATE-----\n"
        + Authority().pem
    )
    with pytest.raises(CertificateRefused, match="is not signed by the one after it"):
        load(chain, key)


@pytest.mark.parametrize("text", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_files_without_certificates_are_named(tmp_path: Path, text: bytes) -> None:
    chain, key = Authority().signer(tmp_path)
    chain.write_bytes(text)
    with pytest.raises(CertificateRefused, match=r"signer\.pem: holds no certificates"):
        load(chain, key)


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(CertificateRefused, match="imprimatur provenance init"):
        load(tmp_path / "no.pem", tmp_path / "no.key")


def test_a_file_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    chain, key = Authority().signer(tmp_path)
    chain.write_bytes(b"x" * (certificates.MAX_BYTES + 1))
    with pytest.raises(CertificateRefused, match="larger than"):
        load(chain, key)


def test_the_newest_valid_certificate_signs(tmp_path: Path) -> None:
    authority = Authority()

    def begun(days: int, name: str) -> certificates.SigningCertificate:
        return load(*authority.signer(tmp_path, name, begins=NOW + timedelta(days=days), lasting=timedelta(days=10)))

    ended, old, new, next_one = begun(-20, "a"), begun(-5, "b"), begun(-1, "c"), begun(3, "d")
    everyone = [next_one, old, new, ended]
    assert newest(everyone, NOW) is new
    assert newest(everyone, NOW + timedelta(days=4)) is next_one
    assert newest([ended, old], NOW) is old
    with pytest.raises(CertificateRefused, match="valid now"):
        newest(everyone, NOW + timedelta(days=30))
    with pytest.raises(CertificateRefused, match="valid now"):
        newest([], NOW)


def test_a_signers_certificate_is_no_anchor(tmp_path: Path) -> None:
    chain, _ = Authority().signer(tmp_path)
    with pytest.raises(CertificateRefused, match="is no authority"):
        read_anchors([chain])


def test_a_first_set_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "provenance"
    made = make_demonstration_set(folder, NOW)
    assert {path.name for path in made} == {CHAIN_NAME, KEY_NAME, ROOT_NAME}
    assert (folder / KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    before = {path: path.read_bytes() for path in made}
    assert make_demonstration_set(folder, NOW) == []
    assert {path: path.read_bytes() for path in made} == before
    assert b"PRIVATE" not in before[folder / CHAIN_NAME] + before[folder / ROOT_NAME]
    loaded = load(folder / CHAIN_NAME, folder / KEY_NAME)
    assert loaded.chain.count(b"BEGIN CERTIFICATE") == 2
    assert read_anchors([folder / ROOT_NAME]).count(b"BEGIN CERTIFICATE") == 1


def test_half_a_set_is_not_filled_up(tmp_path: Path) -> None:
    made = make_demonstration_set(tmp_path / "set", NOW)
    made[0].unlink()
    with pytest.raises(CertificateRefused, match="only"):
        make_demonstration_set(tmp_path / "set", NOW)
