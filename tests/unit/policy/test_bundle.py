"""A folder as it stood at one moment, named by its content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.policy import bundle
from gateway.policy.bundle import BundleRefused, Problem, read_bundle, signature


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def test_it_holds_every_file_by_its_path_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x.rego").write_text("package a.b\n")
    (tmp_path / ".manifest").write_text("{}")
    assert dict(read_bundle(tmp_path).files) == {"a/b/x.rego": b"package a.b\n", ".manifest": b"{}"}


def test_what_editors_and_kubernetes_leave_behind_is_left_out(tmp_path: Path) -> None:
    for name in ("..2026_11_20", ".git", "__pycache__"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.rego").write_text("package x\n")
    write(tmp_path, **{".x.rego.swp": "", "x.rego~": "", "x.rego": "package x\n"})
    assert list(read_bundle(tmp_path).files) == ["x.rego"]


def test_a_manifest_below_the_top_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", **{".manifest": "{}"})
    assert dict(read_bundle(tmp_path).files) == {}


def test_the_same_content_has_the_same_digest(tmp_path: Path) -> None:
    write(tmp_path, a="1", b="2")
    first = read_bundle(tmp_path).digest
    os.utime(tmp_path / "a", (1, 1))
    assert read_bundle(tmp_path).digest == first


def test_any_other_content_has_another(tmp_path: Path) -> None:
    digests = set()
    for files in ({"a": "1", "b": "2"}, {"a": "12", "b": ""}, {"a": "1", "c": "2"}, {"ab": "12"}, {"a": "1"}):
        folder = tmp_path / str(len(digests))
        folder.mkdir()
        write(folder, **files)
        digests.add(read_bundle(folder).digest)
    assert len(digests) == 5


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: `x.rego -> ..data/x.rego`."""
    (tmp_path / "..data").mkdir()
    write(tmp_path / "..data", **{"x.rego": "package x\n"})
    (tmp_path / "x.rego").symlink_to("..data/x.rego")
    assert dict(read_bundle(tmp_path).files) == {"x.rego": b"package x\n"}


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    write(tmp_path, **{"secret.yaml": "a: 1"})
    (folder / "data.yaml").symlink_to("../secret.yaml")
    with pytest.raises(BundleRefused, match=r"data\.yaml: is a link that leads out"):
        read_bundle(folder)


def test_a_broken_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.rego").symlink_to("nowhere")
    with pytest.raises(BundleRefused, match="can't be read"):
        read_bundle(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match="can't be read: No such file"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(OSError):
        signature(tmp_path / "nowhere")


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a="12345", b="12345")
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", 4)
    with pytest.raises(BundleRefused, match="a: is larger than 4 bytes"):
        read_bundle(tmp_path)
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", 5)
    monkeypatch.setattr(bundle, "MAX_BYTES", 9)
    with pytest.raises(BundleRefused, match="more than 9 bytes"):
        read_bundle(tmp_path)
    monkeypatch.setattr(bundle, "MAX_BYTES", 10)
    monkeypatch.setattr(bundle, "MAX_FILES", 1)
    with pytest.raises(BundleRefused, match="or 1 files"):
        read_bundle(tmp_path)
    monkeypatch.setattr(bundle, "MAX_FILES", 2)
    assert len(read_bundle(tmp_path).files) == 2


def test_the_quick_look_sees_every_kind_of_change(tmp_path: Path) -> None:
    write(tmp_path, a="1")
    seen = [signature(tmp_path)]

    def look() -> None:
        now = signature(tmp_path)
        assert now not in seen
        seen.append(now)

    write(tmp_path, b="2")
    look()
    write(tmp_path, a="other")
    look()
    stat = (tmp_path / "a").stat()
    write(tmp_path, a="OTHER")  # the same size, and the old time put back: ctime tells
    os.utime(tmp_path / "a", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    look()
    (tmp_path / "b").rename(tmp_path / "c")
    look()
    (tmp_path / "c").unlink()
    look()
    assert signature(tmp_path) == seen[-1]


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.rego", 3, 7, "m"), "a.rego:3:7: m"),
        (Problem("a.rego", 0, 0, "m"), "a.rego: m"),
        (Problem("", 0, 0, "m"), "bundle: m"),
    ],
)
def test_a_problem_reads_like_a_compiler_s(problem: Problem, text: str) -> None:
    assert str(problem) == text
    assert str(BundleRefused(problem, problem)) == f"{text}\n{text}"
