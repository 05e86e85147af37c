"""Configuration in YAML: what every reader reads alike is taken; what they read differently is refused by its place."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.yaml_data import MAX_DEPTH, YamlProblem, load


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", 1),
        ("a: -3", -3),
        ("a: 0", 0),
        ("a: 1.5", 1.5),
        ("a: true", True),
        ("a: false", False),
        ("a: null", None),
        ("a: ~", None),
        ("a:", None),
        ("a: text", "text"),
        ('a: "no"', "no"),
        ("a: 'on'", "on"),
        ('a: "12:30"', "12:30"),
        ("a: 256x256", "256x256"),
        ("a: 10.0.0.0/8", "10.0.0.0/8"),
        ("a: ::/0", "::/0"),
        ("a: image:generate", "image:generate"),
        ("a: yes please", "yes please"),
        ("a: [1, b, {c: d}]", [1, "b", {"c": "d"}]),
        ("a: |\n  x\n  y\n", "x\ny\n"),
    ],
)
def test_what_is_read_alike_is_taken(text: str, value: object) -> None:
    assert load("f.yaml", text) == {"a": value}


TRUTHS = "no yes on off y N Yes NO On OFF True FALSE Null NULL"
NUMBERS = "012 0777 0x1F 0b10 0o17 1_000 +1 .5 5. 1e3 1.0e5 1.2.3 .inf -.INF .nan 12:30 1:2:3 9007199254740993"
OTHERS = "2026-11-20 2026-1-2 2026-11-20T10:00:00Z = <<"


@pytest.mark.parametrize("scalar", f"{TRUTHS} {NUMBERS} {OTHERS}".split())
def test_what_readers_differ_about_must_be_quoted(scalar: str) -> None:
    with pytest.raises(YamlProblem) as caught:
        load("f.yaml", f"ok: 1\na: {scalar}\n")
    assert (caught.value.problem.path, caught.value.problem.line, caught.value.problem.column) == ("f.yaml", 2, 4)
    assert load("f.yaml", f'a: "{scalar}"') == {"a": scalar}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: &x 1\nb: *x", 1, 4),
        ("a: 1\na: 2", 2, 1),
        ("o:\n  k: 1\n  k: 2", 3, 3),
        ("1: 2", 1, 1),
        ("? [1]\n: 2", 1, 3),
        ("true: 2", 1, 1),
        ("a: !!str 5", 1, 4),
        ("a: !!python/object/apply:os.system [id]", 1, 4),
        ("- 1", 1, 1),
        ("text", 1, 1),
        ("", 1, 1),
        ("a: [", 1, 5),
        ('a: "\\ud800"', 1, 4),
        ("a: 1\n---\nb: 2", 2, 1),
        ("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, 35),
    ],
)
def test_the_rest_is_refused_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(YamlProblem) as caught:
        load("f.yaml", text)
    assert (caught.value.problem.line, caught.value.problem.column) == (line, column)


def test_a_billion_laughs_are_refused_before_the_first() -> None:
    laughs = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))
    with pytest.raises(YamlProblem, match="anchors"):
        load("f.yaml", f"l0: &l0 lol\n{laughs}")


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_what_is_taken_is_what_other_readers_read(value: dict[str, object]) -> None:
    """Whatever a program writes as quoted YAML comes back as it was; and as JSON, which is what engines are given."""
    text = yaml.safe_dump(value, default_style='"', allow_unicode=False)
    try:
        loaded = load("f.yaml", text)
    except YamlProblem:
        return  # tags (`!!int "5"`) and lone surrogates are refused
    assert json.loads(json.dumps(loaded)) == value == yaml.safe_load(text)


@given(st.text(alphabet="ab01:-_.+eExoynNT <{}[]\"'#&*!|>\n", max_size=30))
def test_any_text_is_read_like_pyyaml_does_or_refused(text: str) -> None:
    try:
        loaded = load("f.yaml", text)
    except YamlProblem:
        return
    assert loaded == yaml.safe_load(text)
