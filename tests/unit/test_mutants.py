"""The finder of checks finds what it says, and what it makes still is Python."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.checks import mutants
from tests.mutants.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]

SAMPLE = """
def judge(a, b, é="ä"):
    if a or b == "é":
        raise ValueError
    if not a and b:
        return None
    _check_it(a)
    if a:  # not a check: only words
        return ""
    if a:
        return "found"
    return a


def is_good(a, b) -> bool:
    return a and (b or not a)
"""


def test_each_check_is_taken_away_once():
    found = [(mutant.line, mutant.check, mutant.becomes) for mutant in mutants("sample.py", SAMPLE)]
    assert found == [
        (3, 'a or b == "é"', "False"),
        (3, "a", "False"),
        (3, 'b == "é"', "False"),
        (5, "not a and b", "False"),
        (5, "not a", "True"),
        (5, "b", "True"),
        (7, "_check_it(a)", "pass"),
        (16, "a", "True"),
        (16, "b or not a", "True"),
        (16, "b", "False"),
        (16, "not a", "False"),
    ]


def test_exactly_one_place_changes():
    (mutant,) = (m for m in mutants("sample.py", SAMPLE) if m.check == 'b == "é"')
    assert mutant.source == SAMPLE.replace('b == "é"', "False")
    assert str(mutant) == 'sample.py:3: `b == "é"` -> False'


@pytest.mark.parametrize("name", TARGETS)
def test_targets_exist_hold_checks_and_stay_python(name):
    for target in TARGETS[name]:
        found = list(mutants(target.path, (ROOT / target.path).read_text("utf-8")))
        assert found, target.path
        for mutant in found:
            ast.parse(mutant.source)
        for test in target.tests:
            assert (ROOT / test).is_file(), test
