"""Signatures of bundles: OPA's form, and every way to pass off one that was not signed like this."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from gateway.policy.bundle import BundleRefused
from gateway.policy.signing import SigningKey, _hash, make_key, verify
from gateway.policy.tarball import SIGNATURES

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
KEY = SigningKey(make_key(), "policy-1")
OTHER = SigningKey(make_key(), "policy-2")
KEYS = {KEY.key_id: KEY.public_pem}
FILES = {
    ".manifest": b'{"revision":"2026.11.1+ab","roots":["gateway"]}',
    "data.json": b'{"gateway":{"n":1.50}}',
    "gateway/a.rego": b"package gateway\n",
}


def signed(key: SigningKey = KEY, at: datetime = NOW) -> dict[str, bytes]:
    return {**FILES, SIGNATURES: key.sign(FILES, at)}


def token_of(files: dict[str, bytes]) -> str:
    token: str = json.loads(files[SIGNATURES])["signatures"][0]
    return token


def claims_of(files: dict[str, bytes]) -> dict[str, object]:
    payload = token_of(files).split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def forged(claims: object, header: dict[str, object], key: OctKey | ECKey) -> dict[str, bytes]:
    token = jws.serialize_compact(header, json.dumps(claims).encode(), key, [str(header["alg"])])
    return {**FILES, SIGNATURES: json.dumps({"signatures": [token]}).encode()}


def pem_of(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_a_good_bundle_says_who_signed_it_and_when() -> None:
    found = verify(signed(), KEYS, now=NOW, max_age=timedelta(days=1), not_before=NOW)
    assert (found.key_id, found.signed_at, found.revision) == ("policy-1", NOW, "2026.11.1+ab")


def test_rsa_signs_too() -> None:
    key = SigningKey(pem_of(rsa.generate_private_key(65537, 2048)), "rsa-1")
    assert key.algorithm == "RS256"
    assert verify(signed(key), {"rsa-1": key.public_pem}, now=NOW).key_id == "rsa-1"


def test_the_token_has_the_claims_that_opa_reads() -> None:
    claims = claims_of(signed())
    assert (claims["keyid"], claims["scope"], claims["iat"]) == ("policy-1", "write", int(NOW.timestamp()))
    assert {f["name"] for f in claims["files"]} == set(FILES)  # type: ignore[attr-defined]
    assert {f["algorithm"] for f in claims["files"]} == {"SHA-256"}  # type: ignore[attr-defined]


def spoil(change: Callable[[dict[str, bytes]], object]) -> dict[str, bytes]:
    files = signed()
    change(files)
    return files


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (spoil(lambda f: f.pop(SIGNATURES)), "only signed bundles count"),
        (spoil(lambda f: f.update({"gateway/b.rego": b"package gateway\n"})), r"b\.rego: was added"),
        (spoil(lambda f: f.pop("gateway/a.rego")), r"a\.rego: was removed"),
        (spoil(lambda f: f.update({"gateway/a.rego": b"package gateway\nx := 1\n"})), r"a\.rego: was changed"),
        (spoil(lambda f: f.update({"data.json": b'{"gateway":{"n":1.5}}'})), r"data\.json: was changed"),
        (spoil(lambda f: f.update({".manifest": b'{"revision":"9","roots":["gateway"]}'})), r"\.manifest: was changed"),
        (spoil(lambda f: f.update({"data.json": b"{"})), "is no JSON"),
        (spoil(lambda f: f.update({SIGNATURES: b"{}"})), "only signed bundles count"),
        (spoil(lambda f: f.update({SIGNATURES: b'{"signatures": []}'})), "one JWT"),
        (spoil(lambda f: f.update({SIGNATURES: b'{"signatures": ["a", "b"]}'})), "one JWT"),
        (spoil(lambda f: f.update({SIGNATURES: b'{"signatures": ["a.b.c"]}'})), "no token that names its key"),
        (spoil(lambda f: f.update({SIGNATURES: b"\xff"})), "one JWT"),
    ],
)
def test_a_bundle_that_was_touched_is_refused(files: dict[str, bytes], says: str) -> None:
    with pytest.raises(BundleRefused, match=says):
        verify(files, KEYS, now=NOW)


def test_another_key_is_refused_by_its_id_and_under_a_stolen_id() -> None:
    with pytest.raises(BundleRefused, match="id is not known here"):
        verify(signed(OTHER), KEYS, now=NOW)
    with pytest.raises(BundleRefused, match="does not verify"):
        verify(signed(OTHER), {"policy-2": KEY.public_pem}, now=NOW)


def test_a_token_of_its_own_choice_of_algorithm_is_refused() -> None:
    """RFC 8725, 2.1: the public key taken as an HMAC secret, and `none`."""
    claims = claims_of(signed())
    secret = OctKey.import_key(KEY.public_pem.replace(b"PUBLIC KEY", b"XXXXXX XXX"))
    with pytest.raises(BundleRefused, match="does not verify"):
        verify(forged(claims, {"alg": "HS256", "kid": "policy-1"}, secret), KEYS, now=NOW)
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"policy-1"}').rstrip(b"=").decode()
    body = token_of(signed()).split(".")[1]
    bare = {**FILES, SIGNATURES: json.dumps({"signatures": [f"{head}.{body}."]}).encode()}
    with pytest.raises(BundleRefused, match="does not verify"):
        verify(bare, KEYS, now=NOW)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scope": "read"}, "another scope"),
        ({"keyid": "policy-2"}, "names two keys"),
        ({"iat": "yesterday"}, "does not say when"),
        ({"iat": True}, "does not say when"),
        ({"iat": None}, "does not say when"),
        ({"iat": -1}, "does not say when"),
        ({"iat": 1 << 60}, "does not say when"),
        ({"files": None}, "lists no files"),
        ({"files": [{"name": "a"}]}, "lists no files"),
    ],
)
def test_a_token_that_says_something_else_is_refused(change: dict[str, object], says: str) -> None:
    pem = make_key()
    key = SigningKey(pem, "policy-1")
    claims = {**claims_of(signed()), **change}
    files = forged(claims, {"alg": "ES256", "kid": "policy-1"}, ECKey.import_key(pem))
    with pytest.raises(BundleRefused, match=says):
        verify(files, {"policy-1": key.public_pem}, now=NOW)


def test_what_is_signed_already_is_not_signed_over() -> None:
    with pytest.raises(ValueError, match="older signature"):
        KEY.sign(signed(), NOW)


def test_a_weaker_hash_is_refused() -> None:
    pem = make_key()
    claims = claims_of(signed())
    for file in claims["files"]:  # type: ignore[attr-defined]
        file.update(algorithm="MD5", hash=hashlib.md5(FILES[file["name"]]).hexdigest())
    files = forged(claims, {"alg": "ES256", "kid": "policy-1"}, ECKey.import_key(pem))
    with pytest.raises(BundleRefused, match="was changed"):
        verify(files, {"policy-1": SigningKey(pem, "policy-1").public_pem}, now=NOW)


def test_an_older_bundle_and_a_stale_one_and_one_of_the_future_are_refused() -> None:
    with pytest.raises(BundleRefused, match="a rollback"):
        verify(signed(at=NOW - timedelta(seconds=1)), KEYS, now=NOW, not_before=NOW)
    with pytest.raises(BundleRefused, match="is stale"):
        verify(signed(at=NOW - timedelta(days=8)), KEYS, now=NOW, max_age=timedelta(days=7))
    with pytest.raises(BundleRefused, match="in the future"):
        verify(signed(at=NOW + timedelta(minutes=6)), KEYS, now=NOW)
    assert verify(signed(at=NOW + timedelta(minutes=4)), KEYS, now=NOW)


def test_all_that_was_touched_is_named_at_once() -> None:
    files = signed() | {"gateway/b.rego": b"", "gateway/a.rego": b""}
    with pytest.raises(BundleRefused) as caught:
        verify(files, KEYS, now=NOW)
    assert [problem.path for problem in caught.value.problems] == ["gateway/a.rego", "gateway/b.rego"]


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"", "no unencrypted private key"),
        (KEY.public_pem, "no unencrypted private key"),
        (pem_of(ec.generate_private_key(ec.SECP384R1())), "expected a P-256 key"),
        (pem_of(ed25519.Ed25519PrivateKey.generate()), "expected a P-256 key"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "RSA of 2048 bits"),
    ],
    ids=["nothing", "a public key", "P-384", "Ed25519", "RSA of 1024"],
)
def test_a_key_that_does_not_sign_bundles_is_refused_and_not_quoted(pem: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        SigningKey(pem, "policy-1")
    assert "BEGIN" not in str(caught.value)


@pytest.mark.parametrize("key_id", ["", "x" * 65, "a\nb"])
def test_a_key_needs_an_id(key_id: str) -> None:
    with pytest.raises(ValueError, match="needs an id"):
        SigningKey(make_key(), key_id)


@pytest.mark.parametrize(
    ("content", "canonical"),
    [
        (b'{ "b": 1, "a": [true, null, "x"] }', '{"a":[true,null,"x"],"b":1}'),
        (b'{"n": 1.50, "m": 1e3, "z": -0}', '{"m":1e3,"n":1.50,"z":-0}'),
        ('{"é": "<&>\u2028"}'.encode(), '{"é":"<&>\\u2028"}'),
        (b'"\\u0001\\b\\f\\n\\"\\\\\\/"', '"\\u0001\\b\\f\\n\\"\\\\/"'),
        (b"[]", "[]"),
        (b"{}", "{}"),
    ],
)
def test_structured_files_are_hashed_as_opa_does(content: bytes, canonical: str) -> None:
    """`bundle/hash.go` of OPA 1.x: keys in order, no spaces, digits as they stand, no HTML escapes."""
    assert _hash("x/data.json", content) == hashlib.sha256(canonical.encode()).hexdigest()
    assert _hash(".manifest", content) == _hash("data.yaml", content) == _hash("data.json", content)
    assert _hash("other.json", content) == hashlib.sha256(content).hexdigest()
