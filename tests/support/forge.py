"""Makes tokens, good and hostile, with `cryptography` alone: what is tested does not make its own tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://issuer.example"
CLIENT_ID = "imprimatur"
RESOURCE = "https://imprimatur.example"
NONCE = "n-1"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

REMOVED = object()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, length: int | None = None) -> str:
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


@cache
def _rsa(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024 if name == "rsa-1024" else 2048)


@cache
def _ec(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1() if name == "ec-384" else ec.SECP256R1())


@cache
def _ed(name: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def rsa_jwk(name: str, **members: str) -> dict[str, str]:
    numbers = _rsa(name).public_key().public_numbers()
    return {"kty": "RSA", "kid": name, "n": _number(numbers.n), "e": _number(numbers.e), **members}


def _ec_jwk(name: str, curve: str, length: int) -> dict[str, str]:
    numbers = _ec(name).public_key().public_numbers()
    return {"kty": "EC", "kid": name, "crv": curve, "x": _number(numbers.x, length), "y": _number(numbers.y, length)}


@cache
def _jwks() -> dict[str, Any]:
    ed = _ed("ed-1").public_key().public_bytes_raw()
    return {
        "keys": [
            rsa_jwk("rsa-1", use="sig", alg="RS256"),
            rsa_jwk("rsa-plain"),
            _ec_jwk("ec-1", "P-256", 32),
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed-1", "x": b64(ed), "use": "sig"},
            # What an issuer may publish and nobody may sign with here:
            {"kty": "oct", "kid": "oct-1", "k": b64(b"0" * 32)},
            rsa_jwk("rsa-enc", use="enc"),
            rsa_jwk("rsa-1024"),
            rsa_jwk("rsa-ps256", alg="PS256"),
            _ec_jwk("ec-384", "P-384", 48),
            # What a reader must survive:
            {"kty": "AKP", "kid": "post-quantum", "pub": "AA"},
            {"kty": "RSA", "kid": "broken", "n": "!!!", "e": "AQAB"},
            {"kid": "no-kind"},
            "not an object",
        ]
    }


def jwks() -> dict[str, Any]:
    """The issuer's published keys, good and odd."""
    return json.loads(json.dumps(_jwks()))


def sign(how: str, data: bytes) -> bytes:
    """A signature over `data`, made in the way that a vector names."""
    match how:
        case "rs512":
            return _rsa("rsa-1").sign(data, padding.PKCS1v15(), hashes.SHA512())
        case "ps256":
            return _rsa("rsa-1").sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        case "rsa-1-truncated":
            return sign("rsa-1", data)[:-1]
        case "ec-1-der":
            return _ec("ec-1").sign(data, ec.ECDSA(hashes.SHA256()))
        case "zeros-64":
            return bytes(64)
        case "garbage":
            return hashlib.sha512(data).digest() * 4
        case "hmac-empty":
            return hmac.digest(b"", data, "sha256")
        case "hmac-public-jwk":
            return hmac.digest(json.dumps(rsa_jwk("rsa-1")).encode(), data, "sha256")
        case "hmac-public-pem":
            pem = (
                _rsa("rsa-1")
                .public_key()
                .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            )
            return hmac.digest(pem, data, "sha256")
        case _ if how.startswith("rsa"):
            return _rsa(how).sign(data, padding.PKCS1v15(), hashes.SHA256())
        case _ if how.startswith("ec"):
            r, s = decode_dss_signature(_ec(how).sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        case _ if how.startswith("ed"):
            return _ed(how).sign(data)
        case _:
            raise ValueError(f"no such way to sign: {how}")


def good_header(use: str) -> dict[str, Any]:
    types = {"access-token": "at+jwt", "logout-token": "logout+jwt"}
    return {"alg": "RS256", "kid": "rsa-1", "typ": types.get(use, "JWT")}


def good_claims(use: str, now: int, issuer: str = ISSUER) -> dict[str, Any]:
    base = {"iss": issuer, "sub": "alice", "iat": now, "exp": now + 300}
    if use == "access-token":
        return base | {"aud": RESOURCE, "jti": "t-1", "client_id": "some-program", "scope": "image:generate"}
    if use == "logout-token":
        return base | {"aud": [CLIENT_ID], "jti": "l-1", "events": {LOGOUT_EVENT: {}}}
    if use == "refreshed-id-token":
        return base | {"aud": [CLIENT_ID]}
    return base | {"aud": [CLIENT_ID], "nonce": NONCE}


def token(header: Mapping[str, Any] | str, claims: Mapping[str, Any] | str | bytes, how: str = "rsa-1") -> str:
    """A compact token. Texts go in as they are."""
    head = header if isinstance(header, str) else json.dumps(header)
    body = claims if isinstance(claims, str | bytes) else json.dumps(claims)
    signed = f"{b64(head.encode())}.{b64(body if isinstance(body, bytes) else body.encode())}"
    return f"{signed}.{b64(sign(how, signed.encode()))}"


def forge(vector: Mapping[str, Any], now: int, issuer: str = ISSUER) -> str:
    """The token that a vector of `tests/vectors/identity/tokens.json` describes."""
    use = vector.get("use", "id-token")
    header: Mapping[str, Any] | str = _patched(good_header(use), vector.get("header", {}), now, issuer)
    claims: Mapping[str, Any] | str | bytes = _patched(
        good_claims(use, now, issuer), vector.get("claims", {}), now, issuer
    )
    header = vector.get("header_text", header)
    if "claims_text" in vector:
        claims = (
            vector["claims_text"].replace("{iss}", issuer).replace("{exp}", str(now + 300)).replace("{iat}", str(now))
        )
    if "claims_latin1" in vector:
        claims = vector["claims_latin1"].encode("latin-1")
    made = token(header, claims, vector.get("sign", "rsa-1"))
    h, p, s = made.split(".")
    if vector.get("tamper") == "claims":
        p = b64(json.dumps(good_claims(use, now, issuer) | {"sub": "admin"}).encode())
    if vector.get("tamper") == "header":
        h = b64(json.dumps(good_header(use) | {"vendor": 1}).encode())
    parts = {"h": h, "p": p, "s": s, "h_noncanonical": _respelled(h), "s_noncanonical": _respelled(s)}
    raw: str = vector.get("raw", "{h}.{p}.{s}")
    for name, value in parts.items():
        raw = raw.replace("{" + name + "}", value)
    return raw


def _respelled(part: str) -> str:
    """The same bytes in other characters: the bits that base64url leaves unused, set. Pads the JSON when none are."""
    if len(part) % 4 == 0:
        text = base64.urlsafe_b64decode(part) + b" "
        part = b64(text)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part[:-1] + alphabet[alphabet.index(part[-1]) + 1]


def _patched(good: dict[str, Any], changes: Mapping[str, Any], now: int, issuer: str) -> dict[str, Any]:
    for name, value in changes.items():
        value = _value(value, now, issuer)
        if value is REMOVED:
            good.pop(name, None)
        else:
            good[name] = value
    return good


def _value(value: Any, now: int, issuer: str) -> Any:
    if value is None:
        return REMOVED
    if value == "{null}":
        return None
    if value == "{attacker_jwk}":
        return rsa_jwk("rsa-attacker")
    if isinstance(value, list):
        return [_value(item, now, issuer) for item in value]
    if isinstance(value, str):
        if value.startswith("text:"):
            return value.removeprefix("text:")
        if value[:1] in "+-" and value[1:].isdigit():
            return now + int(value)
        return value.replace("{iss}", issuer)
    return value
