"""The list of a model's files and their SHA-256, checked before any of them is read by anything else.

The list is `SHA256SUMS`, in the format of `sha256sum` so that it can be checked by hand. The model's digest is the
SHA-256 of that list: pin it in the settings, and the weights can't be changed together with their list.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from model_server.errors import ModelRefused

MANIFEST = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-f]{64})  ([^\s/\\][^\\]*)")
_CHUNK_BYTES = 1 << 20
_UNLISTED = frozenset({MANIFEST, "MODEL_CARD.md", "NOTICE", "README.md", "LICENSE", "LICENSE.md", ".gitattributes"})
"""Files for people. Whatever a loader may read must be in the list."""


def write_manifest(folder: Path) -> str:
    """Hash every file of the folder into its list. Returns the model's digest."""
    text = _list(folder)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return _digest_of(text.encode())


def digest_of_files(folder: Path) -> str:
    """The digest that the model would have with a list of its own, for a folder that has none and can't be given one.

    Reads every byte and trusts every file: whoever uses it must compare the result with a pinned one.
    """
    return _digest_of(_list(folder).encode())


def check_manifest(folder: Path, expected_digest: str = "") -> str:
    """The model's digest, when each listed file is as listed and nothing loadable is unlisted.

    Raises ModelRefused. `expected_digest`, unless empty, must be the digest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelRefused(
            f"the model folder has no {MANIFEST}; when you trust its content, run `python -m model_server manifest DIR`"
        )
    data = path.read_bytes()
    digest = _digest_of(data)
    if expected_digest and digest != expected_digest:
        raise ModelRefused(f"the model is not the pinned one: expected {expected_digest}, got {digest}")
    listed: dict[str, str] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or ".." in Path(match[2]).parts:  # a list that points out of its folder proves nothing
            raise ModelRefused(f"{MANIFEST} line {number} is not `<sha256>  <relative path>`")
        listed[match[2]] = match[1]
    found = set(loadable_files(folder))
    if unlisted := sorted(found - listed.keys()):
        raise ModelRefused(f"{unlisted[0]} is not in {MANIFEST}")
    if missing := sorted(listed.keys() - found):
        raise ModelRefused(f"{missing[0]} is in {MANIFEST} and not in the folder")
    for name, expected in listed.items():
        got = _sha256(folder / name)
        if got != expected:
            raise ModelRefused(f"{name}: expected sha256 {expected}, got {got}")
    return digest


def listed_digest(folder: Path) -> str:
    """The digest of the list as it lies there, of files that nobody has checked; empty when there is none."""
    path = folder / MANIFEST
    return _digest_of(path.read_bytes()) if path.is_file() else ""


def _list(folder: Path) -> str:
    return "".join(f"{_sha256(folder / name)}  {name}\n" for name in loadable_files(folder))


def loadable_files(folder: Path) -> list[str]:
    """The relative names of all files that a loader may read, in order."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(name for path in files if (name := path.relative_to(folder).as_posix()) not in _UNLISTED)


def _sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def _digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
