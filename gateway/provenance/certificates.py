"""The certificates that sign Content Credentials: loading, choosing, and making a set for a first start.

A signer's certificate must say that it is for this: the extended key usage `c2pa-kp-claimSigning`, or one of the older
ones (C2PA specification, chapter "Trust Model", on X.509 certificates). Of several, the one that became valid last
signs; the others may go, because what they signed is checked by their root and not by them.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLAIM_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""`c2pa-kp-claimSigning`."""
DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""RFC 9336."""
USAGES: Final = frozenset({CLAIM_SIGNING, DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION})
"""What a certificate that signs Content Credentials is for. Readers without settings of their own know the last."""
MAX_BYTES: Final = 64 << 10
CHAIN_NAME: Final = "signer.chain.pem"
KEY_NAME: Final = "signer.key"
ROOT_NAME: Final = "root.pem"
_YEAR: Final = timedelta(days=365)
MIN_RSA_BITS: Final = 2048

Algorithm = Literal["Es256", "Ed25519", "Ps256"]


class CertificateRefused(Exception):
    """A file of this room (certificate, chain, key, secret, list) can't be used. Says which and why, never what is in a
    key."""


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """A key with its chain, the signer's own certificate first; checked to belong together."""

    algorithm: Algorithm
    chain: bytes
    """PEM, without the root."""
    key: bytes = field(repr=False)
    """PKCS #8 in PEM."""
    valid_from: datetime
    valid_until: datetime
    fingerprint: str
    """SHA-256 of the signer's certificate, in hexadecimal."""


def read_file(path: Path, *, is_private: bool = False) -> bytes:
    """Its bytes. Raises CertificateRefused when it is missing, too large, no file, or a key that others can read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CertificateRefused(
            f"{path}: {error.strerror}. Make a first set with: imprimatur provenance init"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)  # of the open file: it can't be swapped between check and read
        if not stat.S_ISREG(status.st_mode):
            raise CertificateRefused(f"{path}: is no file")
        if is_private and status.st_mode & 0o077:
            raise CertificateRefused(f"{path}: others can read it. Mend it with: chmod 600 {path}")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise CertificateRefused(f"{path}: is larger than {MAX_BYTES} bytes")
    return data


def read_anchors(paths: Iterable[Path]) -> bytes:
    """Root certificates, as one PEM text. Raises CertificateRefused for a file that has none."""
    found: list[bytes] = []
    for path in paths:
        for certificate in _certificates(path):
            try:
                is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            except x509.ExtensionNotFound:
                is_authority = False
            if not is_authority:
                raise CertificateRefused(f"{path}: holds a certificate that is no authority; an anchor must be one")
            found.append(certificate.public_bytes(serialization.Encoding.PEM))
    return b"".join(dict.fromkeys(found))


def load(chain_path: Path, key_path: Path) -> SigningCertificate:
    """Raises CertificateRefused unless key and chain belong together, each certificate is signed by the next, and the
    first may sign Content Credentials."""
    certificates = _certificates(chain_path)
    data = read_file(key_path, is_private=True)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError):
        raise CertificateRefused(f"{key_path}: is no private key in PEM without a password") from None
    algorithm: Algorithm
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm = "Es256"
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = "Ed25519"
    elif isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        algorithm = "Ps256"
    else:
        raise CertificateRefused(f"{key_path}: expected a P-256, an Ed25519, or an RSA key of {MIN_RSA_BITS} bits")
    own = certificates[0]
    if own.public_key() != key.public_key():
        raise CertificateRefused(f"{chain_path}: its first certificate is not that of the key {key_path}")
    for below, above in itertools.pairwise(certificates):
        try:
            below.verify_directly_issued_by(above)
        except (InvalidSignature, ValueError, TypeError):
            raise CertificateRefused(
                f"{chain_path}: {_name(below)} is not signed by the one after it. Put the signer's certificate first"
            ) from None
    try:
        usages = set(own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usages = set()
    if not usages & USAGES:
        raise CertificateRefused(
            f"{chain_path}: {_name(own)} is not for signing Content Credentials. Ask your authority for the extended "
            f"key usage {CLAIM_SIGNING.dotted_string} (c2pa-kp-claimSigning)"
        )
    pem = serialization.Encoding.PEM
    # A root in the chain proves nothing and costs bytes in every picture.
    sent = [c for place, c in enumerate(certificates) if place == 0 or c.issuer != c.subject]
    return SigningCertificate(
        algorithm=algorithm,
        chain=b"".join(certificate.public_bytes(pem) for certificate in sent),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        valid_from=own.not_valid_before_utc,
        valid_until=min(certificate.not_valid_after_utc for certificate in certificates),
        fingerprint=own.fingerprint(hashes.SHA256()).hex(),
    )


def newest(certificates: Iterable[SigningCertificate], now: datetime) -> SigningCertificate:
    """The one to sign with. Raises CertificateRefused when none is valid now."""
    known = list(certificates)
    valid = [c for c in known if c.valid_from <= now < c.valid_until]
    if not valid:
        ends = max((c.valid_until for c in known), default=None)
        raise CertificateRefused(
            "no certificate for Content Credentials is valid now"
            + (f"; the last one ended or begins elsewhere, valid until {ends:%Y-%m-%d %H:%M} UTC" if ends else "")
        )
    return max(valid, key=lambda c: c.valid_from)


def make_demonstration_set(
    directory: Path, now: datetime, organization: str = "Imprimatur demonstration"
) -> list[Path]:
    """A root, an intermediate and a signer of its own (ES256), each for a while: for a first start, not for a company.
    The keys of the two authorities are forgotten at once, so nobody can sign in their name later.

    Returns what was made: nothing when a set is there already, which is never touched. Keys have mode 0600.
    """
    chain_path, key_path, root_path = (directory / name for name in (CHAIN_NAME, KEY_NAME, ROOT_NAME))
    there = [path for path in (chain_path, key_path, root_path) if path.exists()]
    if len(there) == 3:
        return []
    if there:
        raise CertificateRefused(
            f"{directory}: only {there[0].name} of a set is there. Move it away, or bring the rest"
        )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    names = [_distinguished(organization, name) for name in ("root", "issuing authority", "gateway")]
    root = _issue(names[0], names[0], keys[0], keys[0], now, 10 * _YEAR, authority_depth=1)
    issuing = _issue(names[1], names[0], keys[1], keys[0], now, 5 * _YEAR, authority_depth=0)
    signer = _issue(names[2], names[1], keys[2], keys[1], now, 2 * _YEAR, authority_depth=None)
    pem = serialization.Encoding.PEM
    own = keys[2].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(key_path, own, 0o600)
    _write(chain_path, signer.public_bytes(pem) + issuing.public_bytes(pem), 0o644)
    _write(root_path, root.public_bytes(pem), 0o644)
    return [key_path, chain_path, root_path]


def _issue(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lasting: timedelta,
    *,
    authority_depth: int | None,
) -> x509.Certificate:
    """By the certificate profile of the C2PA specification: version 3, key usage critical, both key identifiers."""
    is_authority = authority_depth is not None
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks of readers differ
        .not_valid_after(now + lasting)
        .add_extension(x509.BasicConstraints(is_authority, authority_depth), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_authority:
        usages = [CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _distinguished(organization: str, name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{organization} {name}"),
        ]
    )


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(read_file(path))
    except ValueError:
        raise CertificateRefused(f"{path}: holds no certificates in PEM") from None


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
