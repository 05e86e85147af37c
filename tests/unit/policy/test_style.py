"""What a reviewer would send back: each check finds its slip, at its place, and nothing in the shipped rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policy import style, syntax
from gateway.policy.rego import Rego
from gateway.policy.style import Check, Level
from tests.support.policy import SHIPPED

PAGE = (Path(__file__).parents[3] / "docs/reference/policy-input.md").read_text()
HEAD = """# METADATA
# title: Access
# custom:
#   owner: security-team
package gateway.access

"""
META = """# METADATA
# title: A rule
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
"""


def remarks(rules: str, *, head: str = HEAD, explained: str | None = None) -> list[str]:
    """`check:line:column` of each remark on one file."""
    parsed = [syntax.module(entry) for entry in Rego({"gateway/access/access.rego": head + rules}).syntax()]
    return [f"{r.check}:{r.problem.line}:{r.problem.column}" for r in style.check(parsed, explained)]


def only(kind: Check, rules: str) -> list[str]:
    return [remark for remark in remarks(rules) if remark.startswith(f"{kind}:")]


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("deny contains 1 if input.subject.age > 300", "7:20"),
        ("deny contains 1 if {\n\tinput.a == 1\n\tnot fine\n}\n\nfine if input.b", "8:2"),
        ("deny contains 1 if stale\n\nstale if input.age > 3", "7:20"),
        ("deny contains 1 if {\n\tnot fine\n\tstale\n}\n\nfine if input.b\n\nstale if input.c", "9:2"),
        ("deny contains 1 if count(input.roles) == 0", "7:20"),
        ("deny := true if input.a", "7:17"),
    ],
)
def test_a_denial_that_needs_what_may_be_missing_fails_open(rule: str, place: str) -> None:
    assert only(Check.FAIL_OPEN, rule) == [f"fail-open:{place}"]


@pytest.mark.parametrize(
    "rule",
    [
        "deny contains 1 if not fine\n\nfine if input.a == 1",
        "deny contains 1 if {\n\tknown\n\tnot fine\n}\n\ndeny contains 2 if not known\n\n"
        "known if input.a\n\nfine if input.b",
        "deny contains f if some f in data.gateway.image.findings.deny",
        "deny contains f if {\n\tsome f in found\n\tf.rank > 3\n}\n\nfound contains 1 if input.a",
        "deny contains r if {\n\tnot fine\n\tr := 7\n}\n\nfine if input.a",
    ],
)
def test_a_denial_on_the_absence_of_a_fact_or_the_presence_of_a_finding_does_not(rule: str) -> None:
    assert only(Check.FAIL_OPEN, rule) == []


def test_a_fact_that_holds_where_the_input_is_missing_is_found() -> None:
    assert only(Check.ABSENT_INPUT, "trusted if not input.context.blocked") == ["absent-input:7:12"]
    assert only(Check.ABSENT_INPUT, "p := 1 if input.a else := 2 if not input.b") == ["absent-input:7:32"]
    assert only(Check.ABSENT_INPUT, "deny contains 1 if not input.a") == [], "a denial may: it says no more often"
    assert only(Check.ABSENT_INPUT, "ok if not bad\n\nbad if input.a") == []


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("", "has no METADATA"),
        ("# METADATA\n# title: x\n", "owner and control"),
        ("# METADATA\n# title: x\n# custom:\n#   owner: me\n", "its control"),
        ("# METADATA\n# custom: {owner: me, control: AC-3}\n", "its title"),
        ("# METADATA\n# title: x\n# custom: {owner: '', control: AC-3}\n", "its owner"),
        ("# METADATA\n# title: [\n", "no YAML"),
        ("# METADATA\n# nothing\n", "title and owner and control"),
        (META + "\n", "has no METADATA"),
    ],
)
def test_a_rule_says_who_answers_for_it_and_which_control_it_is(comment: str, says: str) -> None:
    text = HEAD + comment + "p := 1\n"
    parsed = [syntax.module(entry) for entry in Rego({"a.rego": text}).syntax()]
    found = [r for r in style.check(parsed, None) if r.check is Check.METADATA]
    assert len(found) == 1
    assert says in found[0].problem.message
    assert found[0].problem.line == text[: text.index("p := 1")].count("\n") + 1


def test_one_block_is_enough_for_all_of_a_name_and_the_package_needs_its_own() -> None:
    assert only(Check.METADATA, f"{META}p contains 1\n\np contains 2\n") == []
    assert "metadata:1:1" in remarks(f"{META}p := 1\n", head="package gateway.access\n\n")


def test_a_rule_that_nothing_asks_for_is_found() -> None:
    assert only(Check.UNUSED, "p := q\n\nq := 1") == ["unused-rule:7:1"]
    assert only(Check.UNUSED, "p := p2\n\np2 if input.a\n\nf(x) := x") == ["unused-rule:7:1", "unused-rule:11:1"]


def test_a_rule_is_used_by_another_package_by_an_import_and_by_whoever_reads_the_package() -> None:
    for user in (
        "x := data.gateway.access.p",
        'x := data.gateway.access["p"]',
        "x := [v | some v in data.gateway.access]",
    ):
        other = f"package gateway.other\n\n{user}\n"
        engine = Rego({"gateway/access/access.rego": f"{HEAD}p := 1\n", "gateway/other/other.rego": other})
        found = style.check([syntax.module(entry) for entry in engine.syntax()], None)
        assert [r.problem.message for r in found if r.check is Check.UNUSED] == ["nothing uses x"], user


def test_a_test_is_no_user_and_is_not_looked_at() -> None:
    tests = "package gateway.access_test\n\ntest_p if data.gateway.access.p == 1\n"
    engine = Rego({"gateway/access/access.rego": f"{HEAD}{META}p := 1\n", "gateway/access/access_test.rego": tests})
    found = style.check([syntax.module(entry) for entry in engine.syntax()], None)
    assert [(r.check, r.problem.path) for r in found] == [(Check.UNUSED, "gateway/access/access.rego")]


def test_a_reason_that_no_page_has_is_found_once() -> None:
    rules = 'p := ["subject.odd", "subject.odd", "subject.inactive", "dlp.mine", "not a code", "a.b"]\n'
    found = remarks(rules, explained="| `subject.inactive` | suspended |")
    assert [r for r in found if r.startswith("unexplained")] == ["unexplained-code:7:8"]
    assert not [r for r in remarks(rules) if r.startswith("unexplained")], "without a page there is nothing to compare"


def test_errors_and_warnings_are_told_apart() -> None:
    levels = {check: style.LEVELS[check] for check in Check}
    assert {c for c, level in levels.items() if level is Level.WARNING} == {Check.UNUSED, Check.UNEXPLAINED}


def test_the_shipped_rules_have_nothing_to_remark() -> None:
    modules = {p.relative_to(SHIPPED).as_posix(): p.read_text() for p in sorted(SHIPPED.rglob("*.rego"))}
    parsed = [syntax.module(entry) for entry in Rego(modules).syntax()]
    assert [str(remark) for remark in style.check(parsed, PAGE)] == []
