"""What is worked out once a process, and YAML read by libyaml: both must tell the same as the long way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from gateway.screening.rules import document as document_module
from gateway.screening.rules import ruleset as ruleset_module
from gateway.screening.rules.document import parse
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.ruleset import load, rule_files

POLICIES = Path(__file__).parents[4] / "policies"


def _forget() -> None:
    for kept in (ruleset_module._dlp, ruleset_module._content, ruleset_module._scanner):
        kept.cache_clear()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for kind in ("dlp", "content"):
        shutil.copytree(POLICIES / kind, tmp_path / kind)
    return tmp_path


def test_a_reload_compiles_only_the_file_that_changed_and_tells_the_new_rule(directory: Path) -> None:
    before = load(directory)
    changed = directory / "dlp" / "iban.yaml"
    changed.write_text(changed.read_text("utf-8").replace("mode: enforce", "mode: monitor"), "utf-8")
    after = load(directory)
    assert after.revision != before.revision
    was, now = ({d.rule_id: d for d in rules.scanners["prompt"].detectors} for rules in (before, after))
    assert [name for name in now if now[name] is not was[name]] == ["iban"]
    assert (was["iban"].is_enforced, now["iban"].is_enforced) == (True, False)
    text = "pay to DE89 3704 0044 0532 0130 00"
    hits = [[hit.detector for hit in rules.scanners["prompt"].scan_text(text)] for rules in (before, after)]
    assert hits == [[was["iban"]], [now["iban"]]]


def test_what_is_kept_is_what_the_long_way_gives(directory: Path) -> None:
    kept = load(directory)
    _forget()
    fresh = load(directory)
    assert (fresh.revision, fresh.rules, fresh.waiting) == (kept.revision, kept.rules, kept.waiting)
    for scope in kept.scanners:
        names = [[d.rule_id for d in rules.scanners[scope].detectors] for rules in (kept, fresh)]
        assert names[0] == names[1] == [d.rule_id for d in fresh.scanners[scope].detectors if scope in d.scope]


def test_a_rule_that_fails_its_own_tests_fails_them_each_time(directory: Path) -> None:
    broken = directory / "dlp" / "iban.yaml"
    text = broken.read_text("utf-8")
    good = yaml.safe_load(text)["tests"]["match"][0]
    broken.write_text(text.replace(good, "no account here"), "utf-8")
    for _ in range(2):
        with pytest.raises(RuleError, match=r"tests.match\[0\]: expected a finding"):
            load(directory)


def test_both_readers_tell_the_same_of_every_shipped_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert yaml.__with_libyaml__
    files = [(path.name, path.read_bytes()) for path in rule_files(POLICIES)]
    assert len(files) > 50
    fast = [parse(*file) for file in files]
    monkeypatch.setattr(document_module, "_Fast", yaml.SafeLoader)
    assert fast == [parse(*file) for file in files]


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "[" * 100_000 + "]" * 100_000, "? " * 50_000])
@pytest.mark.parametrize("reader", [yaml.SafeLoader, yaml.CSafeLoader])
def test_what_is_too_deep_is_refused_at_once(text: str, reader: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_module, "_Fast", reader)
    with pytest.raises(RuleError, match=r"dlp/deep.yaml:1: deeper than 32 levels"):
        parse("dlp/deep.yaml", text.encode())


def test_the_deepest_that_is_taken_is_read() -> None:
    levels = document_module.MAX_DEPTH - 1
    read = parse("dlp/x.yaml", ("id: " + "[" * levels + "]" * levels + "\nmode: off").encode())
    depth, inner = 1, read.data["id"]
    while inner:
        depth, inner = depth + 1, inner[0]
    assert depth == levels
    assert read.lines[("mode",)] == 2


def test_a_billion_laughs_are_refused_at_their_line() -> None:
    with pytest.raises(RuleError, match=r"dlp/x.yaml:2: anchors and aliases"):
        parse("dlp/x.yaml", b"a: &a [ha, ha]\nb: [*a, *a]\n")
