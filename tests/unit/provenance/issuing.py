"""Certificates of every kind that a company's authority might hand out, right and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from gateway.provenance.certificates import CLAIM_SIGNING

PEM = serialization.Encoding.PEM


class Authority:
    """A root that issues signers' certificates."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("Test root")
        self.certificate = self._issue(self.name, self.key.public_key(), _now(), timedelta(days=30), is_authority=True)
        self.pem = self.certificate.public_bytes(PEM)

    def signer(
        self,
        folder: Path,
        name: str = "signer",
        *,
        kind: str = "Es256",
        begins: datetime | None = None,
        lasting: timedelta = timedelta(days=10),
        usages: Sequence[x509.ObjectIdentifier] | None = (CLAIM_SIGNING,),
    ) -> tuple[Path, Path]:
        """Paths of a chain (with the root, as authorities like to hand out) and of its key."""
        key: Any = {
            "Es256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "Ed25519": ed25519.Ed25519PrivateKey.generate,
            "Ps256": lambda: rsa.generate_private_key(65537, 2048),
            "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "short RSA": lambda: rsa.generate_private_key(65537, 1024),
        }[kind]()
        begins = begins or _now()
        own = self._issue(_name("Test signer"), key.public_key(), begins, lasting, usages=usages)
        chain, private = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_bytes(own.public_bytes(PEM) + self.pem)
        private.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        private.chmod(0o600)
        return chain, private

    def _issue(
        self,
        subject: x509.Name,
        public_key: Any,
        begins: datetime,
        lasting: timedelta,
        *,
        is_authority: bool = False,
        usages: Sequence[x509.ObjectIdentifier] | None = None,
    ) -> x509.Certificate:
        usage = x509.KeyUsage(not is_authority, False, False, False, False, is_authority, is_authority, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + lasting)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _now() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


def _name(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
