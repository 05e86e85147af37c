"""Files that don't make a rule are refused with file and line, and what was in force stays in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.screening.rules.book import RuleBook
from gateway.screening.rules.document import MAX_FILE_BYTES
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.ruleset import load

GOOD = """\
id: serial
version: 1
owner: security
mode: enforce
severity: high
detect:
  any:
    - regex: 'SN-(\\d{6})'
action: {default: mask, replacement: "000"}
message: This looks like a serial number of ours. Leave it out.
tests:
  match: ["box SN-123456"]
  no_match: ["box SN-12"]
"""
LEXICON = """\
id: spiders
version: 1
owner: trust-and-safety
mode: enforce
severity: low
action: {default: block}
message: This asks for spiders, which scare people. Leave them out.
words:
  en:
    terms:
      - (spider|tarantula)
    exceptions:
      - spider plant
tests:
  match: ["a spider"]
  no_match: ["a spider plant"]
"""

DLP_BROKEN = {
    "nothing in it": ("", 1, "empty"),
    "not a mapping": ("- a\n- b\n", 1, "valid dictionary"),
    "not YAML": (GOOD.replace("severity: high", "severity: [high"), 6, "not YAML"),
    "a tab": (GOOD.replace("  any:", "\tany:"), 7, "not YAML"),
    "key twice": (GOOD + "mode: 'off'\n", 14, "stands twice"),
    "an alias": (GOOD.replace('["box SN-12"]', "&a [x, *a]"), 13, "aliases"),
    "unknown key": (GOOD + "colour: red\n", 14, "colour"),
    "misspelt nested key": (GOOD.replace("- regex:", "- regx:"), 8, "regx"),
    "missing message": (GOOD.replace("message:", "massage:"), 10, "massage"),
    "short message": (GOOD.replace("This looks like a serial number of ours. Leave it out.", "No."), 10, "message"),
    "unknown mode": (GOOD.replace("mode: enforce", "mode: enforced"), 4, "mode"),
    "unknown severity": (GOOD.replace("severity: high", "severity: awful"), 5, "severity"),
    "version of nought": (GOOD.replace("version: 1", "version: 0"), 2, "version"),
    "id of another file": (GOOD.replace("id: serial", "id: cereal"), 1, "file's name"),
    "id with a space": (GOOD.replace("id: serial", "id: se rial"), 1, "id"),
    "no patterns": (GOOD.replace("\n    - regex: 'SN-(\\d{6})'", " []"), 7, "detect.any"),
    "open bracket": (GOOD.replace("(\\d{6})", "(\\d{6}"), 8, "RE2"),
    "look-behind": (GOOD.replace("SN-(", "(?<=SN-)("), 8, "RE2"),
    "backreference": (GOOD.replace("(\\d{6})", "(\\d)\\1"), 8, "RE2"),
    "matches everything": (GOOD.replace("SN-(\\d{6})", "\\d*"), 8, "empty text"),
    "a repeat of a repeat": (GOOD.replace("(\\d{6})", "(?:\\d+)+"), 8, "repeat of a repeat"),
    "a repeat of a repeated class": (GOOD.replace("(\\d{6})", "([0-9]*)*"), 8, "repeat of a repeat"),
    "a repeat too large": (GOOD.replace("{6}", "{6000}"), 8, "RE2"),
    "review of one value": (GOOD.replace('"000"', '"000", review_if: {values: 1}'), 9, "review_if"),
    "review of a block": (GOOD.replace('mask, replacement: "000"', "block, review_if: {values: 3}"), 9, "review_if"),
    "two counts": (
        GOOD.replace('"000"', '"000", review_if: {values: 3}').replace("action:", "  min_count: 2\naction:"),
        1, "min_count",
    ),
    "roles that are policy's": (GOOD + "monitor_roles: [auditor]\n", 14, "gateway/config/findings/data.yaml"),
    "a group that is policy's": (
        GOOD + "exceptions:\n  - {values: [SN-1], reason: ours, group: press, until: 2027-01-01}\n",
        15, "gateway/config/findings/data.yaml",
    ),
    "unknown validator": (GOOD.replace("action:", "  validate: [card, iban]\naction:"), 9, "no such validator"),
    "required without cues": (GOOD.replace("action:", "  context: {required: true}\naction:"), 9, "cues"),
    "window too wide": (GOOD.replace("action:", "  context: {cues: [a], window: 9999}\naction:"), 9, "window"),
    "mask with nothing": (GOOD.replace(', replacement: "000"', ""), 9, "replacement"),
    "finds its own mask": (GOOD.replace('"000"', '"SN-000000"'), 9, "its own replacement"),
    "no tests": (GOOD[: GOOD.index("tests:")], 1, "tests"),
    "no negative test": (GOOD[: GOOD.index("  no_match")], 11, "no_match"),
    "failing match": (GOOD.replace("box SN-123456", "box 123456"), 12, "tests.match[0]"),
    "failing no_match": (GOOD.replace("box SN-12\"", "box SN-654321\""), 13, "tests.no_match[0]"),
    "too large": (GOOD + "#" * MAX_FILE_BYTES, 1, "too large"),
    "a Python object": (GOOD.replace(": security", ": !!python/object/apply:os.abort []"), 3, "not YAML"),
    "a number for a text": (GOOD.replace("owner: security", "owner: 7"), 3, "owner"),
}  # fmt: skip
CONTENT_BROKEN = {
    "unreadable phrase": (LEXICON.replace("(spider|tarantula)", "(spider|"), 11, "expected words"),
    "unreadable exception": (LEXICON.replace("- spider plant", "- spider (plant"), 13, "expected words"),
    "unknown language": (LEXICON.replace("  en:", "  tlh:"), 9, "words"),
    "nothing to look for": (LEXICON.replace("    terms:\n      - (spider|tarantula)\n", ""), 1, "terms"),
    "a subject counted": (
        LEXICON.replace("{default: block}", "{default: allow, review_if: {values: 3}}"),
        1,
        "review_if",
    ),
    "a subject masked": (LEXICON.replace("{default: block}", "{default: mask, replacement: ant}"), 1, "mask"),
    "failing match": (LEXICON.replace('["a spider"]', '["a fly"]'), 15, "tests.match[0]"),
    "failing exception": (LEXICON.replace("      - spider plant", "      - spider web"), 16, "tests.no_match[0]"),
}


def write(directory: Path, kind: str, name: str, text: str) -> Path:
    path = directory / kind / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path, "dlp", "serial", GOOD)
    write(tmp_path, "content", "spiders", LEXICON)
    return tmp_path


def test_the_good_files_are_good(directory: Path) -> None:
    rules = load(directory)
    assert set(rules.rules) == {"dlp.serial", "content.spiders"}
    assert len(rules.scanners["prompt"].scan_text("box SN-123456")) == 1


BROKEN = [("dlp", "serial", name, *case) for name, case in DLP_BROKEN.items()] + [
    ("content", "spiders", name, *case) for name, case in CONTENT_BROKEN.items()
]


@pytest.mark.parametrize(
    ("kind", "rule", "name", "text", "line", "says"), BROKEN, ids=[f"{b[0]}: {b[2]}" for b in BROKEN]
)
def test_a_broken_file_is_refused_with_its_line_and_the_old_rules_stay(
    directory: Path, kind: str, rule: str, name: str, text: str, line: int, says: str
) -> None:
    told: list[tuple[bool, str, str]] = []
    book = RuleBook(directory, reload_seconds=0, on_reload=lambda *what: told.append(what))
    before = book.current
    write(directory, kind, rule, text)
    with pytest.raises(RuleError) as caught:
        load(directory)
    assert str(caught.value).startswith(f"{kind}/{rule}.yaml:{line}: ")
    assert says in str(caught.value)

    assert book.maybe_reload() is False
    assert book.current is before
    assert told == [(False, before.revision, str(caught.value))]
    assert book.error == str(caught.value)


def test_an_error_never_quotes_what_a_test_holds(directory: Path) -> None:
    write(directory, "dlp", "serial", GOOD.replace("box SN-123456", "box of my secret 4111111111111111"))
    with pytest.raises(RuleError) as caught:
        load(directory)
    assert "4111" not in str(caught.value)


def test_one_id_in_two_files_is_refused(directory: Path) -> None:
    (directory / "dlp" / "serial.yml").write_text(GOOD)
    with pytest.raises(RuleError, match="id is taken"):
        load(directory)


def test_bytes_that_are_not_utf8_are_refused_at_their_line(directory: Path) -> None:
    (directory / "dlp" / "serial.yaml").write_bytes(GOOD.encode() + b"# \xff\n")
    with pytest.raises(RuleError, match=r"dlp/serial.yaml:14: file is not UTF-8"):
        load(directory)


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no rule files"):
        load(tmp_path)


def test_a_gate_that_never_had_rules_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(RuleError):
        RuleBook(tmp_path)
