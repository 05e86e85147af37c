"""Opening an evidence bundle that somebody else made: everything about it is doubted first.

The zip may be made by an attacker: names that leave the folder, an entry that unpacks to a terabyte, a second entry
under the same name, a file the manifest does not know. All of that is refused before anything is read, and nothing is
ever unpacked to a path that the bundle chose.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from audit.export.bundle import (
    BUNDLE_FORMAT,
    CHECKPOINT,
    EVIDENCE,
    MANIFEST,
    MAX_PROOFS,
    PROOF_FOLDER,
    README,
    WITNESS_FOLDER,
)
from audit.export.bundle_seal import is_sealed
from audit.export.bundle_text import manifest_text, readme

_ENTRY = re.compile(
    rf"{README}|{EVIDENCE}|{CHECKPOINT}|{WITNESS_FOLDER}[a-z0-9-]{{1,63}}\.txt|{PROOF_FOLDER}[a-z0-9.-]{{1,80}}\.tlog-proof"
)
_MAX_ENTRIES: Final = MAX_PROOFS + 100
_MAX_MANIFEST_BYTES: Final = 1024 * 1024
_MAX_SMALL_BYTES: Final = 64 * 1024  # of a note, a proof, the page; evidence is read as a stream
_MAX_RATIO: Final = 200  # sealed parts hardly shrink; DEFLATE itself ends near 1030
_PIECE_BYTES: Final = 1024 * 1024
_ZIP_MAGIC: Final = b"PK\x03\x04"
_ENCRYPTED: Final = 0x1
_MEMBERS: Final = frozenset(
    {
        "format",
        "origin",
        "vkey",
        "taken_at",
        "complete",
        "events",
        "first_day",
        "last_day",
        "records",
        "checkpoint_size",
        "with_content",
        "files",
    }
)
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
# What the standard library raises for a file that is cut, changed or made to confuse it.
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)


class BundleRefused(ValueError):
    """The file is no evidence bundle, or not a whole one. The message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are all there and have the sums of its manifest. Its records are not verified yet."""

    manifest: dict[str, Any]
    checkpoint: str  # as a signed note
    witness_notes: dict[str, str]  # newest note of each witness, by name
    proofs: dict[str, str]  # tlog-proof texts, by file name
    _archive: zipfile.ZipFile

    @contextmanager
    def evidence(self) -> Iterator[IO[bytes]]:
        """The evidence file, for ``verify_evidence`` to read."""
        with self._archive.open(EVIDENCE) as file:
            yield file


def is_bundle(path: Path) -> bool:
    """Does the file look like a bundle, also a damaged one, and not like evidence or a proof?"""
    with path.open("rb") as file:
        return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC or zipfile.is_zipfile(file)


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open a bundle and check that it is whole. Raises ``BundleRefused``, or ``OSError`` if there is no file."""
    with path.open("rb") as file, ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
            is_whole = is_sealed(file)
            bundle = _load(archive, is_whole=is_whole)
        except BundleRefused:
            raise
        except _BROKEN as error:
            raise BundleRefused(f"{path.name} is not a whole zip file: {type(error).__name__}") from None
        yield bundle


def _load(archive: zipfile.ZipFile, *, is_whole: bool) -> Bundle:
    _check_entries(archive)
    manifest = _manifest(archive)
    _check_sums(archive, manifest)
    if not is_whole:  # last, because the checks before it say which file is damaged
        raise BundleRefused("the bundle does not end with the sum of its bytes: it was damaged, or written anew")
    small = {name: _small(archive, name) for name in archive.namelist() if name not in (EVIDENCE, MANIFEST)}
    notes, proofs = {}, {}
    for name, text in small.items():
        if name.startswith(WITNESS_FOLDER):
            notes[name[len(WITNESS_FOLDER) :].removesuffix(".txt")] = text
        elif name.startswith(PROOF_FOLDER):
            proofs[name[len(PROOF_FOLDER) :]] = text
    if small.pop(README) != readme(manifest):
        raise BundleRefused(f"{README} is not the page that goes with the manifest")
    return Bundle(manifest=manifest, checkpoint=small[CHECKPOINT], witness_notes=notes, proofs=proofs, _archive=archive)


def _check_entries(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise BundleRefused(f"bundle has too many entries: expected at most {_MAX_ENTRIES}, got {len(entries)}")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if name != MANIFEST and not _ENTRY.fullmatch(name):
            raise BundleRefused(f"bundle holds a file that does not belong there: entry {len(seen)}")
        if name in seen:  # two readers might each take another one
            raise BundleRefused(f"bundle holds {name} twice")
        if entry.flag_bits & _ENCRYPTED:
            raise BundleRefused(f"{name} is encrypted; a bundle never is")
        if entry.compress_type not in _METHODS:
            raise BundleRefused(f"{name} is compressed in a way that a bundle never uses")
        if entry.file_size > max(entry.compress_size, 1) * _MAX_RATIO and entry.file_size > _MAX_MANIFEST_BYTES:
            raise BundleRefused(f"{name} would unpack to more than {_MAX_RATIO} times its size")
        seen.add(name)
    missing = {MANIFEST, EVIDENCE, CHECKPOINT, README} - seen
    if missing:
        raise BundleRefused(f"bundle lacks {', '.join(sorted(missing))}")


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(MANIFEST).file_size > _MAX_MANIFEST_BYTES:
        raise BundleRefused(f"{MANIFEST} is too long")
    try:
        text = archive.read(MANIFEST).decode("ascii")
        manifest = json.loads(text)
        if manifest["format"] != BUNDLE_FORMAT:
            raise BundleRefused(f"not an evidence bundle: expected format {BUNDLE_FORMAT}")
        listed = {str(entry["path"]) for entry in manifest["files"]}
        if manifest_text(manifest) != text or not _is_as_written(manifest):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, BundleRefused):
            raise
        raise BundleRefused(f"{MANIFEST} is malformed") from None
    there = set(archive.namelist()) - {MANIFEST}
    if listed != there or len(manifest["files"]) != len(listed):
        raise BundleRefused(f"the files of the bundle are not those of its manifest: {len(listed ^ there)} differ")
    return dict(manifest)


def _is_as_written(manifest: dict[str, Any]) -> bool:
    return (
        manifest.keys() == _MEMBERS
        and all(type(manifest[name]) is str for name in ("origin", "vkey", "taken_at"))
        and all(type(manifest[name]) is bool for name in ("complete", "with_content"))
        and all(type(manifest[name]) is int for name in ("records", "checkpoint_size"))
        and all(entry.keys() == {"path", "size_bytes", "sha256"} for entry in manifest["files"])
    )


def _check_sums(archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
    for entry in manifest["files"]:
        name = entry["path"]
        digest, size_bytes = hashlib.sha256(), 0
        with archive.open(name) as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                size_bytes += len(piece)
        if (digest.hexdigest(), size_bytes) != (entry.get("sha256"), entry.get("size_bytes")):
            raise BundleRefused(f"{name} is not the file of the manifest: it was damaged or changed")


def _small(archive: zipfile.ZipFile, name: str) -> str:
    if archive.getinfo(name).file_size > _MAX_SMALL_BYTES:
        raise BundleRefused(f"{name} is too long: expected at most {_MAX_SMALL_BYTES:,} bytes")
    try:
        return archive.read(name).decode()
    except UnicodeDecodeError:
        raise BundleRefused(f"{name} is not UTF-8 text") from None
