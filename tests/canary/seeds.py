"""Secrets that can be told apart: one for each place of each request, and found again in whatever spelling.

A secret is 26 lower-case letters: a mark that all secrets of one run share, then what is its own. The mark alone is
looked for, in plain and in encodings, so that a part of a secret is found too; what follows it says whose it is.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

MARK_LETTERS: Final = 9
OWN_LETTERS: Final = 17
_BEFORE: Final = 3
_AFTER: Final = 6 * (MARK_LETTERS + OWN_LETTERS)
"""As long as the longest spelling of a secret."""
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_DIGEST: Final = re.compile(rb"[0-9a-f]{64}|[0-9A-F]{64}")


@dataclass(frozen=True, slots=True)
class Seed:
    """Where one secret went in."""

    route: str
    """Method and path as the application names them."""
    position: str
    """What of the request held it: `json.prompt`, `query value`."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A secret where it does not belong. `seed` is None when too little of it is left to say which."""

    seed: Seed | None
    form: str


class Seeds:
    """Makes the secrets of a run, and finds them."""

    def __init__(self, random_seed: int | None = None) -> None:
        self._random = random.Random(random_seed)  # only has to be distinct
        # Never a word: starts with letters that no English, German, French or Spanish word starts with.
        self.mark = "qxz" + self._letters(MARK_LETTERS - 3)
        self._of: dict[str, Seed] = {}
        self._forms = tuple(_forms(self.mark))
        self._digests: dict[str, Seed] = {}

    def __len__(self) -> int:
        return len(self._of)

    def new(self, route: str, position: str) -> str:
        """A fresh secret."""
        secret = self.mark + self._letters(OWN_LETTERS)
        seed = self._of[secret] = Seed(route, position)
        # A plain digest of a guessable value gives the value away; ours are HMACs.
        self._digests[hashlib.sha256(secret.encode()).hexdigest()] = seed
        return secret

    def find(self, data: bytes) -> Iterator[Sighting]:
        """Every secret in `data`, whatever its spelling."""
        small = data.lower()
        for form, needle, folds in self._forms:
            hay = small if folds else data
            at = hay.find(needle)
            while at >= 0:
                yield Sighting(self._whose(data, at, form), form)
                at = hay.find(needle, at + len(needle))
        for match in _DIGEST.finditer(data):
            seed = self._digests.get(match[0].decode().lower())
            if seed is not None:
                yield Sighting(seed, "unsalted SHA-256")

    def _whose(self, data: bytes, at: int, form: str) -> Seed | None:
        # From the mark on; a little before it, where letters share bytes. Backwards, all that is its own comes before.
        before, after = (OWN_LETTERS, MARK_LETTERS) if form == "reversed" else (_BEFORE, _AFTER)
        near = data[max(0, at - before) : at + after]
        for text in _readings(near, form):
            start = text.find(self.mark)
            while start >= 0:
                seed = self._of.get(text[start : start + MARK_LETTERS + OWN_LETTERS])
                if seed is not None:
                    return seed
                start = text.find(self.mark, start + 1)
        return None

    def _letters(self, number: int) -> str:
        return "".join(self._random.choices(string.ascii_lowercase, k=number))


def _forms(mark: str) -> Iterator[tuple[str, bytes, bool]]:
    """(name, what to look for, whether upper and lower case are the same)."""
    plain = mark.encode()
    yield "plain", plain, True
    yield "reversed", plain[::-1], True
    for name in ("utf-16-le", "utf-16-be"):
        yield name, mark.encode(name), True
    yield "hex", plain.hex().encode(), True
    yield "percent", "".join(f"%{byte:02x}" for byte in plain).encode(), True
    yield "json escapes", "".join(f"\\u{byte:04x}" for byte in plain).encode(), True
    yield "html references", "".join(f"&#{byte};" for byte in plain).encode(), False
    for case, spelled in (("", plain), (" of capitals", plain.upper())):
        for offset in range(3):
            # The first and last letters share bits with their neighbours.
            coded = base64.b64encode(b"\0" * offset + spelled)
            first, last = (0, 2, 3)[offset], {0: 0, 1: 3, 2: 2}[(offset + len(plain)) % 3]
            yield f"base64{case}", coded[first : len(coded) - last], False
    yield "base32", base64.b32encode(plain)[: 8 * (len(plain) // 5)].lower(), True


def _readings(near: bytes, form: str) -> Iterable[str]:
    """What the bytes around a sighting say, as text that may hold the whole secret."""
    text = near.decode("latin-1").lower()
    if form == "plain":
        yield text
    elif form == "reversed":
        yield text[::-1]
    elif form.startswith("utf-16"):
        yield text.replace("\0", "")
    elif form == "hex":
        for run in re.findall(r"[0-9a-f]{8,}", text):
            for start in (0, 1):
                even = run[start : len(run) - (len(run) - start) % 2]
                yield bytes.fromhex(even).decode("latin-1")
    elif form == "percent":
        yield re.sub("%([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)
    elif form == "json escapes":
        yield re.sub(r"\\u00([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)
    elif form == "html references":
        yield re.sub("&#([0-9]{2,3});", lambda m: chr(int(m[1])), text)
    elif form.startswith("base64"):
        for run in re.findall(rb"[A-Za-z0-9+/_-]{12,}", near):
            for start in range(4):
                part = run[start:].translate(_STANDARD)
                yield base64.b64decode(part + b"A" * (-len(part) % 4)).decode("latin-1").lower()
    elif form == "base32":
        for run in re.findall(rb"[A-Za-z2-7]{16,}", near):
            for start in range(8):
                part = run[start:].upper()
                yield base64.b32decode(part + b"A" * (-len(part) % 8)).decode("latin-1").lower()
