"""The rules that we ship: their own tests, every line of them run, and tests that notice every broken condition."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.policy import syntax
from gateway.policy.bundle import is_test
from gateway.policy.rego import Rego, RegoError
from gateway.policy.testing import RegoTest, RegoTests
from gateway.vocabulary import Permission, Role, is_reason_code
from tests.support.policy import SHIPPED
from tests.support.rego_mutants import mutants

MODULES = {path.relative_to(SHIPPED).as_posix(): path.read_text() for path in sorted(SHIPPED.rglob("*.rego"))}
PARSED = {module.path: module for module in map(syntax.module, Rego(MODULES).syntax())}
RULES = sorted(path for path in MODULES if not is_test(path))
TESTS = RegoTests(Rego(MODULES)).tests


@pytest.fixture(scope="module")
def tests() -> RegoTests:
    return RegoTests(Rego(MODULES))


def config(name: str) -> Any:
    return yaml.safe_load((SHIPPED / "gateway/config" / name / "data.yaml").read_text())


@pytest.mark.parametrize("test", TESTS, ids=[test.name for test in TESTS])
def test_rego(tests: RegoTests, test: RegoTest) -> None:
    result = tests.run(test)
    assert result.passed, f"{test.path}:{test.line} {result.error or 'is not true'}"


@pytest.mark.parametrize("path", RULES)
def test_every_line_of_the_rules_is_run_by_their_tests(tests: RegoTests, path: str) -> None:
    coverage = tests.coverage()[path]
    assert coverage.share == 1.0, f"not run: {path} lines {sorted(coverage.not_covered)}"


@pytest.mark.parametrize("path", RULES)
def test_the_tests_notice_every_broken_condition(path: str) -> None:
    """For each statement of each rule: away with it, or the whole body with it, and a test beside the rule goes red."""
    own_tests = path.replace(".rego", "_test.rego")
    rest = {p: text for p, text in MODULES.items() if p != path and (not is_test(p) or p == own_tests)}
    engine, asked = Rego(rest), [test.name for test in TESTS if test.path == own_tests]
    broken = list(mutants(PARSED[path]))
    survivors = [str(mutant) for mutant in broken if not _is_noticed(engine.copy(), mutant.path, mutant.source, asked)]
    assert survivors == []
    assert broken or path in ("gateway/lib/lib.rego", "gateway/image/house/house.rego"), "nothing in it can be broken"


def _is_noticed(engine: Rego, path: str, source: str, asked: list[str]) -> bool:
    try:
        engine.add_module(path, source)
        return any(engine.ask(name, "{}") is not True for name in asked)
    except RegoError:
        return True


def test_every_rule_says_what_it_is_and_which_control_it_serves() -> None:
    for path in RULES:
        lines, titled = MODULES[path].split("\n"), set()
        for rule in PARSED[path].rules:
            above = _metadata_above(lines, rule.span.line)
            if above is None:
                assert rule.name in titled, f"{path}:{rule.span.line} {rule.name} has no METADATA"
                continue
            titled.add(rule.name)
            assert above["title"], f"{path}:{rule.span.line}"
            assert set(above["custom"]) == {"owner", "control"}, f"{path}:{rule.span.line}"


def test_a_refusal_carries_the_control_that_its_metadata_names() -> None:
    for path in RULES:
        lines = MODULES[path].split("\n")
        for rule in PARSED[path].rules:
            above = _metadata_above(lines, rule.span.line)
            text = PARSED[path].source[rule.span.start : rule.span.end].decode()
            named = set(re.findall(r'"(NIST [^"]+)"', text))
            if above is not None and named:
                assert named == {above["custom"]["control"]}, f"{path}:{rule.span.line}"


def _metadata_above(lines: list[str], line: int) -> dict[str, Any] | None:
    """The METADATA block that ends on the line before `line` (OPA's annotation format)."""
    first = line - 2
    while first >= 0 and lines[first].startswith("#"):
        first -= 1
    block = lines[first + 1 : line - 1]
    if not block or block[0] != "# METADATA":
        return None
    found: dict[str, Any] = yaml.safe_load("\n".join(text[2:] for text in block[1:]))
    return found


def test_every_code_in_the_rules_is_a_reason_code() -> None:
    codes = set()
    for path in RULES:
        codes |= set(re.findall(r'lib\.reason\(\s*"([^"]+)"', MODULES[path]))
        codes |= set(re.findall(r'"code": "([^"]+)"', MODULES[path]))
    assert len(codes) >= 20
    assert [code for code in sorted(codes) if not is_reason_code(code)] == []


def test_the_configuration_names_known_roles_and_permissions_only() -> None:
    roles = config("roles")
    permissions = {p for grant in roles["grants"].values() for p in grant["permissions"]}
    permissions |= set(roles["permission_mfa_max_age_seconds"]) | set(roles["api_key_permissions"])
    assert permissions <= set(Permission)
    assert set(roles["grants"]) <= set(Role)
    assert {role for model in config("models").values() for role in model["roles"]} <= set(Role)


def test_nobody_s_second_factor_may_be_older_than_the_design_says() -> None:
    grants = config("roles")["grants"]
    assert {role: grant["mfa_max_age_seconds"] for role, grant in grants.items()} == {
        "employee": 12 * 3600,
        "auditor": 15 * 60,
        "billing": 3600,
        "service": 15 * 60,
        "admin": 5 * 60,
        "break-glass": 3600,
        "policy-author": 3600,  # nothing that they write is in force
        "policy-approver": 3600,  # to read; to approve takes a fresh one, below
    }
    sensitive = (
        *("key:manage", "case:approve", "content:open", "hold:manage", "subject:manage"),
        *("policy:approve", "policy:activate"),
    )
    assert config("roles")["permission_mfa_max_age_seconds"] == dict.fromkeys(sensitive, 5 * 60)


def test_a_key_can_not_make_keys_or_read_the_log() -> None:
    allowed = set(config("roles")["api_key_permissions"])
    assert allowed.isdisjoint({Permission.KEY_MANAGE, Permission.AUDIT_SEARCH, Permission.AUDIT_PROVE})


def test_rules_lie_beside_their_tests() -> None:
    assert [path for path in RULES if not (SHIPPED / Path(path.replace(".rego", "_test.rego"))).exists()] == []
