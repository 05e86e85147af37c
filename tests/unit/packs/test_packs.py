"""The packs: each loads, passes lint and its tests with every line run, decides alike in both engines, and decides what
its page says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from docs.packs import QUESTIONS, Rules, data_of, effects
from gateway.packs import BuildFailed, Pack, PackUnknown, build, find, packs, shipped_rules
from gateway.policy.bundle import Bundle, is_test
from gateway.policy.engine import EntryPoint
from gateway.policy.rego import Rego, RegoError
from gateway.policy.style import check
from gateway.policy.syntax import module
from gateway.policy.testing import RegoTests
from gateway.policy.trial import try_out
from tests.parity import compare
from tests.parity.engines import Embedded, Oracle
from tests.support.policy import SHIPPED
from tests.support.rego_mutants import mutants

HOUSE = "gateway/image/house/house.rego"
HOUSE_TESTS = "gateway/image/house/house_test.rego"
EXPLAINED = (SHIPPED.parent / "docs/reference/policy-input.md").read_text("utf-8")
VARIANTS = [(pack.name, options) for pack in packs() for options in ((), tuple(pack.options))]
CONTROLS = re.compile(
    r"NIST SP 800-53 [A-Z]{2}-\d+(\(\d+\))?|NIST AI 600-1 2\.\d+|NIST AI RMF (GOVERN|MAP|MEASURE|MANAGE) \d\.\d+"
    r"|ISO/IEC 27001:2022 A\.[5-8]\.\d+|EU AI Act Art\. \d+(\(\d+\))?|GDPR Art\. \d+(\(\d\))*(\([a-z]\))?"
)

pytestmark = pytest.mark.xdist_group("packs")

# baseline, strict, research, trial; in the order of the questions.
PROMISED = """
allow  allow  allow  allow
allow  deny   allow  deny
deny   deny   allow  deny
allow  allow  allow  deny
deny   deny   allow  deny
allow  allow  allow  deny
allow  deny   allow  allow
allow  deny   allow  deny
allow  deny   allow  allow
allow  allow  allow  allow
mask   review mask   mask
mask   review allow  mask
mask   review deny   mask
deny   deny   deny   deny
review review allow  review
review review review review
review review allow  review
allow  deny   allow  allow
allow  allow  allow  review
allow  allow  allow  deny
"""


def made(name: str, options: tuple[str, ...] = ()) -> Bundle:
    return build(shipped_rules(), find(name), options)


def sources(bundle: Bundle) -> dict[str, str]:
    return {path: body.decode() for path, body in bundle.files.items() if path.endswith(".rego")}


@pytest.fixture(scope="module", params=[pack.name for pack in packs() if pack.changes])
def pack(request: pytest.FixtureRequest) -> Pack:
    return find(request.param)


@pytest.mark.parametrize(("name", "options"), dict.fromkeys(VARIANTS))
def test_what_a_pack_makes_comes_into_force(name, options):
    rules = asyncio.run(try_out(made(name, options), decision_seconds=5))
    assert rules.revision.startswith("2026.11.1" + ("" if name == "baseline" else f"-{name}"))


def test_the_baseline_is_what_ships():
    assert made("baseline").files == shipped_rules()


def test_a_pack_is_clean_and_its_codes_are_explained(pack):
    modules = [module(entry) for entry in Rego(sources(made(pack.name))).syntax()]
    assert check(modules, EXPLAINED) == []


def test_all_tests_pass_on_a_packs_own_data_and_run_every_line(pack):
    bundle = made(pack.name)
    data = asyncio.run(try_out(bundle, decision_seconds=5)).data_json
    tests = RegoTests(Rego(sources(bundle), data))
    assert [result.test.name for result in tests.run_all() if not result.passed] == []
    assert {path: found.not_covered for path, found in tests.coverage().items() if found.not_covered} == {}


def test_its_tests_notice_every_broken_condition(pack):
    texts = sources(made(pack.name))
    parsed = {entry.path: entry for entry in map(module, Rego(texts).syntax())}
    rest = {path: text for path, text in texts.items() if path != HOUSE and (not is_test(path) or path == HOUSE_TESTS)}
    engine, asked = Rego(rest), [test.name for test in RegoTests(Rego(texts)).tests if test.path == HOUSE_TESTS]
    broken = list(mutants(parsed[HOUSE]))
    assert broken
    assert [str(mutant) for mutant in broken if not _is_noticed(engine.copy(), mutant.source, asked)] == []


def _is_noticed(engine: Rego, source: str, asked: list[str]) -> bool:
    try:
        engine.add_module(HOUSE, source)
        return any(engine.ask(name, "{}") is not True for name in asked)
    except RegoError:
        return True


def test_both_engines_decide_alike(pack):
    bundle = made(pack.name)
    texts, data = sources(bundle), data_of(bundle)
    embedded, oracle = Embedded(texts, data), Oracle(texts, data)
    try:
        tests = compare.tests(embedded, oracle, RegoTests(embedded.engine).tests)
        generated = compare.questions(embedded, oracle, range(300))
        ours = [(embedded.ask(*asked), oracle.ask(*asked)) for asked in _asked()]
    finally:
        oracle.close()
    assert (tests.differ, generated.differ) == ([], [])
    assert tests.same > 100
    assert generated.same > 270
    assert [pair for pair in ours if pair[0] != pair[1]] == []


def _asked() -> Iterator[tuple[str, dict[str, Any]]]:
    return ((EntryPoint.IMAGE.value, question.document()) for question in QUESTIONS)


def test_twenty_requests_are_decided_as_the_page_says():
    promised = [line.split() for line in PROMISED.strip().splitlines()]
    found = {question.title: [effects()[pack.name][n] for pack in packs()] for n, question in enumerate(QUESTIONS)}
    assert found == dict(zip(found, promised, strict=True))
    assert len(found) == 20


def test_strict_sends_nothing_milder_than_the_baseline():
    rank = {"allow": 0, "mask": 1, "review": 2, "deny": 3}
    pairs = zip(effects()["baseline"], effects()["strict"], strict=True)
    assert all(rank[strict] >= rank[shipped] for shipped, strict in pairs)


def test_options_close_what_they_say():
    rules = Rules(made("strict", ("office-hours", "private-networks")))
    (ordinary,) = [question for question in QUESTIONS if question.title == "Design asks for a picture"]
    assert rules.decide(ordinary)["effect"] == "allow"
    for change in ({"time": "2026-11-20T20:00:00Z"}, {"time": "2026-11-21T10:00:00Z"}):
        assert codes(rules, {**ordinary.document(), **change}) == {"hours.closed"}
    abroad = {**ordinary.document(), "context": {"ip": "203.0.113.9", "country": "", "client": ""}}
    assert codes(rules, abroad) == {"network.not-permitted"}


def codes(rules: Rules, document: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in rules.answer(document)["reasons"]}


def test_each_change_names_a_file_that_is_otherwise_and_controls_with_their_source():
    shipped = shipped_rules()
    for pack in packs():
        bundle = made(pack.name)
        otherwise = {path for path, body in bundle.files.items() if shipped.get(path) != body}
        about = {change.file for change in pack.changes}
        beside = {".manifest", HOUSE_TESTS, "gateway/config/house/data.yaml"}
        assert about == otherwise - beside, pack.name
        named = [c for each in (*pack.changes, *pack.options.values()) for c in each.controls]
        assert [control for control in named if not CONTROLS.fullmatch(control)] == []


def test_a_packs_rules_name_the_controls_that_its_page_names(pack):
    told = {control for change in pack.changes if change.file == HOUSE for control in change.controls}
    named = set(re.findall(r'"(NIST [^"]+)",\n\) if', made(pack.name).files[HOUSE].decode()))
    assert named
    assert named <= told


def test_values_that_the_shipped_rules_gain_are_there_in_a_pack_too():
    path = "gateway/config/findings/data.yaml"
    shipped = dict(shipped_rules())
    shipped[path] = shipped[path].replace(b"review_queue:\n", b'review_queue:\n  novelty: "somebody"\n')
    assert b'  novelty: "somebody"\n' in build(shipped, find("strict")).files[path]


def test_unknown_packs_and_options_are_named_with_those_there_are():
    with pytest.raises(PackUnknown, match="there is no pack lax; there are: baseline, strict, research, trial"):
        find("lax")
    with pytest.raises(PackUnknown, match="trial has no option office-hours; there are: none"):
        build(shipped_rules(), find("trial"), ("office-hours",))


def test_without_shipped_rules_nothing_is_made(tmp_path):
    with pytest.raises(BuildFailed, match="no rules to begin with"):
        shipped_rules(tmp_path)


def test_a_shipped_file_that_no_longer_fits_is_named():
    path = "gateway/config/limits/data.yaml"
    with pytest.raises(BuildFailed, match=f"^{path}"):
        build({**shipped_rules(), path: b"{usage: 1}\n"}, find("strict"))
