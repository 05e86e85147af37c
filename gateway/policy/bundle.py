"""A folder of rules as it stood at one moment: read once, named by its content.

The layout is OPA's bundle format, so that `opa run --bundle policies/` serves the same rules: `.manifest` with the
roots, `*.rego` anywhere below, `data.yaml` or `data.json` whose place in the tree is its path under `data`, and
`*_test.rego` beside what they test. Everything else in the folder (the detectors' rule files, schemas) is no business
of the engine, but part of the revision: one name for all that was in force.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MANIFEST: Final = ".manifest"
CAPABILITIES: Final = "capabilities.json"
DATA_FILES: Final = ("data.yaml", "data.json")
TEST_SUFFIX: Final = "_test.rego"
MAX_FILE_BYTES: Final = 1 << 20
MAX_BYTES: Final = 8 << 20
MAX_FILES: Final = 2_000
REVISION_CHARS: Final = 12
"""48 bits of SHA-256: enough to tell a company's revisions apart. What proves content is the audit log's full hash."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong, and where: `gateway/image/authz/authz.rego:12:3: …`. Lines and columns from 1; 0 = the file."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = ":".join([self.path or "bundle", *(str(n) for n in (self.line, self.column) if n)])
        return f"{place}: {self.message}"


class BundleRefused(Exception):
    """These rules can't come into force. `problems` has at least one member."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The files of one moment, by path inside the folder (`/` as separator). Bytes, not yet believed."""

    files: Mapping[str, bytes]
    digest: str
    """SHA-256 over paths and contents, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A bundle that passed its trial: ready for an engine."""

    revision: str
    """`<revision in the manifest>+<12 hex of the digest>`."""
    modules: Mapping[str, str]
    """Rego sources by path, without the tests."""
    data_json: str


def is_test(path: str) -> bool:
    """Whether the file holds tests: loaded for them and for the trial, never for decisions."""
    return path.endswith(TEST_SUFFIX)


def read_bundle(directory: Path) -> Bundle:
    """All files below `directory` now. Raises BundleRefused for what can't be read or is too large.

    Hidden files other than the manifest are left out, and with them the `..data` folders of Kubernetes and most
    editors' own files. A link that leads out of the folder is refused: what is not in the folder was not approved.
    """
    root = directory.resolve()
    files: dict[str, bytes] = {}
    size_bytes = 0
    try:
        for path in _walk(root):
            name = path.relative_to(root).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise BundleRefused(Problem(name, 0, 0, "is a link that leads out of the folder"))
            if path.stat().st_size > MAX_FILE_BYTES:
                raise BundleRefused(Problem(name, 0, 0, f"is larger than {MAX_FILE_BYTES} bytes"))
            files[name] = path.read_bytes()
            size_bytes += len(files[name])
            if size_bytes > MAX_BYTES or len(files) > MAX_FILES:
                raise BundleRefused(Problem("", 0, 0, f"more than {MAX_BYTES} bytes or {MAX_FILES} files"))
    except OSError as error:
        raise BundleRefused(Problem("", 0, 0, f"can't be read: {error.strerror or type(error).__name__}")) from error
    return bundle_of(files)


def bundle_of(files: Mapping[str, bytes]) -> Bundle:
    """These files under their name."""
    return Bundle(files=files, digest=_digest(files))


def signature(directory: Path) -> tuple[tuple[str, int, int, int, int], ...]:
    """A quick look: names, sizes, inodes and times of all files. Equal = nothing changed. Raises OSError."""
    root = directory.resolve()
    seen = []
    for path in _walk(root):
        stat = path.stat()
        seen.append((str(path), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(seen)


def _walk(root: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(root, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(names):
            if (name == MANIFEST and Path(folder) == root) or not (name.startswith(".") or name.endswith("~")):
                yield Path(folder) / name


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        encoded = name.encode()
        # Lengths first: without them, moving bytes from a file's end into the next one's name would keep the digest.
        digest.update(len(encoded).to_bytes(8, "big") + encoded + len(files[name]).to_bytes(8, "big") + files[name])
    return digest.hexdigest()
