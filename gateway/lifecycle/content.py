"""Sets of files: what may be one, how two differ, and what a change upon one means upon another."""

from __future__ import annotations

import difflib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gateway.policy.bundle import MANIFEST, MAX_BYTES, MAX_FILE_BYTES, MAX_FILES, Bundle, Problem, bundle_of

Files = Mapping[str, bytes]
Changes = Mapping[str, bytes | None]
"""What is otherwise than in the base: a file's new content, or None for a file that goes."""

MAX_PATH: Final = 200
OPERATORS_OWN: Final = ("lists",)
"""Folders beside the rules that are no rules: imported lists are data, keyed for one installation."""
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ENDINGS: Final = (".rego", ".yaml", ".yml", ".json", ".md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One file that is not the same in two sets."""

    path: str
    status: Literal["added", "changed", "removed"]
    diff: str
    """Unified, with the path in its head."""
    added: int
    removed: int


def path_problem(path: str) -> Problem | None:
    """What keeps `path` from being a rule file's. Nothing climbs out of the folder, nothing hides in it."""
    if path == MANIFEST:
        return None
    parts = path.split("/")
    if len(path) > MAX_PATH or not all(_PART.fullmatch(part) for part in parts) or path.endswith("~"):
        return Problem(
            path[:MAX_PATH], 0, 0, "is no path of a rule file: letters, digits, _ - . in folders divided by /"
        )
    if any(part.startswith("__") for part in parts) or parts[0] in OPERATORS_OWN:
        return Problem(path, 0, 0, f"lies in a folder that is no part of the rules ({parts[0]})")
    if not path.endswith(_ENDINGS):
        return Problem(path, 0, 0, f"is no kind of file that rules are made of: {', '.join(_ENDINGS)}")
    return None


def file_problem(path: str, body: bytes) -> Problem | None:
    """What keeps `body` from being stored."""
    if len(body) > MAX_FILE_BYTES:
        return Problem(path, 0, 0, f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return Problem(path, body[: error.start].count(b"\n") + 1, 0, "is not UTF-8")
    if "\0" in text:
        return Problem(path, text[: text.index("\0")].count("\n") + 1, 0, "holds a NUL character")
    return None


def set_problem(files: Files) -> Problem | None:
    """What keeps `files` together from being a revision."""
    size_bytes = sum(map(len, files.values()))
    if size_bytes > MAX_BYTES or len(files) > MAX_FILES:
        return Problem("", 0, 0, f"more than {MAX_BYTES} bytes or {MAX_FILES} files")
    folders = {"/".join(parts[:n]) for parts in (path.split("/") for path in files) for n in range(1, len(parts))}
    for path in files:
        if path in folders:
            return Problem(path, 0, 0, "is a file and a folder at once")
    return None


def apply(base: Files, changes: Changes) -> Bundle:
    """`base` with `changes` made to it."""
    files = {path: body for path, body in base.items() if path not in changes}
    files |= {path: body for path, body in changes.items() if body is not None}
    return bundle_of(files)


def changes_between(base: Files, files: Files) -> dict[str, bytes | None]:
    """What makes `files` of `base`."""
    changed: dict[str, bytes | None] = {path: body for path, body in files.items() if base.get(path) != body}
    return changed | {path: None for path in base if path not in files}


def difference(old: Files, new: Files) -> list[Difference]:
    """Each file that differs, by path."""
    return [_difference(path, old.get(path), new.get(path)) for path in sorted(changes_between(old, new))]


def conflicts(changes: Changes, old: Files, new: Files) -> list[str]:
    """Paths that `changes` (upon `old`) and `new` both changed, and not to the same."""
    return sorted(path for path, body in changes.items() if old.get(path) != new.get(path) and new.get(path) != body)


def materialise(bundle: Bundle, folder: Path) -> None:
    """Write the files into `folder`, which is whole when it is there. An equal one that is there already stays."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        for path, body in bundle.files.items():
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
            target.chmod(0o400)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same content
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _difference(path: str, old: bytes | None, new: bytes | None) -> Difference:
    before, after = _lines(old), _lines(new)
    lines = list(
        difflib.unified_diff(
            before, after, "/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}"
        )
    )
    return Difference(
        path=path,
        status="added" if old is None else "removed" if new is None else "changed",
        diff="".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines),
        added=sum(line.startswith("+") for line in lines[2:]),
        removed=sum(line.startswith("-") for line in lines[2:]),
    )


def _lines(body: bytes | None) -> list[str]:
    # Not splitlines(): a form feed or U+2028 inside a line is no end of it.
    text = (body or b"").decode(errors="replace")
    return [f"{line}\n" for line in text.split("\n")[:-1]] + ([text.split("\n")[-1]] if text.split("\n")[-1] else [])
