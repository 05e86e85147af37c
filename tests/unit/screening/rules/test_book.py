"""Rules change while the gateway runs: whole, seen soon, and never by half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.screening.rules import book as book_module
from gateway.screening.rules.book import RuleBook
from gateway.screening.rules.errors import RuleError
from gateway.vocabulary import Effect

RULE = """\
id: serial
version: {version}
owner: security
mode: {mode}
scope: [prompt, filename]
severity: high
detect:
  any: [{{regex: 'SN-(\\d{{6}})'}}]
action: {{default: block}}
message: This looks like a serial number of ours. Leave it out.
tests:
  match: ["SN-123456"]
  no_match: ["SN-12"]
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "dlp").mkdir()
    write(tmp_path, version=1)
    return tmp_path


def write(directory: Path, *, version: int, mode: str = "enforce") -> None:
    (directory / "dlp" / "serial.yaml").write_text(RULE.format(version=version, mode=mode))


def test_a_changed_file_is_in_force_after_the_next_look(directory: Path) -> None:
    clock, told = Clock(), []
    book = RuleBook(directory, reload_seconds=5, clock=clock, on_reload=lambda *what: told.append(what))
    first = book.current
    write(directory, version=22)
    assert not book.is_due()
    assert book.maybe_reload() is False, "not before its time"
    clock.now = 5
    assert book.is_due()
    assert book.maybe_reload() is True
    assert book.current.rules["dlp.serial"].version == 22
    assert book.current.revision != first.revision
    assert told == [(True, book.current.revision, "")]
    assert first.rules["dlp.serial"].version == 1, "a request that began with the old rules ends with them"


def test_files_that_did_not_change_are_not_read_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = RuleBook(directory, reload_seconds=0)

    def must_not_run(_: Path) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr(book_module, "load", must_not_run)
    assert book.maybe_reload() is False


def test_a_touched_file_of_the_same_content_is_no_new_revision(directory: Path) -> None:
    told: list[object] = []
    book = RuleBook(directory, reload_seconds=0, on_reload=lambda *what: told.append(what))
    os.utime(directory / "dlp" / "serial.yaml", ns=(1, 1))
    assert book.maybe_reload() is False
    assert told == []


def test_a_mended_file_is_taken_and_the_error_goes(directory: Path) -> None:
    book = RuleBook(directory, reload_seconds=0)
    (directory / "dlp" / "serial.yaml").write_text("id: [")
    book.maybe_reload()
    assert book.error.startswith("dlp/serial.yaml:1: ")
    write(directory, version=3)
    assert book.maybe_reload() is True
    assert book.error == ""


def test_removing_every_rule_is_refused(directory: Path) -> None:
    book = RuleBook(directory, reload_seconds=0)
    (directory / "dlp" / "serial.yaml").unlink()
    assert book.maybe_reload() is False
    assert "no rule files" in book.error
    assert len(book.current.rules) == 1


def test_a_defect_of_ours_while_loading_leaves_the_rules_in_force(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = RuleBook(directory, reload_seconds=0)
    write(directory, version=22)

    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(book_module, "load", broken)
    assert book.maybe_reload() is False
    assert "MemoryError" in book.error
    assert book.current.rules["dlp.serial"].version == 1


def test_equal_files_have_equal_revisions_wherever_they_lie(
    directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "dlp").mkdir()
    write(other, version=1)
    assert RuleBook(other).current.revision == RuleBook(directory).current.revision


@pytest.mark.parametrize(
    ("mode", "found", "effect"), [("enforce", 1, Effect.DENY), ("monitor", 1, Effect.ALLOW), ("off", 0, None)]
)
def test_mode_says_whether_a_rule_speaks_and_what_it_proposes(
    directory: Path, mode: str, found: int, effect: Effect | None
) -> None:
    write(directory, version=1, mode=mode if mode != "off" else "'off'")
    hits = RuleBook(directory).current.scanners["prompt"].scan_text("SN-123456")
    assert len(hits) == found
    assert [h.detector.effect for h in hits] == ([effect] if effect else [])


def test_a_rule_runs_over_the_fields_of_its_scope_only(directory: Path) -> None:
    scanners = RuleBook(directory).current.scanners
    assert scanners["filename"].scan_text("SN-123456")
    assert scanners["negative_prompt"].scan_text("SN-123456") == []


def test_a_file_mounted_as_a_link_counts(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("configmap") / "serial.yaml"
    (directory / "dlp" / "serial.yaml").rename(elsewhere)
    (directory / "dlp" / "serial.yaml").symlink_to(elsewhere)
    assert len(RuleBook(directory).current.rules) == 1


def test_unreadable_rules_are_an_error_with_their_name(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(RuleError, match=r"dlp/serial.yaml:1: can't be read: PermissionError"):
        RuleBook(directory)
