"""A list on disk: a line of JSON that says what it is, then sorted tokens. No value, no row, no order of rows."""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from gateway.screening.exact.key import TOKEN_BYTES, ListKey
from gateway.screening.exact.values import canonical_value

FORMAT: Final = "imprimatur exact list 1"
SUFFIX: Final = ".edm"
NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
MAX_BYTES: Final = 512 << 20
MAX_COLUMNS: Final = 8
CANARY: Final = ("Canary Quokka", "Canary Wombat")
"""One made-up row in every list, so that a rule's own tests show that list, key and rule work together."""


class ListError(ValueError):
    """A list can't be used; says why and what to do, never a value."""


class Tokens:
    """A sorted set of tokens: eight bytes each, looked up by halving."""

    def __init__(self, tokens: array[int]) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: int) -> bool:
        at = bisect_left(self._tokens, token)
        return at < len(self._tokens) and self._tokens[at] == token


@dataclass(frozen=True, slots=True)
class ExactList:
    """A list, ready to be looked up."""

    name: str
    columns: tuple[str, ...]
    rows: int
    lengths: frozenset[int]
    """How long values with digits are, written in one piece: most numbers of a prompt are of none of these lengths."""
    seal: str
    """Stands for the whole content; part of the rules' revision."""
    heads: Tokens = field(repr=False)
    values: Tokens = field(repr=False)
    pairs: Tokens = field(repr=False)
    key: ListKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an import kept, in numbers."""

    rows: int
    values: int
    pairs: int
    too_short: int


def build(key: ListKey, rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> tuple[bytes, Kept]:
    """The body of a list, of each row's `columns`. Raises `ListError` where there is nothing to keep."""
    heads: set[int] = set()
    values: set[int] = set()
    pairs: set[int] = set()
    lengths: set[int] = set()
    count = too_short = 0
    for row in _with_canary(rows, columns):
        found: list[int] = []
        for column in columns:
            value = (row.get(column) or "").strip()
            made = canonical_value(value) if value else None
            if made is None:
                too_short += bool(value)
                continue
            written, words = made
            heads.update(key.word(word) for word in words)
            lengths.update(() if words else (len(written),))
            found.append(key.value(written))
        values.update(found)
        pairs.update(key.pair(a, b) for a, b in combinations(dict.fromkeys(found), 2))
        count += bool(found)
    count -= 1  # the canary's
    if not count:
        raise ListError("nothing to keep: no row has a value of three letters or four digits in these columns")
    body = b"".join(_packed(tokens) for tokens in (heads, values, pairs))
    sizes = json.dumps({"sizes": [len(heads), len(values), len(pairs)], "lengths": sorted(lengths)}).encode()
    return sizes + b"\n" + body, Kept(count, len(values), len(pairs), too_short)


def _with_canary(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> Iterable[Mapping[str, str]]:
    yield from rows
    yield dict(zip(columns, CANARY, strict=False))


def _packed(tokens: set[int]) -> bytes:
    packed = array("Q", sorted(tokens))
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def write(path: Path, key: ListKey, columns: Sequence[str], body: bytes, rows: int) -> None:
    """The list at `path`, whole or not at all, readable by its owner and group only."""
    head = {"format": FORMAT, "name": path.stem, "columns": list(columns), "rows": rows, "key": key.check}
    seal = key.seal(_about(head) + body)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as file:
            file.write(json.dumps({**head, "seal": seal}, ensure_ascii=False).encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _about(head: Mapping[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, ensure_ascii=False).encode() + b"\n"


class ListShelf:
    """The lists of a folder. `key` must be the one that they were made with."""

    def __init__(self, directory: Path, key: ListKey) -> None:
        self.directory = directory
        self._key = key

    def files(self) -> list[Path]:
        """Links count: a Kubernetes volume mounts its files as links."""
        return sorted(path for path in self.directory.glob(f"*{SUFFIX}") if path.is_file())

    def path(self, name: str) -> Path:
        return self.directory / f"{name}{SUFFIX}"

    def has(self, name: str) -> bool:
        return self.path(name).is_file()

    def open(self, name: str) -> ExactList:
        """The list. Raises `ListError`: not there, damaged, changed by another hand, made with another key."""
        path = self.path(name)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ListError(f"{path.name} is too large: expected at most {MAX_BYTES} bytes")
            head_line, _, body = path.read_bytes().partition(b"\n")
            head = json.loads(head_line)
            seal = str(head.pop("seal"))
            if head["format"] != FORMAT or head["name"] != name:
                raise ListError(f"{path.name} is no list of this name and version: import it again")
            if head["key"] != self._key.check:
                raise ListError(f"{path.name} was made with another screening secret: import it again with this one")
            if not hmac.compare_digest(seal, self._key.seal(_about(head) + body)):
                raise ListError(f"{path.name} was changed since it was imported: import it again")
            return self._parsed(head, seal, body)
        except FileNotFoundError:
            raise ListError(f"there is no list {name}: imprimatur dlp import FILE.csv --list {name}") from None
        except OSError as error:
            raise ListError(f"{path.name} can't be read: {type(error).__name__}") from None
        except ListError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ListError(f"{path.name} is damaged: import it again") from None

    def _parsed(self, head: Mapping[str, Any], seal: str, body: bytes) -> ExactList:
        sizes_line, _, packed = body.partition(b"\n")
        about = json.loads(sizes_line)
        sizes = [int(size) for size in about["sizes"]]
        lengths = frozenset(int(length) for length in about["lengths"])
        if len(packed) != sum(sizes) * TOKEN_BYTES:
            raise ListError(f"{head['name']}{SUFFIX} is damaged: import it again")
        tokens = array("Q", packed)
        if sys.byteorder == "little":
            tokens.byteswap()
        heads, values, pairs = (Tokens(part) for part in _split(tokens, sizes))
        columns = tuple(str(column) for column in head["columns"])
        return ExactList(str(head["name"]), columns, int(head["rows"]), lengths, seal, heads, values, pairs, self._key)


def _split(tokens: array[int], sizes: Sequence[int]) -> list[array[int]]:
    parts, at = [], 0
    for size in sizes:
        parts.append(tokens[at : at + size])
        at += size
    return parts
