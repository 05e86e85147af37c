"""What a bundle must not do, each with the place where it does it."""

from __future__ import annotations

import json

import pytest

from gateway.policy import lint, nesting, syntax
from gateway.policy.rego import Rego
from tests.support.policy import SHIPPED

CAPABILITIES = (SHIPPED / "capabilities.json").read_bytes()
IMAGE = 'package gateway.image.authz\n\ndefault decision := {"effect": "deny"}\n'
ADMIN = 'package gateway.admin.authz\n\ndefault decision := {"effect": "deny"}\n'
LIB = "package gateway.lib\n\nhelp(x) := x\n\nvalue := 1\n"


def check(body: str = "", capabilities: bytes | None = CAPABILITIES, **more: str) -> list[str]:
    """The problems of a small bundle whose image rules have `body`; `more` adds files, `/` written as `__`."""
    files = {
        "gateway/image/authz/authz.rego": IMAGE + body,
        "gateway/admin/authz/authz.rego": ADMIN,
        "gateway/lib/lib.rego": LIB,
    }
    files |= {name.replace("__", "/") + ".rego": text for name, text in more.items()}
    modules = [syntax.module(entry) for entry in Rego({k: v for k, v in files.items() if v}).syntax()]
    return [str(problem) for problem in lint.check(modules, {}, ["gateway"], capabilities)]


def test_a_good_bundle_has_no_problems() -> None:
    body = """
allow if {
	data.gateway.lib.help(1) == data.gateway.lib.value
	count(input.findings) == 0
	not banned
	every x in input.findings { startswith(x.type, "dlp.") }
}

banned if input.subject.status == "banned"
own(x) := y if y := x + 1
again := own(1)
"""
    assert check(body) == []


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        ('x := http.send({"method": "get", "url": "http://x"})', 6, "http.send must not be used"),
        ('x if http["send"]({})', 6, "http.send must not be used"),
        ("x if count([]) == 0 with count as http.send", 35, "http.send must not be used"),
        ("x := opa.runtime().env", 6, "opa.runtime must not be used"),
        ('x := net.lookup_ip_addr("x")', 6, "net.lookup_ip_addr must not be used"),
        ('x := net.lookup_other("x")', 6, "net.lookup_other must not be used"),
        ("x := time.now_ns()", 6, "time.now_ns must not be used"),
        ("x if input.a[time.now_ns()]", 14, "time.now_ns must not be used"),
        ("x := {time.now_ns(): 1}", 7, "time.now_ns must not be used"),
        ("x := [y | y := time.now_ns()]", 16, "time.now_ns must not be used"),
        ('x := rand.intn("x", 3)', 6, "rand.intn must not be used"),
        ('x := uuid.rfc4122("x")', 6, "uuid.rfc4122 must not be used"),
        ('x if print("secret", input)', 6, "print must not be used"),
        ('x := io.jwt.decode("x")', 6, "io.jwt.decode is no function here, and not among the built-ins"),
        ("x := numbers.range(1, 1000000000)", 6, "numbers.range is no function here"),
        ("x := nonsense(1)", 6, "nonsense is no function here"),
        ("x := data.gateway.lib.nonsense(1)", 6, "there is no function data.gateway.lib.nonsense"),
        ("x := data.gateway.nowhere.help(1)", 6, "there is no function data.gateway.nowhere.help"),
        ("x if not is_number(input.score)", 6, "give this condition a name of its own"),
        ("x if not input.score > 1", 6, "give this condition a name of its own"),
        ("x if not 1 in input.list", 6, "give this condition a name of its own"),
        ("x if not startswith(own, input.a)\nown := input.b", 6, "give this condition a name of its own"),
        ("x if not count(input.list) == 1", 6, "give this condition a name of its own"),
    ],
)
def test_what_reaches_outside_or_means_two_things_is_found(line: str, column: int, says: str) -> None:
    problems = check(f"\n{line}\n")
    assert problems
    assert problems[0].startswith(f"gateway/image/authz/authz.rego:5:{column}: {says}")


@pytest.mark.parametrize(
    "line", ["x if not input.a", "x if not input.a == 1", "x if not own\nown if input.a", 'x if not input.a.b != "c"']
)
def test_negations_that_every_engine_reads_alike_are_fine(line: str) -> None:
    assert check(f"\n{line}\n") == []


@pytest.mark.parametrize(
    "target", ["data.gateway.lib", "data.gateway.lib.help", "data.gateway", "data.gateway.image.authz"]
)
def test_packages_are_not_imported(target: str) -> None:
    file = f"package gateway.image.x\n\nimport {target} as y\n\nz := 1\n"
    assert check(gateway__image__x__x=file) == [
        f"gateway/image/x/x.rego:3:1: write {target}.… in full: only data may be imported"
    ]


def test_data_may_be_imported_also_under_another_name() -> None:
    file = "package gateway.image.x\n\nimport data.gateway.config.limits as l\nimport rego.v1\n\nz := l.n\n"
    assert check(gateway__image__x__x=file) == []


def test_a_forbidden_function_is_found_under_another_name() -> None:
    assert "http.send" in check("\nx := y if { y := 1 with data.gateway.lib.value as http.send }\n")[0]


def test_a_package_must_say_where_it_lies() -> None:
    assert check(gateway__image__x__x="package gateway.image.authz\n\nz := 1\n") == [
        "gateway/image/x/x.rego:1:1: package is gateway.image.authz, folder says gateway.image.x"
    ]


def test_a_test_s_package_may_end_in_test_and_a_rule_s_may_not() -> None:
    assert check(gateway__image__x__x_test="package gateway.image.x_test\n\nz := 1\n") == []
    assert "folder says gateway.image.x" in check(gateway__image__x__x="package gateway.image.x_test\n\nz := 1\n")[0]


def test_rules_outside_the_roots_are_found() -> None:
    assert check(elsewhere__x="package elsewhere\n\nz := 1\n") == [
        "elsewhere/x.rego:1:1: lies outside the manifest's roots gateway"
    ]


def test_a_root_is_a_folder_and_not_a_beginning_of_letters() -> None:
    assert check(gateway2__x="package gateway2\n\nz := 1\n") != []


def test_an_entry_point_that_is_missing_is_found() -> None:
    assert check(gateway__admin__authz__authz="") == [
        "gateway/admin/authz/: there is no rule decision, which the gateway asks for"
    ]


def test_an_entry_point_without_a_default_is_found() -> None:
    admin = 'package gateway.admin.authz\n\ndecision := {"effect": "allow"} if input.x\n'
    assert check(gateway__admin__authz__authz=admin) == [
        'gateway/admin/authz/authz.rego:3:1: decision needs a default with "effect": "deny"'
    ]


@pytest.mark.parametrize("default", ["{}", "true", '{"effect": "allow"}', '{"effect": ["deny"]}', '{"deny": "effect"}'])
def test_an_entry_point_whose_default_is_no_denial_is_found(default: str) -> None:
    admin = f"package gateway.admin.authz\n\ndefault decision := {default}\n"
    assert "needs a default" in check(gateway__admin__authz__authz=admin)[0]


def test_data_that_stands_in_for_rules_is_found() -> None:
    modules = [syntax.module(e) for e in Rego({"gateway/lib/lib.rego": LIB}).syntax()]
    data = {"gateway": {"lib": {"value": 2}}}
    problems = [str(p) for p in lint.check(modules, data, ["gateway"], CAPABILITIES)]
    assert "gateway/lib/lib.rego:1:1: a data file holds data.gateway.lib, which is a package" in problems


@pytest.mark.parametrize("capabilities", [None, b"", b"[]", b"{}", b'{"builtins": [1]}', b"\xff"])
def test_without_a_list_of_built_ins_there_are_none(capabilities: bytes | None) -> None:
    problems = check("\nx := count([])\n", capabilities)
    assert any(p.startswith("capabilities.json") for p in problems)
    assert any("count is no function here" in p for p in problems)


def test_the_shipped_list_of_built_ins_holds_none_that_lint_forbids() -> None:
    names = {builtin["name"] for builtin in json.loads(CAPABILITIES)["builtins"]}
    assert names.isdisjoint(lint.FORBIDDEN)
    assert json.loads(CAPABILITIES)["allow_net"] == []


def test_deep_brackets_are_found_before_the_parser_meets_them() -> None:
    deep = "package x\n\ny := " + "[" * 40 + "]" * 40
    problem = nesting.too_deep("x.rego", deep)
    assert str(problem) == "x.rego:3:20: nests brackets more than 14 deep"


@pytest.mark.parametrize(
    "text",
    ['x := "' + "[" * 40 + '"', "x := `" + "{" * 40 + "`", "# " + "(" * 40, 'x := "\\"' + "[" * 40 + '"', "[]" * 99],
)
def test_brackets_in_text_and_comments_and_side_by_side_are_not_deep(text: str) -> None:
    assert nesting.too_deep("x.rego", text) is None


def test_a_text_that_never_ends_hides_no_brackets_on_the_next_line() -> None:
    assert nesting.too_deep("x.rego", 'x := "\n' + "[" * 40) is not None
