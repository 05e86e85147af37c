"""A bundle as OPA fetches it: `.tar.gz`, the same bytes for the same files, read as if an attacker had packed it.

https://www.openpolicyagent.org/docs/management-bundles: `.manifest` and the files below its roots, paths from `/`.
What OPA gets is what the trial believed: the rules without their tests, and all data in one `data.json`, so that no
other reader of YAML has a say in a decision.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from typing import Any, Final

from gateway.policy.bundle import MANIFEST, MAX_BYTES, MAX_FILE_BYTES, MAX_FILES, BundleRefused, Problem, Rules

SIGNATURES: Final = ".signatures.json"
DATA: Final = "data.json"
MEDIA_TYPE: Final = "application/gzip"
MAX_PACKED_BYTES: Final = MAX_BYTES
_FILE_MODE: Final = 0o644


def opa_files(rules: Rules, manifest: bytes) -> dict[str, bytes]:
    """The files of a bundle for OPA. `manifest` is the folder's own; its revision becomes that of `rules`.

    Raises BundleRefused for a manifest that is none (the trial has read it before).
    """
    try:
        written: dict[str, Any] = json.loads(manifest)
        roots = [str(root) for root in written["roots"]]
    except (ValueError, KeyError, TypeError):
        raise BundleRefused(Problem(MANIFEST, 1, 1, 'expected {"revision": "…", "roots": ["…"]}')) from None
    told = {"revision": rules.revision, "roots": roots, "rego_version": written.get("rego_version", 1)}
    if isinstance(written.get("metadata"), dict):
        told["metadata"] = written["metadata"]
    files = {path: text.encode() for path, text in rules.modules.items()}
    files[MANIFEST] = _json(told)
    files[DATA] = _json(json.loads(rules.data_json))
    return files


def pack(files: Mapping[str, bytes]) -> bytes:
    """The `.tar.gz`: names in order, no owner, no time, one level of compression, so equal files give equal bytes."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files, key=_signatures_first):
            member = tarfile.TarInfo(f"/{name}")  # OPA's own `opa build` writes a leading slash
            member.size, member.mode, member.mtime = len(files[name]), _FILE_MODE, 0
            archive.addfile(member, io.BytesIO(files[name]))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=6, mtime=0) as stream:
        stream.write(plain.getvalue())
    return packed.getvalue()


def unpack(packed: bytes) -> dict[str, bytes]:
    """The files by path. Raises BundleRefused for what is no bundle, is too large when unpacked (CWE-409), or names
    a place outside of itself (CWE-22); nothing is ever written to disk."""
    if len(packed) > MAX_PACKED_BYTES:
        raise BundleRefused(Problem("", 0, 0, f"is larger than {MAX_PACKED_BYTES} bytes"))
    files: dict[str, bytes] = {}
    try:
        plain = _inflate(packed)
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            for member in archive:
                if member.isdir():
                    continue
                name = _safe_name(member)
                if name in files:
                    raise BundleRefused(Problem(name, 0, 0, "stands in the bundle twice"))
                if member.size > MAX_FILE_BYTES and name != DATA:
                    raise BundleRefused(Problem(name, 0, 0, f"is larger than {MAX_FILE_BYTES} bytes"))
                stream = archive.extractfile(member)
                if stream is None:  # not a check: `_safe_name` lets regular files through alone
                    raise BundleRefused(Problem(name, 0, 0, "is no file"))
                if len(files) >= MAX_FILES:
                    raise BundleRefused(Problem(name, 0, 0, f"is one of more than {MAX_FILES}"))
                files[name] = stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise BundleRefused(Problem("", 0, 0, f"is no .tar.gz: {type(error).__name__}")) from None
    return files


def _inflate(packed: bytes) -> bytes:
    limit = 2 * MAX_BYTES
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
        plain = stream.read(limit + 1)
    if len(plain) > limit:
        raise BundleRefused(Problem("", 0, 0, f"unpacks to more than {limit} bytes"))
    return plain


def _safe_name(member: tarfile.TarInfo) -> str:
    name = member.name.removeprefix("./").lstrip("/")
    if not member.isreg():
        raise BundleRefused(Problem(name, 0, 0, "is a link or a device: a bundle holds files only"))
    if "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise BundleRefused(Problem(name, 0, 0, "is a name that leads out of the bundle"))
    return name


def _signatures_first(name: str) -> tuple[bool, str]:
    """OPA reads signatures wherever they stand; a reader of streams can check as it goes when they come first."""
    return name != SIGNATURES, name


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
