"""A data file with some of its values otherwise: everything else, comments among it, stays as it was written.

Both files are YAML in blocks. A mapping in blocks is gone into; any other value, a `[…]` or `{…}` on one line among
them, takes the place of the old one together with the comment behind it, so that no comment praises a number that is
no longer there; the comment above it stays unless the changes bring one. A `{…}` on one line must hold every key of the
one that it stands for. What the file did not have is added at the end of its mapping, with the comment above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from gateway.policy.yaml_data import YamlProblem, load


class MergeFailed(Exception):
    """The two can't be put together. The message names the file, and what to do."""


def merge(path: str, base: str, changes: str) -> str:
    """`base` with `changes` in it. Raises MergeFailed, and YamlProblem when either is no data file."""
    expected = _merged(load(path, base), load(path, changes))
    text = base if base.endswith("\n") else f"{base}\n"
    upon, what = yaml.compose(text), yaml.compose(changes)
    if not (_is_block(upon) and _is_block(what)):
        raise MergeFailed(f"{path}: expected a mapping, one key a line")
    for start, end, new in sorted(_edits(upon, what, text, changes), reverse=True):
        text = text[:start] + new + text[end:]
    try:
        held = load(path, text) == expected
    except YamlProblem:
        held = False
    if not held:
        raise MergeFailed(
            f"{path}: can't be merged (other indents, a key left out?); put the file in whole, named in `whole`"
        )
    return text


def _edits(upon: MappingNode, what: MappingNode, text: str, changes: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, new text) in `text`, each outside all others."""
    there = {key.value: (key, value) for key, value in upon.value}
    added = ""
    for key, value in what.value:
        if key.value not in there:
            comment = _comment_above(changes, key)
            added += "\n" * bool(comment) + comment + changes[_line_start(changes, key) : _line_end(changes, value)]
            continue
        old_key, old_value = there[key.value]
        if _is_block(old_value) and _is_block(value):
            yield from _edits(old_value, value, text, changes)
        else:
            start, end = _colon(text, old_key), _line_end(text, old_value)
            yield start, end, changes[_colon(changes, key) : _line_end(changes, value)]
            if comment := _comment_above(changes, key):
                start = _line_start(text, old_key)
                yield start - len(_comment_above(text, old_key)), start, comment
    if added:
        place = _line_end(text, upon)
        yield place, place, added


def _is_block(node: Node | None) -> TypeGuard[MappingNode]:
    return isinstance(node, MappingNode) and not node.flow_style


def _colon(text: str, key: Node) -> int:
    """Just behind the key's colon."""
    return text.index(":", key.end_mark.index) + 1


def _line_start(text: str, node: Node) -> int:
    return text.rfind("\n", 0, node.start_mark.index) + 1


def _line_end(text: str, node: Node) -> int:
    """Behind the line on which the node ends: a collection in blocks is over with its last leaf, whatever follows."""
    last: Any = node
    while isinstance(last, CollectionNode) and not last.flow_style and last.value:
        last = last.value[-1][1] if isinstance(last, MappingNode) else last.value[-1]
    end = last.end_mark.index
    if isinstance(last, ScalarNode) and last.style in ("|", ">"):
        end = last.start_mark.index + len(text[last.start_mark.index : end].rstrip())
    found = text.find("\n", end)
    return len(text) if found < 0 else found + 1


def _comment_above(text: str, key: Node) -> str:
    """The comment lines right above a key."""
    lines = text[: _line_start(text, key)].splitlines(keepends=True)
    first = len(lines)
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return "".join(lines[first:])


def _merged(base: Any, changes: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    return {**base, **{key: _merged(base.get(key), value) for key, value in changes.items()}}
