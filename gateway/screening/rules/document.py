"""YAML as data that remembers its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gateway.screening.rules.errors import RuleError

MAX_FILE_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
"""More than any rule needs. Over ten thousand brackets Python's reader would sit for minutes, and libyaml's composer,
which recurses in C, could end the process."""
_Fast: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader, where there is one. What it refuses is read again by Python's: its words name the fault better."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One rule file, parsed."""

    file: str
    data: Any = field(repr=False)
    lines: dict[Path, int] = field(repr=False)

    def line(self, path: Path) -> int:
        """The line of the value at `path`, or of the nearest value around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, path: Path, message: str) -> RuleError:
        return RuleError(self.file, self.line(path), message)


def parse(file: str, raw: bytes) -> Document:
    """`raw` as a document. Raises `RuleError`: not UTF-8, not YAML, a key twice, anchors, too deep, too large."""
    if len(raw) > MAX_FILE_BYTES:
        raise RuleError(file, 1, f"file is too large: expected at most {MAX_FILE_BYTES} bytes, got {len(raw)}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RuleError(file, raw[: error.start].count(b"\n") + 1, "file is not UTF-8") from None
    try:
        data, lines = _read(file, text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RuleError(file, mark.line + 1 if mark else 1, f"not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, RuleError):
            raise
        raise RuleError(file, 1, f"not YAML: {type(error).__name__}") from None
    return Document(file, data, lines)


def _read(file: str, text: str) -> tuple[Any, dict[Path, int]]:
    try:
        return _read_with(_Fast, file, text)
    except yaml.YAMLError:
        return _read_with(yaml.SafeLoader, file, text)


def _read_with(kind: Any, file: str, text: str) -> tuple[Any, dict[Path, int]]:
    _look(kind, file, text)
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise RuleError(file, 1, "file is empty")
        lines: dict[Path, int] = {}
        _note_lines(file, node, (), lines)
        return loader.construct_document(node), lines
    finally:
        loader.dispose()


def _look(kind: Any, file: str, text: str) -> None:
    """Refuse what would grow or go too deep, told by the parser, which neither recurses nor reads on."""
    depth = 0
    for event in yaml.parse(text, Loader=kind):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):  # the "billion laughs" grow out of aliases
            raise RuleError(file, line, "anchors and aliases (& and *) are not taken here")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise RuleError(file, line, f"deeper than {MAX_DEPTH} levels")


def _note_lines(file: str, node: yaml.Node, path: Path, lines: dict[Path, int]) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:  # YAML keeps the last one silently: a second `mode:` would switch a rule off
                raise RuleError(file, key.start_mark.line + 1, f"key stands twice: {name}")
            seen.add(name)
            _note_lines(file, value, (*path, name), lines)
            lines[(*path, name)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _note_lines(file, value, (*path, i), lines)
