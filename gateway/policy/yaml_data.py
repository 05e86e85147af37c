"""YAML as configuration of rules: the part of it that every reader reads alike.

The embedded engine's data comes through this loader, an OPA server's through its own; where the two would differ, a
rule would decide differently in two places. So what YAML 1.1 and 1.2 read differently must be written in quotes:
`no`, `on`, `12:30`, `0777`, `1_000`, `2026-11-20`. Anchors, tags, merges, repeated keys and keys that aren't text are
refused as well; the first of these also stops the "billion laughs" (CWE-776).
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from gateway.policy.bundle import Problem

_NULL: Final = re.compile(r"(?:null|~|)$")
_BOOL: Final = re.compile(r"(?:true|false)$")
_INT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)$")
_FLOAT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+$")
_READ_DIFFERENTLY: Final = re.compile(
    r"""(?:
        y | n | yes | no | on | off | true | false | null    # truth and nothing, in other letters
      | [-+]?0[xob]?[0-9a-f_]+                               # hex, octal, binary
      | [-+]?[0-9][0-9_]*                                    # plus signs, separators
      | [-+]?[0-9_]*\.[0-9_.]*(?:e[-+]?[0-9]+)?              # floats that aren't 1.5
      | [-+]?[0-9][0-9_.]*e[-+]?[0-9]+                       # exponents
      | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?     # base 60: 12:30 is 750
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[t\s].*)?           # dates
      | [-+]?\.(?:inf|nan)
      | <<? | =
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
MAX_INTEGER: Final = 2**53
"""Beyond it JSON readers lose digits."""
MAX_DEPTH: Final = 32


class YamlProblem(Exception):
    """The file can't be read the same way by everybody. `problem` says where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def load(path: str, text: str) -> dict[str, Any]:
    """The mapping in `text`. Raises YamlProblem with the place in `path`."""
    try:
        loader = _Loader(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (0, 0) if mark is None else (mark.line + 1, mark.column + 1)
        raise YamlProblem(Problem(path, *where, error.problem or "is not YAML")) from None
    except yaml.YAMLError as error:
        raise YamlProblem(Problem(path, 0, 0, f"is not YAML: {type(error).__name__}")) from None
    if not isinstance(value, dict):
        raise YamlProblem(Problem(path, 1, 1, "expected a mapping at the top"))
    return value


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: Any = {}  # noqa: RUF012  # PyYAML's own protocol: replaced, not shared
    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it out
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors are not used here", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tags are not used here", problem_mark=event.start_mark)
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_scalar(self, node: Any) -> Any:
        plain = isinstance(node, ScalarNode) and node.style is None
        if plain and node.tag == "tag:yaml.org,2002:str" and _READ_DIFFERENTLY.match(node.value):
            raise yaml.MarkedYAMLError(
                problem=f"readers differ about {node.value!r}; put it in quotes if it is text",
                problem_mark=node.start_mark,
            )
        value = super().construct_scalar(node)
        if not _is_text(value):
            raise yaml.MarkedYAMLError(problem="holds half a character", problem_mark=node.start_mark)
        return value

    def construct_yaml_int(self, node: Any) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) > MAX_INTEGER:
            raise yaml.MarkedYAMLError(problem="is too large to be read alike", problem_mark=node.start_mark)
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, MappingNode):
            keys: set[str] = set()
            for key, _ in node.value:
                if key.tag != "tag:yaml.org,2002:str":
                    raise yaml.MarkedYAMLError(problem="keys must be text", problem_mark=key.start_mark)
                if key.value in keys:
                    raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands here twice", problem_mark=key.start_mark)
                keys.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _is_text(value: str) -> bool:
    """Whether `value` has no lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, [*"n~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, [*"tf"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, [*"-0123456789"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, [*"-0123456789"])
