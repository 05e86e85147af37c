"""The Ed25519 key that signs checkpoints, as a PKCS #8 PEM file."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from audit.errors import KeyRefused
from audit.keys.files import create_private, read_private
from audit.note import NoteSigner
from audit.store.disk import Disk


def load_signer(path: Path, origin: str) -> NoteSigner:
    """Signer under the log's origin. Raises ``KeyRefused`` for a missing, open or foreign key file."""
    data = read_private(path, "signing key")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRefused(f"signing key {path} is not an unencrypted PEM private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyRefused(f"signing key {path} is not an Ed25519 key")
    return NoteSigner(origin, key)


def create_signer(path: Path, origin: str, disk: Disk) -> NoteSigner:
    """Create a fresh signing key durably, mode 0600. Raises ``FileExistsError`` rather than replace one."""
    key = Ed25519PrivateKey.generate()
    create_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), disk)
    return NoteSigner(origin, key)
