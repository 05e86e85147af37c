"""A data file with some of its values otherwise."""

from __future__ import annotations

import pytest

from gateway.packs.merge import MergeFailed, merge
from gateway.policy.yaml_data import YamlProblem, load

BASE = """\
# The head.
grants:
  employee: # who works here
    permissions: ["a", "b"]
    seconds: 43200 # 12 h: once a day
  auditor:
    permissions:
      - "c"
      - "d" # of others
    seconds: 900

# Old keys are refused (180 days).
age: 180
empty: []
"""


def merged(changes: str, base: str = BASE) -> str:
    return merge("gateway/config/roles/data.yaml", base, changes)


def test_a_value_changes_with_the_comment_behind_it_and_nothing_else_does():
    assert merged("grants:\n  employee:\n    seconds: 3600 # 1 h\n") == BASE.replace(
        "43200 # 12 h: once a day", "3600 # 1 h"
    )


def test_a_comment_behind_a_value_that_went_goes_with_it():
    assert "once a day" not in merged("grants:\n  employee:\n    seconds: 3600\n")


def test_a_comment_above_a_key_takes_the_old_ones_place():
    text = merged("# Old keys are refused (30 days).\nage: 30\n")
    assert "\n# Old keys are refused (30 days).\nage: 30\n" in text
    assert "180" not in text


def test_a_list_in_lines_gives_way_whole():
    text = merged('grants:\n  auditor:\n    permissions: ["x"]\n')
    assert '  auditor:\n    permissions: ["x"]\n    seconds: 900\n' in text
    assert "of others" not in text


def test_a_list_in_lines_may_take_another_ones_place():
    text = merged('empty:\n  - "x"\n  - "y"\n')
    assert text == BASE.replace("empty: []\n", 'empty:\n  - "x"\n  - "y"\n')


def test_a_mapping_on_one_line_gives_way_whole():
    text = merged("a: {x: 2, two: 2}\n", "a: {x: 1} # one\nb: 1\n")
    assert text == "a: {x: 2, two: 2}\nb: 1\n"


def test_what_is_new_stands_at_the_end_of_its_mapping_with_its_comment():
    text = merged('grants:\n  auditor:\n    # why\n    more: "x"\nlast: 1\n')
    assert '      - "d" # of others\n    seconds: 900\n\n    # why\n    more: "x"\n\n# Old keys' in text
    assert text.endswith("empty: []\nlast: 1\n")


def test_a_file_without_an_end_of_line_can_be_added_to():
    assert merged("b: 2\n", "a: 1") == "a: 1\nb: 2\n"


def test_what_comes_of_it_is_both_together():
    changes = 'grants:\n  employee:\n    seconds: 1\n  guest: {seconds: 5}\nempty: ["x"]\n'
    data = load("x.yaml", merged(changes))
    assert data["grants"]["employee"] == {"permissions": ["a", "b"], "seconds": 1}
    assert data["grants"]["guest"] == {"seconds": 5}
    assert data["empty"] == ["x"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [("{a: 1}\n", "one key a line"), ("b:\n    c: 1\n", "can't be merged")],
    ids=["flow", "indents"],
)
def test_what_cannot_be_put_together_is_said_and_not_guessed(changes, message):
    with pytest.raises(MergeFailed, match=f"^gateway/config/roles/data.yaml: .*{message}"):
        merged(changes, "a: {x: 1}\nb:\n  d: 1\n")


def test_a_file_that_readers_differ_about_is_refused():
    with pytest.raises(YamlProblem):
        merged("a: no\n")
