"""A short pass over every fuzz target, and what was found before; and the fuzzer sees a fault that is put in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.engine import draw, replay
from tests.fuzz.targets import TARGETS, Target

ALL = [target for targets in TARGETS.values() for target in targets.values()]


@pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)
def test_what_is_kept_and_a_few_new_inputs_break_nothing(target: Target, tmp_path: Path) -> None:
    assert replay(target) >= 5
    assert draw(target, tmp_path, examples=target.examples, with_seed=20261126) is None


def test_an_input_that_breaks_a_target_is_made_small_saved_and_breaks_it_again(tmp_path: Path) -> None:
    def check(data: bytes) -> None:
        if "\u200b" in data.decode("utf-8", "replace"):
            raise IndexError("a fault that was put in")

    target = Target("faulty", check, lambda: [b"a poster"], is_text=True)
    find = draw(target, tmp_path, examples=5_000, with_seed=1)
    assert find is not None
    assert "put in" in find.error
    assert len(find.path.read_bytes()) < 20
    with pytest.raises(IndexError):
        check(find.path.read_bytes())
