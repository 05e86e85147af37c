"""Changing values in a YAML file and nothing else: comments, order, quotes and blank lines stay where they are.

A file is read for its places (`yaml.compose`); only what differs is written, piece by piece, into the old text. What
comes out is read again: unless it says exactly what was asked for, nothing is changed (`Unwritable`), so that a file
written in a way that we don't foresee costs a form, never a rule.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gateway.policy.bundle import Problem
from gateway.policy.yaml_data import YamlProblem, load
from gateway.screening.rules.document import parse
from gateway.screening.rules.errors import RuleError

MAX_FLOW: Final = 110
"""A list that gets longer on its line than this is still one line: a form does not lay out files anew."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class Unwritable(Exception):
    """The file can't be changed this way without touching more than was asked. Change it as text."""


@dataclass(slots=True)
class _Edits:
    """Pieces of the old text and what replaces them."""

    text: str
    made: list[tuple[int, int, str]] = field(default_factory=list)

    def replace(self, start: int, end: int, new: str) -> None:
        self.made.append((start, end, new))

    def done(self) -> str:
        text = self.text
        last = len(text) + 1
        for start, end, new in sorted(self.made, key=lambda edit: (edit[0], edit[1]), reverse=True):
            if end > last:
                raise Unwritable("two changes meet in one place of the file")
            text, last = text[:start] + new + text[end:], start
        return text

    def line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """After the newline of the line that `at` is on."""
        found = self.text.find("\n", at)
        return len(self.text) if found < 0 else found + 1


class Unreadable(Exception):
    """The file can't be read. `problem` says where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


Read = Callable[[str, str], dict[str, Any]]
"""(path, text) -> the mapping in it. Raises Unreadable."""


def read_data(path: str, text: str) -> dict[str, Any]:
    """A data file, as the engine reads it."""
    try:
        return load(path, text)
    except YamlProblem as error:
        raise Unreadable(error.problem) from error


def read_rule(path: str, text: str) -> dict[str, Any]:
    """A detector's rule file, as screening reads it."""
    try:
        found = parse(path, text.encode()).data
    except RuleError as error:
        raise Unreadable(Problem(path, error.line, 0, str(error).partition(": ")[2])) from error
    if not isinstance(found, dict):
        raise Unreadable(Problem(path, 1, 1, "expected a mapping at the top"))
    return found


def rewritten(path: str, text: str, value: Mapping[str, Any], read: Read = read_data) -> str:
    """`text` so that it says `value`. Equal values give the very same text. Raises Unreadable, Unwritable."""
    before = read(path, text)
    if same(before, value):
        return text
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, MappingNode):
        raise Unwritable("the file holds no mapping")
    edits = _Edits(text)
    _assign(edits, root, before, dict(value), indent=0)
    made = edits.done()
    try:
        after = read(path, made)
    except Unreadable as unread:
        raise Unwritable(f"the change would not be read: {unread.problem}") from unread
    if not same(after, value):
        raise Unwritable("the change would not be read as it was meant")
    return made


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one kind: 1 is neither 1.0 nor true. Order of keys does not count."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def written(value: Any) -> str:
    """A value on one line, as our files write them: `["a", "b"]`, `{count: 16}`, `"text"`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)}: {written(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, float):
        text = f"{value:.10f}".rstrip("0")
        return text + "0" if text.endswith(".") else text
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    is_plain = _PLAIN_KEY.fullmatch(name) and name.lower() not in _WORDS
    return name if is_plain else json.dumps(name, ensure_ascii=False)


def _assign(edits: _Edits, node: Node, before: Any, after: Any, *, indent: int) -> None:
    """Make `node`, which says `before`, say `after`. `indent` is the column of the block that it stands in."""
    if same(before, after):
        return
    if isinstance(node, MappingNode) and isinstance(after, Mapping) and node.value:
        _assign_mapping(edits, node, before, after)
    elif isinstance(node, SequenceNode) and isinstance(after, list) and node.value:
        _assign_sequence(edits, node, before, after)
    else:
        _replace(edits, node, after, indent)


def _replace(edits: _Edits, node: Node, after: Any, indent: int) -> None:
    start, end = node.start_mark.index, _end(edits, node)
    is_records = isinstance(after, list) and after and all(isinstance(one, Mapping) for one in after)
    is_flow_list = isinstance(node, SequenceNode) and node.flow_style
    if is_records and is_flow_list and edits.text[:start].endswith(": "):
        # Records read better below each other than in one line.
        lines = "".join(f"\n{' ' * (indent + 2)}- {written(one)}" for one in after)
        edits.replace(start - 1, end, lines)
    elif isinstance(node, ScalarNode) and node.style in ("|", ">") and isinstance(after, str):
        edits.replace(start, end, _folded(after, indent + 2))
    else:
        edits.replace(start, end, written(after))


def _folded(text: str, indent: int) -> str:
    """Text over several lines, as `>-` writes it."""
    if text != " ".join(text.split()):
        return written(text)
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) + indent >= MAX_FLOW + 8:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return ">-" + "".join(f"\n{' ' * indent}{one}" for one in [*lines, line])


def _end(edits: _Edits, node: Node) -> int:
    """Where the node's own text ends. A block's mark stands where the next thing begins, after blanks and comments."""
    if isinstance(node, ScalarNode):
        if node.style not in ("|", ">"):
            return int(node.end_mark.index)
        return _last_line_of_block(edits, node)
    if not isinstance(node, MappingNode | SequenceNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(edits, last[1] if isinstance(last, tuple) else last)


def _last_line_of_block(edits: _Edits, node: ScalarNode) -> int:
    text = edits.text[node.start_mark.index : node.end_mark.index].rstrip()
    return int(node.start_mark.index) + len(text)


def _assign_mapping(edits: _Edits, node: MappingNode, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for name in before.keys() & after.keys():
        key, value = next((k, v) for k, v in node.value if k.value == name)
        _assign(edits, value, before[name], after[name], indent=key.start_mark.column)
    gone = [n for n, (key, _) in enumerate(node.value) if key.value not in after]
    added = {name: after[name] for name in after if name not in before}
    spans = [(key.start_mark.index, _end(edits, value)) for key, value in node.value]
    if not added and len(gone) == len(spans):
        start, end = node.start_mark.index, _end(edits, node)
        if not node.flow_style:  # `key:` and the block below it become `key: {}`
            start = len(edits.text[:start].rstrip())
        edits.replace(start, end, "{}" if node.flow_style else " {}")
        return
    entries = [f"{_key(name)}: {written(value)}" for name, value in added.items()]
    _take_out_and_add(edits, node, spans, gone, entries, column=node.value[0][0].start_mark.column)


def _assign_sequence(edits: _Edits, node: SequenceNode, before: Sequence[Any], after: Sequence[Any]) -> None:
    """Entries that change, go, or come behind the last one. Where one comes between others the list is written anew,
    and what stood between its entries goes: the only place where a comment can get lost."""
    marks = [json.dumps(one, sort_keys=True) for one in before]
    wanted = [json.dumps(one, sort_keys=True) for one in after]
    gone: list[int] = []
    added: list[Any] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, marks, wanted, autojunk=False).get_opcodes():
        if tag == "equal":
            if added:
                break  # something new in the middle: the order would be lost below
            continue
        paired = min(i2 - i1, j2 - j1)
        for n in range(paired):
            _assign(edits, node.value[i1 + n], before[i1 + n], after[j1 + n], indent=_column(edits, node.value[i1 + n]))
        gone += range(i1 + paired, i2)
        added += after[j1 + paired : j2]
    else:
        column = node.start_mark.column
        if not node.flow_style:
            spans = [(_dash(edits, item), _end(edits, item)) for item in node.value]
            column = spans[0][0] - edits.line_start(spans[0][0])
        else:
            spans = [(item.start_mark.index, _end(edits, item)) for item in node.value]
        if len(gone) < len(spans) or added:
            prefix = "" if node.flow_style else "- "
            entries = [prefix + written(one) for one in added]
            _take_out_and_add(edits, node, spans, gone, entries, column=column)
            return
    edits.made = [made for made in edits.made if not node.start_mark.index <= made[0] < _end(edits, node)]
    if node.flow_style or not after:
        start = node.start_mark.index
        if not node.flow_style:
            # `key:` and the list below it become `key: []`.
            start = len(edits.text[:start].rstrip())
            edits.replace(start, _end(edits, node), " " + written(list(after)))
            return
        edits.replace(start, _end(edits, node), written(list(after)))
        return
    column = node.start_mark.column
    lines = f"\n{' ' * column}".join(f"- {written(one)}" for one in after)
    edits.replace(node.start_mark.index, _end(edits, node), lines)


def _column(edits: _Edits, node: Node) -> int:
    """The column of the first thing on the node's line."""
    start = edits.line_start(node.start_mark.index)
    return len(edits.text[start:]) - len(edits.text[start:].lstrip(" "))


def _dash(edits: _Edits, item: Node) -> int:
    """Where the dash of a block's entry stands."""
    return edits.text.rindex("-", 0, item.start_mark.index)


def _take_out_and_add(
    edits: _Edits,
    node: MappingNode | SequenceNode,
    spans: Sequence[tuple[int, int]],
    gone: Sequence[int],
    entries: Sequence[str],
    column: int,
) -> None:
    """Entries of a collection that go, and new ones behind the last that stays."""
    stay = [n for n in range(len(spans)) if n not in set(gone)]
    if node.flow_style:
        if not stay:
            edits.replace(spans[0][0], spans[-1][1], ", ".join(entries))
            return
        for n in gone:
            # With the comma before it, or the one behind it where everything before goes too.
            if any(m < n for m in stay):
                edits.replace(spans[n - 1][1], spans[n][1], "")
            else:
                edits.replace(spans[n][0], spans[n + 1][0], "")
        if entries:
            at = spans[stay[-1]][1]
            if any(start <= at < end or at == start for start, end, _ in edits.made if end > start):
                raise Unwritable("an entry goes where another one comes")
            edits.replace(at, at, "".join(f", {entry}" for entry in entries))
        return
    text = "".join(f"{' ' * column}{entry}\n" for entry in entries)
    if not stay:
        first, last = edits.line_start(spans[0][0]), edits.line_end(max(spans[-1][1] - 1, spans[-1][0]))
        edits.replace(first, last, text)
        return
    for n in gone:
        edits.replace(edits.line_start(spans[n][0]), edits.line_end(spans[n][1] - 1), "")
    if text:
        at = edits.line_end(spans[stay[-1]][1] - 1)
        if at == len(edits.text) and not edits.text.endswith("\n"):
            text = "\n" + text.rstrip("\n")
        edits.replace(at, at, text)
