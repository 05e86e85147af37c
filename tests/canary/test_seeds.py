"""The search finds a secret in every spelling, whole and in part, and nothing where nothing is."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.canary.seeds import Seed, Seeds

SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "in capitals": lambda s: s.upper().encode(),
    "reversed": lambda s: s[::-1].encode(),
    "in a JSON text": lambda s: json.dumps({"a": f"b {s}"}).encode(),
    "as JSON escapes": lambda s: "".join(f"\\u{ord(c):04x}" for c in s).encode(),
    "in an address": lambda s: b"/x?" + quote(f"a b={s}&").encode(),
    "as percent escapes": lambda s: "".join(f"%{ord(c):02X}" for c in s).encode(),
    "in HTML": lambda s: html.escape(f"<{s}>").encode(),
    "as HTML references": lambda s: "".join(f"&#{ord(c)};" for c in s).encode(),
    "hex": lambda s: s.encode().hex().encode(),
    "UTF-16": lambda s: s.encode("utf-16"),
    "its SHA-256": lambda s: hashlib.sha256(s.encode()).hexdigest().encode(),
    "base32": lambda s: base64.b32encode(s.encode()),
} | {
    f"base64 after {n} bytes{how}": lambda s, n=n, code=code: code(b"x" * n + s.encode() + b"yz")  # type: ignore[misc]
    for n in range(4)
    for how, code in (("", base64.b64encode), (" for addresses", base64.urlsafe_b64encode))
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_found_in_every_spelling_and_its_place_is_named(spelling: str) -> None:
    seeds = Seeds()
    beside, secret = (SPELLINGS[spelling](seeds.new("POST /here", name)) for name in ("json.n", "json.prompt"))
    data = secrets.token_bytes(500) + b" " + beside + b" " + secret + b" " + secrets.token_bytes(500)
    found = [sighting.seed for sighting in seeds.find(data)]
    assert found == [Seed("POST /here", "json.n"), Seed("POST /here", "json.prompt")]


def test_the_half_of_a_secret_is_found_too() -> None:
    seeds = Seeds()
    (sighting,) = seeds.find(seeds.new("GET /", "query")[:12].encode() + b"...")
    assert sighting.seed is None


def test_nothing_is_found_where_nothing_is() -> None:
    seeds = Seeds()
    seeds.new("GET /", "query")
    other = Seeds().new("GET /", "query").encode()
    assert list(seeds.find(secrets.token_bytes(1 << 20) + other + b"qxz" * 999)) == []
