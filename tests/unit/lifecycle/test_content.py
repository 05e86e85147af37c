"""Sets of files: what may be one, how two differ, and when two changes are in each other's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.lifecycle.content import (
    apply,
    changes_between,
    conflicts,
    difference,
    file_problem,
    materialise,
    path_problem,
    set_problem,
)
from gateway.policy.bundle import MAX_BYTES, MAX_FILE_BYTES, bundle_of, read_bundle

OLD = {"gateway/a.rego": b"package gateway\n\nx := 1\n", "gateway/b.yaml": b"y: 1\n"}


@pytest.mark.parametrize(
    "path", ["gateway/lib/lib.rego", ".manifest", "capabilities.json", "dlp/iban.yaml", "README.md"]
)
def test_a_rule_files_path_may_be_one(path: str) -> None:
    assert path_problem(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a.rego",
        "../a.rego",
        "a/../b.rego",
        "a//b.rego",
        "a/.b.rego",
        ".a/b.rego",
        "a\\b.rego",
        "a b.rego",
        "é.rego",
        "a.sh",
        "a",
        "lists/a.json",
        "__a/b.rego",
        "a/./b.rego",
        "a\n.rego",
        "a.rego~",
        "x" * 200 + ".rego",
        "a\x00.rego",
    ],
)
def test_a_path_that_hides_climbs_or_runs_is_none(path: str) -> None:
    assert path_problem(path) is not None


def test_sizes_and_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    assert file_problem("a.rego", b"x" * MAX_FILE_BYTES) is None
    assert "larger" in str(file_problem("a.rego", b"x" * (MAX_FILE_BYTES + 1)))
    assert str(file_problem("a.rego", b"a\nb\n\xff")) == "a.rego:3: is not UTF-8"
    assert str(file_problem("a.rego", b"a\n\0")) == "a.rego:2: holds a NUL character"
    many = {f"{n}.rego": b"x" * MAX_FILE_BYTES for n in range(MAX_BYTES // MAX_FILE_BYTES)}
    assert set_problem(many) is None
    assert set_problem({**many, "more.rego": b"x"}) is not None
    assert "at once" in str(set_problem({"a.rego": b"", "a.rego/b.rego": b""}))


def test_changes_and_their_difference_say_the_same() -> None:
    changes = {"gateway/a.rego": b"package gateway\n\nx := 2\n", "gateway/b.yaml": None, "gateway/c.yaml": b"z: 1"}
    new = apply(OLD, changes).files
    assert changes_between(OLD, new) == changes
    a, b, c = difference(OLD, new)
    assert (a.status, a.added, a.removed) == ("changed", 1, 1)
    assert "-x := 1\n+x := 2\n" in a.diff
    assert (b.status, b.removed) == ("removed", 1)
    assert c.diff.endswith("+z: 1\n\\ No newline at end of file\n")


def test_lines_that_look_like_a_head_are_counted() -> None:
    (one,) = difference({"a.md": b"-- x\n"}, {"a.md": b"++ y\n"})
    assert (one.added, one.removed) == (1, 1)


def test_the_same_change_made_twice_is_no_conflict_and_another_is() -> None:
    mine = {"gateway/a.rego": b"mine", "gateway/b.yaml": b"same"}
    theirs = {"gateway/a.rego": b"theirs", "gateway/b.yaml": b"same"}
    assert conflicts(mine, OLD, theirs) == ["gateway/a.rego"]
    assert conflicts({"gateway/a.rego": None}, OLD, theirs) == ["gateway/a.rego"]
    assert conflicts(mine, OLD, OLD) == []


def test_what_is_written_is_what_was_approved(tmp_path: Path) -> None:
    bundle = bundle_of({**OLD, ".manifest": b"{}"})
    materialise(bundle, tmp_path / "x")
    materialise(bundle, tmp_path / "x")
    assert read_bundle(tmp_path / "x").digest == bundle.digest
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
