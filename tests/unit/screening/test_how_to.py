"""The how-to's examples are rules that load and do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.api.moderations import CATEGORIES
from gateway.screening.content.tokens import Words
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.ruleset import RuleSet, load
from gateway.screening.rules.schema import DlpRule
from gateway.screening.text.validators import VALIDATORS
from gateway.vocabulary import Effect

PAGES = Path(__file__).resolve().parents[3] / "docs"
POLICIES = PAGES.parent / "policies"
PAGE = (PAGES / "how-to" / "write-a-dlp-rule.md").read_text("utf-8")
RULE, NAMES, WORDS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
REST = """
id: spiders
version: 1
owner: trust-and-safety
mode: enforce
severity: low
action: {default: block}
message: This asks for spiders, which scare people. Leave them out.
tests:
  match: ["a sp1der", "s p i d e r", "a child under a cobweb"]
  no_match: ["a spider plant", "a cobweb"]
"""


def test_the_examples_load_and_find_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "dlp").mkdir()
    (tmp_path / "content").mkdir()
    (tmp_path / "dlp" / "serial-number.yaml").write_text(RULE)
    (tmp_path / "content" / "spiders.yaml").write_text(WORDS + REST)
    rules = load(tmp_path)
    assert set(rules.rules) == {"dlp.serial-number", "content.spiders"}
    [hit] = rules.scanners["prompt"].scan_text("a press with SN-482913 on its plate")
    assert hit.detector.effect is Effect.ALLOW, "monitor mode"
    text = "two tarantulas"
    [mention] = rules.lexicons["prompt"][0].find(text, Words(text))
    assert text[mention.start : mention.end] == "tarantulas"


def test_the_example_for_names_loads_and_what_it_says_is_refused_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dlp").mkdir()
    path = tmp_path / "dlp" / "serial-number.yaml"
    head, _, tail = RULE.partition("detect:")
    good = head + NAMES + "message:" + tail.partition("message:")[2]
    good = re.sub(
        r"(?s)  match:.*", '  match: ["a flat, tenant Anna Berger"]\n  no_match: ["a flat by Anna Berger"]\n', good
    )
    path.write_text(good)
    assert load(tmp_path, prove_names=True).without_model == ()
    for old, new in (("required: true", "required: false"), ("review ", "mask "), ("medium", "critical")):
        assert old in good
        path.write_text(good.replace(old, new, 1))
        with pytest.raises(RuleError):
            load(tmp_path)


def test_the_page_s_error_is_the_one_that_is_shown(tmp_path: Path) -> None:
    (tmp_path / "dlp").mkdir()
    broken = RULE.replace("with SN-482913 on its plate", "without a plate", 1)
    (tmp_path / "dlp" / "serial-number.yaml").write_text(broken)
    with pytest.raises(RuleError) as caught:
        load(tmp_path)
    assert f"`{caught.value}`" in PAGE


def test_every_validator_and_field_is_named() -> None:
    assert [name for name in VALIDATORS if f"`{name}`" not in PAGE] == []
    fields = [name for name in DlpRule.model_fields if name not in ("id", "version", "owner", "detect")]
    assert [name for name in fields if f"`{name}" not in PAGE] == []


DETECTORS = (PAGES / "reference" / "detectors.md").read_text("utf-8")
RULES, MODERATIONS = DETECTORS.split("## `POST /v1/moderations`")


def rows(text: str) -> dict[str, list[str]]:
    """The tables' rows by their first cell."""
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("| ")]
    return {row[1].strip("`"): row for row in cells}


def test_the_page_of_detectors_says_of_each_rule_what_its_file_says(shipped: RuleSet) -> None:
    for finding_type, rule in shipped.rules.items():
        cells = rows(RULES)[finding_type.split(".")[1]]
        assert rule.severity in cells, finding_type
        effect = next(cell for cell in cells[3:] if cell.startswith(rule.action.default))
        if rule.action.default == "mask":
            assert f"`{rule.action.replacement}`" in effect
    named = {name for name in rows(RULES) if (POLICIES / "dlp" / f"{name}.yaml").exists()}
    assert len(named) == sum(finding_type.startswith("dlp.") for finding_type in shipped.rules)


def test_the_page_of_detectors_maps_openai_s_categories_as_the_code_does() -> None:
    for category, types in CATEGORIES.items():
        if types:
            said = [name.strip("` ") for name in rows(MODERATIONS)[category][2].split(",")]
            assert said == [finding_type.removeprefix("content.") for finding_type in types]
        else:
            assert f"`{category}`" in DETECTORS
