"""What a tour is made of, and that the story about rules still fits the rules we ship."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from demo.tours import policy_edits
from demo.tours.policy import STORY, _in_order
from demo.tours.telling import expect, tell
from gateway.policy.bundle import bundle_of, read_bundle
from gateway.policy.rego import Rego
from gateway.policy.style import Check, check
from gateway.policy.syntax import module
from gateway.policy.testing import RegoTests
from gateway.policy.trial import try_out

SHIPPED = Path(__file__).resolve().parents[2] / "policies"


def shipped(path: str) -> str:
    return (SHIPPED / path).read_text("utf-8")


async def one(line: str, held: bool = True) -> str:
    expect(held, f"{line} did not hold")
    return line


def told(*steps: tuple[str, bool]) -> tuple[bool, str]:
    said: list[str] = []
    held = asyncio.run(tell([(name, lambda n=name, h=held: one(n, h)) for name, held in steps], said.append))
    return held, "\n".join(said)


def test_steps_are_numbered_and_say_what_came_back():
    held, said = told(("first", True), ("second", True))
    assert held
    assert " 1. first" in said
    assert " 2. second" in said
    assert said.count("✓") == 2


def test_the_first_step_that_is_not_as_told_ends_the_story():
    held, said = told(("first", True), ("second", False), ("third", True))
    assert not held
    assert "✗ second did not hold" in said
    assert "third" not in said


@pytest.mark.parametrize(
    ("found", "is_told"),
    [
        (STORY, True),
        ((("policy:revision:seed", "allow"), *STORY, ("policy:bundle:activate", "allow")), True),
        (STORY[:-1], False),
        ((STORY[-1], *STORY[:-1]), False),
        (tuple((action, "allow") for action, _ in STORY), False),
    ],
    ids=["exactly", "others around it", "rollback missing", "rollback first", "no refusals"],
)
def test_the_auditor_must_find_each_event_in_order_with_its_effect(found, is_told):
    assert _in_order(found, STORY) is is_told


def rego(edit) -> Rego:
    files = {**read_bundle(SHIPPED).files, **{path: text.encode() for path, text in edit(shipped).items()}}
    rules = asyncio.run(try_out(bundle_of(files), decision_seconds=5))
    modules = {path: text.decode() for path, text in files.items() if path.endswith(".rego")}
    return Rego(modules, rules.data_json)


def test_the_first_try_loads_and_fails_open():
    remarks = check([module(entry) for entry in rego(policy_edits.first_try).syntax()], None)
    assert {remark.check for remark in remarks} == {Check.FAIL_OPEN}
    assert {remark.problem.path for remark in remarks} == {policy_edits.RULES}


def test_the_second_try_is_clean_and_breaks_a_test():
    engine = rego(policy_edits.untested)
    assert check([module(entry) for entry in engine.syntax()], None) == []
    assert not all(result.passed for result in RegoTests(engine).run_all())


def test_the_third_passes_with_every_line_run():
    tests = RegoTests(rego(policy_edits.finished))
    assert [result.test.name for result in tests.run_all() if not result.passed] == []
    assert tests.coverage()[policy_edits.RULES].not_covered == frozenset()


def test_rules_that_moved_on_without_the_tour_are_noticed():
    with pytest.raises(ValueError, match="expected once in the rules, found 0 times"):
        policy_edits.first_try(lambda _: "package gateway.image.authz\n")
