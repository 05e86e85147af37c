from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.lifecycle.forms.yaml_edit import Read, Unwritable, read_data, read_rule, rewritten, same

POLICIES = Path(__file__).parents[4] / "policies"
FILES = sorted(path for folder in ("gateway/config", "dlp") for path in (POLICIES / folder).rglob("*.yaml"))
SOME = [path for n, path in enumerate(FILES) if "dlp" not in path.parts or n % 5 == 0]
"""All data files and a fifth of the detectors': random changes take long."""


def reader(path: Path) -> Read:
    return read_rule if "dlp" in path.parts else read_data


HOURS = """\
# When.
timezone: "UTC" # of the office
windows:
  - days: ["Monday", "Tuesday"] # short week
    from_hour: 6
    to_hour: 20

  # and the rest
  - days: ["Friday"]
    from_hour: 6
    to_hour: 12
last: true
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(POLICIES).as_posix())
def test_a_value_that_is_saved_unchanged_changes_no_byte(path: Path) -> None:
    text = path.read_text("utf-8")
    read = reader(path)
    assert rewritten(path.name, text, copy.deepcopy(read(path.name, text)), read) == text


def edited(text: str, change: Any) -> str:
    value = read_data("x", text)
    change(value)
    made = rewritten("x", text, value)
    assert same(read_data("x", made), value)
    return made


def test_a_number_changes_and_its_comment_stays() -> None:
    def change(value: Any) -> None:
        value["windows"][0]["from_hour"] = 7
        value["timezone"] = "Europe/Berlin"

    made = edited(HOURS, change)
    assert made == HOURS.replace('"UTC"', '"Europe/Berlin"').replace("from_hour: 6", "from_hour: 7", 1)


def test_an_entry_goes_with_its_lines_and_no_others() -> None:
    made = edited(HOURS, lambda value: value["windows"].pop(0))
    assert "short week" not in made
    assert made.startswith('# When.\ntimezone: "UTC" # of the office\nwindows:\n')
    assert made.endswith('  # and the rest\n  - days: ["Friday"]\n    from_hour: 6\n    to_hour: 12\nlast: true\n')


def test_an_entry_comes_after_the_last() -> None:
    made = edited(HOURS, lambda value: value["windows"].append({"days": ["Sunday"], "from_hour": 8, "to_hour": 9}))
    assert '    to_hour: 12\n  - {days: ["Sunday"], from_hour: 8, to_hour: 9}\nlast: true\n' in made
    assert "# and the rest" in made


def test_words_of_a_list_change_one_by_one() -> None:
    text = 'a: ["x", "y", "z"] # keep\nb: {p: 1, q: 2}\nc:\n  - "one" # first\n  - "two"\n'

    def change(value: Any) -> None:
        value["a"] = ["x", "z", "w"]
        value["b"] = {"q": 3, "r": 4}
        value["c"] = ["one", "three", "four"]

    made = edited(text, change)
    assert made == ('a: ["x", "z", "w"] # keep\nb: {q: 3, r: 4}\nc:\n  - "one" # first\n  - "three"\n  - "four"\n')


def test_the_last_entry_of_a_block_leaves_an_empty_one() -> None:
    text = "a:\n  b: 1\n  c: 2 # why\n\nd:\n  - 1\ne: 3\n"

    def change(value: Any) -> None:
        value["a"] = {}
        value["d"] = []

    assert edited(text, change) == "a: {} # why\n\nd: []\ne: 3\n"


def test_records_begin_below_an_empty_list() -> None:
    text = "before: 1\nexceptions: [] # none yet\nafter: 2\n"
    made = edited(text, lambda value: value.update(exceptions=[{"id": "EX-1", "groups": ["a"]}]))
    assert made == 'before: 1\nexceptions:\n  - {id: "EX-1", groups: ["a"]} # none yet\nafter: 2\n'


def test_a_folded_text_stays_folded() -> None:
    text = "message: >-\n  one two\n  three\n\n# then\nnext: 1\n"
    assert edited(text, lambda value: value.update(message="four five")) == (
        "message: >-\n  four five\n\n# then\nnext: 1\n"
    )


def test_words_that_readers_differ_about_are_written_in_quotes() -> None:
    text = "groups: {}\n"
    made = edited(text, lambda value: value.update(groups={"no": "on", "12:30": "2026-01-01"}))
    assert made == 'groups: {"no": "on", "12:30": "2026-01-01"}\n'


def test_what_cannot_be_written_is_refused_and_not_guessed() -> None:
    with pytest.raises(Unwritable):
        rewritten("x", "a: 1\n", {"a": float("nan")})


def _shaken(chance: random.Random, value: Any, depth: int = 0) -> Any:
    """Something near `value`: entries gone, come, exchanged, values of other kinds."""
    if isinstance(value, dict):
        made = {name: _shaken(chance, one, depth + 1) for name, one in value.items() if chance.random() > 0.1}
        if chance.random() < 0.3:
            made[chance.choice(["new", "no", "a key", "x.y", "ü"])] = chance.choice([1, "t", [], {"a": 1.5}, True])
        return made
    if isinstance(value, list):
        made_list = [_shaken(chance, one, depth + 1) for one in value if chance.random() > 0.15]
        if chance.random() < 0.3:
            made_list.insert(
                chance.randint(0, len(made_list)), chance.choice(["z: #", 'quo"te', 3, {"k": ["v"]}, "\n"])
            )
        if chance.random() < 0.1:
            chance.shuffle(made_list)
        return made_list
    if chance.random() < 0.2:
        return chance.choice(["text", "", "- x", "# no comment", "a\nb", 7, 0.25, False, "é" * 50])
    return value


@pytest.mark.parametrize("path", SOME, ids=lambda path: path.relative_to(POLICIES).as_posix())
def test_whatever_is_asked_for_is_what_is_read_afterwards_or_it_is_refused(path: Path) -> None:
    """Hundreds of random changes of real files: never another value than the one asked for."""
    chance, text, read = random.Random(path.name), path.read_text("utf-8"), reader(path)
    refused = 0
    for _ in range(12):
        wanted = _shaken(chance, read(path.name, text))
        try:
            made = rewritten(path.name, text, wanted, read)
        except Unwritable:
            refused += 1
            continue
        assert same(read(path.name, made), wanted)
    assert refused <= 9, "wild as they are, some of them have to be possible"
