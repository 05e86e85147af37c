"""How the heads are made and judged: what is kept apart stays apart, and style tells nothing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from gateway.screening.semantic import weights
from gateway.screening.semantic.train.__main__ import anchors, dressed, labels, turns
from gateway.screening.semantic.train.corpus import (
    CATEGORIES,
    HELD_OUT,
    HELD_OUT_2,
    HELD_OUT_SCENES,
    HELD_OUT_SENTENCES,
    LANGUAGES,
    ORDINARY,
    OTHER_HELD_OUT_SCENES,
    OTHER_SCENES,
    SCENES,
    SENTENCES,
    Line,
    examples,
    expand,
    read_lines,
)
from gateway.screening.semantic.train.fit import auc, balanced, fit, fit_layer

TRAINED = read_lines()
KEPT = read_lines(HELD_OUT) + read_lines(HELD_OUT_2)
LINES = TRAINED + KEPT


def test_categories_are_those_of_the_weights() -> None:
    assert CATEGORIES == weights.CATEGORIES


def test_every_category_has_wanted_and_harmless_lines_on_both_sides() -> None:
    for side, english, others in ((TRAINED, 300, 50), (read_lines(HELD_OUT), 25, 3), (read_lines(HELD_OUT_2), 50, 10)):
        counts = Counter((line.category, line.is_wanted, line.language) for line in side)
        for category in CATEGORIES:
            for language in LANGUAGES:
                least = english if language == "en" else others
                assert counts[category, True, language] >= least
                assert counts[category, False, language] >= least
    assert not any(line.is_wanted for line in LINES if line.category == ORDINARY)


def test_lines_for_judging_share_hardly_a_stretch_of_words_with_those_for_training() -> None:
    """Four words in a row, counted in lines of six words or more. Authors who don't know each other hit on the same
    phrase now and then: one line of a hundred may share a third of its own."""
    trained = {run for line in TRAINED for run in runs(line.text)}
    for folder in (HELD_OUT, HELD_OUT_2):
        lines = [own for line in read_lines(folder) if (own := runs(line.text))]
        assert sum(len(own & trained) > len(own) / 3 for own in lines) <= len(lines) / 100


def runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 4]) for i in range(len(words) - 3)} if len(words) >= 6 else set()


def test_no_line_stands_twice() -> None:
    assert [text for text, count in Counter(line.text for line in LINES).items() if count > 1] == []


def test_no_choice_is_left_open_or_empty() -> None:
    for line in LINES:
        made = expand(line.text, Random(1))
        assert not set("{}|") & set(made), line.text
        assert made.strip() == made


def test_styles_for_judging_are_none_that_training_saw() -> None:
    assert set(SCENES).isdisjoint(set(HELD_OUT_SCENES) - {"{c}"})
    assert set(SENTENCES).isdisjoint(set(HELD_OUT_SENTENCES) - {"{c}"})
    for language in LANGUAGES[1:]:
        assert set(OTHER_SCENES[language]).isdisjoint(OTHER_HELD_OUT_SCENES[language])


def test_a_line_may_be_for_more_than_one_head() -> None:
    both = [line for line in TRAINED if line.is_for("violence") and line.is_for("self-harm")]
    assert {line.category for line in both} == {"violence", "self-harm"}
    assert not any(line.is_for(line.category) for line in TRAINED if not line.is_wanted)
    assert not any(line.text.startswith(("+", "!")) for line in LINES)


def test_wanted_and_harmless_texts_are_dressed_alike() -> None:
    made = examples(TRAINED, per_line=6, seed=1, held_out=False, padding=TRAINED)
    wanted = Counter(e.style for e in made if e.line.is_wanted)
    harmless = Counter(e.style for e in made if not e.line.is_wanted)
    assert set(wanted) == set(harmless) == {*SCENES, *SENTENCES, *(x for each in OTHER_SCENES.values() for x in each)}


def test_the_same_seed_makes_the_same_texts_and_another_makes_others() -> None:
    first, again, other = (
        [e.text for e in examples(KEPT, per_line=2, seed=seed, held_out=True, padding=KEPT)] for seed in (1, 1, 2)
    )
    assert first == again
    assert sum(a != b for a, b in zip(first, other, strict=True)) > len(first) / 2


def test_lines_know_who_wrote_them(tmp_path: Path) -> None:
    for category in (*CATEGORIES, ORDINARY):
        (tmp_path / f"{category}.txt").write_text("# wanted\nan old line\n", encoding="utf-8")
    (tmp_path / "hate.2.txt").write_text("# near\na new line\n", encoding="utf-8")
    lines = [line for line in read_lines(tmp_path) if line.category == "hate"]
    assert [(line.text, line.is_wanted, line.author) for line in lines] == [
        ("an old line", True, "1"),
        ("a new line", False, "2"),
    ]
    (tmp_path / "hate.2.txt").write_text("a new line\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"hate\.2\.txt, row 1: expected `# wanted`"):
        read_lines(tmp_path)


def test_no_author_wrote_all_of_a_category() -> None:
    for category in (*CATEGORIES, ORDINARY):
        counts = Counter(line.author for line in TRAINED if line.category == category)
        assert len(counts) >= 2
        assert min(counts.values()) >= 100


def test_a_line_before_its_part_is_refused(tmp_path: Path) -> None:
    for category in (*CATEGORIES, ORDINARY):
        (tmp_path / f"{category}.txt").write_text("# wanted\na line\n", encoding="utf-8")
    (tmp_path / "hate.txt").write_text("a line\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"hate\.txt, row 1: expected `# wanted`"):
        read_lines(tmp_path)


@pytest.mark.parametrize(
    "text", ["# wonted\n", "# wanted it\n", "# near\n+sexual a line\n", "# wanted\n+hate a line\n", "# wanted\n+x y\n"]
)
def test_a_row_that_makes_no_sense_is_told(tmp_path: Path, text: str) -> None:
    for category in (*CATEGORIES, ORDINARY):
        (tmp_path / f"{category}.txt").write_text("# wanted\na line\n", encoding="utf-8")
    (tmp_path / "hate.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"hate\.txt, row [12]: expected"):
        read_lines(tmp_path)


def test_a_killing_is_no_self_harm_and_a_shaded_subject_has_no_say() -> None:
    made = examples(TRAINED, per_line=1, seed=1, held_out=False, padding=TRAINED)
    wanted, weight = labels(made, "self-harm")
    for example, is_wanted, counts in zip(made, wanted, weight, strict=True):
        line = example.line
        if is_wanted:
            assert line.is_for("self-harm")
        elif line.is_wanted and line.category == "violence":
            assert counts > 0
        elif line.is_wanted and line.category == "medical-gore":
            assert counts == 0


def test_scores_stand_for_shares_of_harmless_texts() -> None:
    dice = np.random.default_rng(1)
    said = dice.normal(size=(20_000, 3))
    harmless, ordinary, foreign = np.ones(20_000, bool), np.arange(20_000) < 10_000, np.arange(20_000) >= 19_000
    for marks, column in zip(anchors(said, said > 2, harmless, ordinary, foreign), said.T, strict=True):
        assert (column >= marks[1]).mean() == pytest.approx(0.02, abs=0.001)
        assert (column[ordinary] >= marks[2]).mean() <= 0.001
        assert (column >= marks[3]).mean() <= 0.0005
        assert (np.diff(marks) > 0).all()


def test_nobody_is_held_more_often_for_another_language() -> None:
    dice = np.random.default_rng(1)
    said = dice.normal(size=(20_000, 1))
    harmless, foreign = np.ones(20_000, bool), np.arange(20_000) >= 15_000
    said[foreign] += 5
    marks = anchors(said, said > 2, harmless & ~foreign, harmless & ~foreign, foreign)
    assert (said[foreign] >= marks[0, 2]).mean() == pytest.approx(0.01, abs=0.001)


def test_one_odd_line_of_one_category_does_not_set_its_marks_alone() -> None:
    dice = np.random.default_rng(1)
    said = dice.normal(size=(20_000, 3))
    all_of_them = np.ones(20_000, bool)
    calm = anchors(said, said > 2, all_of_them, all_of_them, all_of_them)
    said[:24, 1] = 8  # one of a thousand texts and some more: a line in several dresses
    odd = anchors(said, said > 2, all_of_them, all_of_them, all_of_them)
    assert odd[1, 3] > 8  # nothing of ours lies above the mark
    assert odd[1, 3] < 8 + 2 * (calm[1, 3] - calm[1, 1])
    assert odd[0] == pytest.approx(calm[0], abs=0.2)


def test_the_more_a_line_can_be_dressed_the_more_texts_are_made_of_it() -> None:
    made = Counter(e.line for e in dressed(TRAINED))
    assert set(made) == set(TRAINED)
    assert all(made[line] == turns(line) for line in TRAINED)
    english, german, plain, chosen, ordinary = (
        Line("hate", True, False, "a line"),
        Line("hate", True, False, "eine Zeile", language="de"),
        Line("hate", True, True, "a line"),
        Line("hate", True, False, "a {line|row}"),
        Line(ORDINARY, False, False, "a line"),
    )
    assert turns(german) < turns(english) == turns(plain) < turns(chosen) < turns(ordinary)


def test_rows_weigh_the_same_on_both_sides() -> None:
    wanted = np.array([[True, False], [False, True], [False, False], [False, False]])
    balance = balanced(wanted, np.array([[1.0, 0.5], [1.0, 2.0], [2.0, 1.0], [0.0, 1.0]]))
    for column, own in zip(balance.T, wanted.T, strict=True):
        assert column[own].sum() == pytest.approx(column[~own].sum())
    assert balance.mean() == pytest.approx(1)
    assert balance[3, 0] == 0


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


def test_a_layer_finds_what_no_line_separates_and_says_the_same_again() -> None:
    dice = np.random.default_rng(1)
    rows = dice.normal(size=(3_000, 4)) * [1, 5, 1, 1] + 2
    wanted = np.stack([np.abs(rows[:, 1] - 2) > 5, rows[:, 0] > 2], axis=1)
    weight = np.ones(wanted.shape)
    layer = fit_layer(rows, wanted, weight)
    said = layer(rows)
    assert auc(said[wanted[:, 0], 0], said[~wanted[:, 0], 0]) > 0.95
    assert auc(said[wanted[:, 1], 1], said[~wanted[:, 1], 1]) > 0.95
    line = fit(rows, wanted[:, 0], weight[:, 0], ridge=0.001)(rows)
    assert auc(line[wanted[:, 0]], line[~wanted[:, 0]]) < 0.7
    assert np.allclose(fit_layer(rows, wanted, weight)(rows[:5]), said[:5])


def test_auc_counts_pairs_and_ties_half() -> None:
    wanted, harmless = np.array([3.0, 2.0, 2.0]), np.array([1.0, 2.0, 4.0])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in wanted for b in harmless]
    assert auc(wanted, harmless) == pytest.approx(sum(pairs) / len(pairs))
    assert auc(np.array([2.0]), np.array([1.0])) == 1
