from __future__ import annotations

from gateway.lifecycle.content import difference
from gateway.web.rules_diff import MAX_LINES, DiffLine, file_diffs

OLD = b"".join(b"line %d\n" % n for n in range(1, 31))


def test_lines_have_the_numbers_of_both_texts() -> None:
    new = OLD.replace(b"line 2\n", b"line two\nand more\n").replace(b"line 28\n", b"")
    (found,) = file_diffs(difference({"a.yaml": OLD}, {"a.yaml": new}))
    assert (found.path, found.status, found.added, found.removed) == ("a.yaml", "changed", 2, 2)
    assert found.lines[:5] == (
        DiffLine("same", 1, 1, "line 1"),
        DiffLine("removed", 2, None, "line 2"),
        DiffLine("added", None, 2, "line two"),
        DiffLine("added", None, 3, "and more"),
        DiffLine("same", 3, 4, "line 3"),
    )
    assert [line.kind for line in found.lines].count("gap") == 1
    assert DiffLine("removed", 28, None, "line 28") in found.lines
    assert found.lines[-1] == DiffLine("same", 30, 30, "line 30")


def test_a_text_that_looks_like_a_head_is_a_text() -> None:
    (found,) = file_diffs(difference({"a": b""}, {"a": b"+++ b/a\n@@ -1 +1 @@\n--- x\n"}))
    assert [(line.kind, line.text) for line in found.lines] == [
        ("added", "+++ b/a"),
        ("added", "@@ -1 +1 @@"),
        ("added", "--- x"),
    ]


def test_new_and_removed_files_and_ends_without_a_newline() -> None:
    added, removed = file_diffs(difference({"b": b"x"}, {"a": b"y"}))
    assert (added.path, added.status, added.lines) == ("a", "added", (DiffLine("added", None, 1, "y"),))
    assert (removed.path, removed.status, removed.lines) == ("b", "removed", (DiffLine("removed", 1, None, "x"),))


def test_a_very_long_difference_says_how_much_is_left_out() -> None:
    (found,) = file_diffs(difference({}, {"a": b"x\n" * (MAX_LINES + 7)}))
    assert (len(found.lines), found.left_out) == (MAX_LINES, 7)
