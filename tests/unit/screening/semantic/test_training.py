"""How the heads are made and judged: what is kept apart stays apart, and style tells nothing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from gateway.screening.semantic import weights
from gateway.screening.semantic.train.corpus import (
    CATEGORIES,
    HELD_OUT_SCENES,
    HELD_OUT_SENTENCES,
    ORDINARY,
    SCENES,
    SENTENCES,
    examples,
    expand,
    read_lines,
)
from gateway.screening.semantic.train.fit import auc, fit

LINES = read_lines()
KEPT = [line for line in LINES if line.is_held_out]
TRAINED = [line for line in LINES if not line.is_held_out]


def test_categories_are_those_of_the_weights() -> None:
    assert CATEGORIES == weights.CATEGORIES


def test_every_category_has_wanted_and_harmless_lines_on_both_sides() -> None:
    for side, least in ((TRAINED, 25), (KEPT, 8)):
        counts = Counter((line.category, line.is_wanted) for line in side)
        for category in CATEGORIES:
            assert counts[category, True] >= least
            assert counts[category, False] >= least
    assert not any(line.is_wanted for line in LINES if line.category == ORDINARY)


def test_a_quarter_of_the_lines_is_kept_for_judging() -> None:
    assert 0.2 < len(KEPT) / len(LINES) < 0.3


def test_no_line_stands_twice() -> None:
    assert [text for text, count in Counter(line.text for line in LINES).items() if count > 1] == []


def test_no_choice_is_left_open_or_empty() -> None:
    for line in LINES:
        made = expand(line.text, Random(1))
        assert not set("{}|") & set(made), line.text
        assert made.strip() == made


def test_styles_for_judging_are_none_that_training_saw() -> None:
    assert set(SCENES).isdisjoint(HELD_OUT_SCENES)
    assert set(SENTENCES).isdisjoint(HELD_OUT_SENTENCES)


def test_wanted_and_harmless_texts_are_dressed_alike() -> None:
    made = examples(TRAINED, per_line=6, seed=1, held_out=False, padding=TRAINED)
    wanted = Counter(e.style for e in made if e.line.is_wanted)
    harmless = Counter(e.style for e in made if not e.line.is_wanted)
    assert set(wanted) == set(harmless) == {*SCENES, *SENTENCES}


def test_the_same_seed_makes_the_same_texts_and_another_makes_others() -> None:
    first, again, other = (
        [e.text for e in examples(KEPT, per_line=2, seed=seed, held_out=True, padding=KEPT)] for seed in (1, 1, 2)
    )
    assert first == again
    assert sum(a != b for a, b in zip(first, other, strict=True)) > len(first) / 2


def test_what_training_puts_beside_a_line_is_none_of_the_lines_for_judging() -> None:
    kept = {part for line in KEPT if line.category == ORDINARY for part in re.split(r"\{.*?\}", line.text)}
    kept = {part for part in kept if len(part) > 15}
    made = examples(TRAINED, per_line=6, seed=1, held_out=False, padding=TRAINED)
    assert kept
    assert [e.text for e in made if any(text in e.text for text in kept)] == []


def test_a_line_before_its_part_is_refused(tmp_path: Path) -> None:
    for category in (*CATEGORIES, ORDINARY):
        (tmp_path / f"{category}.txt").write_text("# wanted\na line\n", encoding="utf-8")
    (tmp_path / "hate.txt").write_text("a line\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"hate\.txt: expected"):
        read_lines(tmp_path)


def test_a_fit_finds_the_direction_that_separates() -> None:
    dice = np.random.default_rng(1)
    rows = dice.normal(size=(400, 5)) * [1, 10, 1, 0.1, 1] + 3
    wanted = rows[:, 1] > 8
    head = fit(rows, wanted, np.ones(400), ridge=0.001)
    said = head(rows)
    assert auc(said[wanted], said[~wanted]) > 0.99
    assert abs(head.weights[1]) * 10 > 5 * np.abs(head.weights[[0, 2, 4]]).max()


def test_a_row_without_weight_has_no_say() -> None:
    rows = np.array([[0.0], [1.0], [0.2], [0.9], [1.0]])
    wanted = np.array([False, True, False, True, False])
    weight = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    with_it, without = fit(rows, wanted, weight, ridge=0.01), fit(rows[:4], wanted[:4], weight[:4], ridge=0.01)
    assert with_it(rows)[1] > 0 > with_it(rows)[0]
    assert np.sign(with_it(rows[:4])).tolist() == np.sign(without(rows[:4])).tolist()


def test_auc_counts_pairs_and_ties_half() -> None:
    wanted, harmless = np.array([3.0, 2.0, 2.0]), np.array([1.0, 2.0, 4.0])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in wanted for b in harmless]
    assert auc(wanted, harmless) == pytest.approx(sum(pairs) / len(pairs))
    assert auc(np.array([2.0]), np.array([1.0])) == 1
