"""Signatures of bundles in OPA's form: `.signatures.json` holds a JWT (RFC 7515) over the hash of every other file.

https://www.openpolicyagent.org/docs/management-bundles#signing. The key's id is explicit on both sides: a verifier
that takes whichever key fits would take the key of another purpose. OPA checks files, key id and scope. It knows no
age and no order, so whoever replays an older, well signed bundle is not stopped by it; `verify` here is, by `iat`
(RFC 7519, 4.1.6).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.policy.bundle import MANIFEST, BundleRefused, Problem
from gateway.policy.tarball import SIGNATURES

SCOPE: Final = "write"
"""What OPA's documentation signs bundles for; both ends must name the same one."""
HASH: Final = "SHA-256"
MIN_RSA_BITS: Final = 2048  # NIST SP 800-131A: less is not acceptable
CLOCKS_APART: Final = timedelta(minutes=5)
MAX_KEY_ID: Final = 64
STRUCTURED: Final = ("data.json", "data.yaml", "data.yml", MANIFEST)
"""Files whose content OPA hashes, not their bytes (`bundle.IsStructuredDoc`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a good signature says."""

    key_id: str
    signed_at: datetime
    revision: str


class SigningKey:
    """A private key and the id that verifiers know it by."""

    def __init__(self, pem: bytes, key_id: str) -> None:
        """Raises ValueError for a key that can't be used here. `pem` is never quoted."""
        if not key_id or len(key_id) > MAX_KEY_ID or not key_id.isprintable():
            raise ValueError("the signing key needs an id of 1 to 64 printable characters")
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("the signing key is no unencrypted private key in PEM") from None
        self.key_id: Final = key_id
        self.algorithm: Final = _algorithm(key.public_key())
        self._key = ECKey.import_key(pem) if self.algorithm == "ES256" else RSAKey.import_key(pem)
        self.public_pem: Final = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.fingerprint: Final = hashlib.sha256(self.public_pem).hexdigest()[:12]

    @classmethod
    def read(cls, path: Path, key_id: str) -> SigningKey:
        """Raises OSError, or ValueError that names the file."""
        try:
            return cls(path.read_bytes(), key_id)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def sign(self, files: Mapping[str, bytes], at: datetime) -> bytes:
        """The `.signatures.json` for `files`, which must be all that the bundle will hold."""
        if SIGNATURES in files:
            raise ValueError("sign the files without their older signature")
        claims = {
            "files": [{"name": name, "hash": _hash(name, files[name]), "algorithm": HASH} for name in sorted(files)],
            "iat": int(at.timestamp()),
            "iss": "imprimatur",
            "keyid": self.key_id,
            "scope": SCOPE,
        }
        header = {"alg": self.algorithm, "kid": self.key_id}
        token = jws.serialize_compact(header, json.dumps(claims).encode(), self._key, [self.algorithm])
        return json.dumps({"signatures": [token]}).encode()


def make_key() -> bytes:
    """A new private key (P-256) in PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def verify(
    files: Mapping[str, bytes],
    keys: Mapping[str, bytes],
    *,
    now: datetime,
    max_age: timedelta | None = None,
    not_before: datetime | None = None,
) -> Signed:
    """What the signature over `files` says; `keys` are public keys in PEM by id.

    Refused with BundleRefused: no signature or another's, a key id that is not in `keys`, any file that was added,
    removed or changed, one signed in the future, before `not_before` (when the bundle in force was signed: a
    rollback that nobody signed anew), or more than `max_age` ago.
    """
    claims, key_id = _claims(files, keys)
    if claims.get("scope") != SCOPE:
        raise _refused(SIGNATURES, f"is signed for another scope than {SCOPE}")
    signed_at = _signed_at(claims)
    if signed_at > now + CLOCKS_APART:
        raise _refused(SIGNATURES, f"is signed in the future ({signed_at.isoformat()})")
    if max_age is not None and now - signed_at > max_age:
        raise _refused(SIGNATURES, f"is stale: signed {signed_at.isoformat()}, more than {max_age} ago")
    if not_before is not None and signed_at < not_before:
        raise _refused(SIGNATURES, f"is older ({signed_at.isoformat()}) than the bundle in force: a rollback")
    _check_files(files, claims)
    return Signed(key_id=key_id, signed_at=signed_at, revision=_revision(files))


def _claims(files: Mapping[str, bytes], keys: Mapping[str, bytes]) -> tuple[dict[str, Any], str]:
    try:
        (token,) = json.loads(files[SIGNATURES])["signatures"]
    except KeyError:
        raise _refused(SIGNATURES, "is missing: only signed bundles count") from None
    except (ValueError, TypeError):
        raise _refused(SIGNATURES, 'expected {"signatures": ["one JWT"]}') from None
    try:
        unverified = jws.extract_compact(str(token).encode())
        payload = json.loads(unverified.payload)
        # The token only chooses among our keys, by name; its own word on the algorithm is not asked.
        named = unverified.headers().get("kid") or payload["keyid"]
        if named != payload["keyid"]:
            raise _refused(SIGNATURES, "names two keys")
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        raise _refused(SIGNATURES, "holds no token that names its key") from None
    pem = keys.get(str(named))
    if pem is None:
        raise _refused(SIGNATURES, "is signed by a key whose id is not known here")
    try:
        algorithm = _algorithm(serialization.load_pem_public_key(pem))
        key = ECKey.import_key(pem) if algorithm == "ES256" else RSAKey.import_key(pem)
        checked = jws.deserialize_compact(str(token).encode(), key, [algorithm])
    except (JoseError, ValueError, TypeError, UnsupportedAlgorithm):
        raise _refused(SIGNATURES, "does not verify with the key that it names") from None
    claims = json.loads(checked.payload)
    return claims, str(named)


def _signed_at(claims: Mapping[str, Any]) -> datetime:
    issued = claims.get("iat")
    if not isinstance(issued, int) or isinstance(issued, bool) or not 0 <= issued < 1 << 40:
        raise _refused(SIGNATURES, "does not say when it was made")
    return datetime.fromtimestamp(issued, UTC)


def _check_files(files: Mapping[str, bytes], claims: Mapping[str, Any]) -> None:
    try:
        listed = {str(file["name"]): (str(file["hash"]), file["algorithm"]) for file in claims["files"]}
    except (KeyError, TypeError):
        raise _refused(SIGNATURES, "lists no files") from None
    problems = []
    for name in sorted(set(files) | set(listed)):
        if name == SIGNATURES:
            continue
        if name not in listed:
            problems.append(Problem(name, 0, 0, "was added after the bundle was signed"))
        elif name not in files:
            problems.append(Problem(name, 0, 0, "was removed after the bundle was signed"))
        elif listed[name][1] != HASH or not hmac.compare_digest(_hash(name, files[name]), listed[name][0]):
            problems.append(Problem(name, 0, 0, "was changed after the bundle was signed"))
    if problems:
        raise BundleRefused(*problems)


def _revision(files: Mapping[str, bytes]) -> str:
    try:
        return str(json.loads(files[MANIFEST])["revision"])
    except (KeyError, ValueError, TypeError):
        raise _refused(MANIFEST, "does not name a revision") from None


def _algorithm(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return "RS256"
    raise ValueError(f"expected a P-256 key or RSA of {MIN_RSA_BITS} bits or more")


def _refused(path: str, message: str) -> BundleRefused:
    return BundleRefused(Problem(path, 0, 0, message))


class _Number(str):
    """A number as its file writes it: OPA hashes its digits, not its value."""

    __slots__ = ()


def _hash(name: str, content: bytes) -> str:
    """OPA's `bundle.hasher`: structured files by their content with keys in order, all others by their bytes."""
    if name.rpartition("/")[2] not in STRUCTURED:
        return hashlib.sha256(content).hexdigest()
    try:
        value = json.loads(content, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        raise _refused(name, "is no JSON, which OPA would hash") from None
    return hashlib.sha256(_walk(value).encode()).hexdigest()


def _walk(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_go_text(key)}:{_walk(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_walk, value)) + "]"
    if isinstance(value, _Number):
        return str.__str__(value)
    return _go_text(value) if isinstance(value, str) else json.dumps(value)


def _go_text(text: str) -> str:
    """A string as Go's `encoding/json` writes it without HTML escapes: UTF-8 as it is, but for U+2028 and U+2029."""
    return json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
