"""Who gets new rules first, and that nobody is decided by two."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from gateway.lifecycle.staged import Audience, Staged, bucket
from gateway.policy.engine import EngineFailed, EngineHealth, EntryPoint, Evaluation
from tests.unit.replay.conftest import document, small

ACTORS = [f"idp|{n}" for n in range(4_000)]


class Stable:
    """The rules in force: allows everything."""

    revision = "stable"

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def health(self) -> EngineHealth:
        return EngineHealth(ready=True, engine="test", revision="stable")

    async def evaluate(self, entry, asked):
        return Evaluation(result={"effect": "allow"}, engine="test", revision="stable")


def of(actor="idp|alice", groups=("design",)):
    return document(subject={"id": actor, "groups": list(groups)})


async def revision(staged, **who):
    return (await staged.evaluate(EntryPoint.IMAGE, of(**who))).revision


@pytest.fixture
async def staged():
    staged = Staged(Stable(), decision_seconds=5)
    yield staged
    await staged.aclose()


def chosen(audience):
    return {actor for actor in ACTORS if audience.includes({"id": actor, "groups": []})}


@pytest.mark.parametrize("percent", [0, 0.5, 1, 10, 50, 99, 100])
def test_as_many_are_chosen_as_was_said(percent):
    assert len(chosen(Audience(salt="s", percent=percent))) / len(ACTORS) * 100 == pytest.approx(percent, abs=2.5)


def test_none_and_all_are_exact():
    assert chosen(Audience(salt="s")) == set()
    assert chosen(Audience(salt="s", percent=100)) == set(ACTORS)


def test_a_larger_share_keeps_everybody_who_had_it():
    sizes = [chosen(Audience(salt="s", percent=percent)) for percent in (1, 5, 20, 60)]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(sizes))


def test_another_rollout_begins_with_other_people():
    one, other = chosen(Audience(salt="a", percent=10)), chosen(Audience(salt="b", percent=10))
    assert len(one & other) < len(one) / 3


def test_the_choice_is_the_same_on_every_gateway():
    assert [bucket("rollout-1", actor) for actor in ("idp|alice", "idp|bob")] == [3100, 7525]


def test_salt_and_actor_do_not_run_into_each_other():
    assert bucket("a", "bc") != bucket("ab", "c")


def test_a_share_that_is_none_is_refused():
    for percent in (-1, 101, float("nan")):
        with pytest.raises(ValueError, match="percent"):
            Audience(salt="s", percent=percent)


async def test_without_a_candidate_everybody_is_decided_by_what_is_in_force(staged):
    assert await revision(staged) == "stable"


async def test_a_group_gets_the_candidate_and_each_answer_names_its_rules(staged):
    await staged.offer(small("1 == 2", revision="new"), Audience(salt="s", groups=frozenset({"pilots"})))
    assert await revision(staged, groups=("design", "pilots")) == "new"
    assert await revision(staged) == "stable"
    assert staged.candidate[0] == "new"
    assert staged.revision == "stable"
    await staged.withdraw()
    assert await revision(staged, groups=("pilots",)) == "stable"


async def test_a_candidate_that_stumbles_is_no_answer_and_nobody_falls_back(staged):
    await staged.offer(
        small("x := 1\n\tx == to_number(input.subject.id)", revision="new"), Audience(salt="s", percent=100)
    )
    with pytest.raises(EngineFailed):
        await revision(staged)


async def test_rules_that_do_not_load_change_nothing(staged):
    await staged.offer(small("1 == 1", revision="new"), Audience(salt="s", percent=100))
    with pytest.raises(EngineFailed):
        await staged.offer(small("1 == ", revision="broken"), Audience(salt="s", percent=100))
    assert await revision(staged) == "new"


async def test_no_answer_mixes_two_revisions_while_candidates_come_and_go(staged):
    """Each revision says its own name; an answer whose words and revision differ would be a mixture."""
    more = 'decision := {"effect": "deny", "reasons": [{"code": "%s"}], "obligations": {}} if not permitted\n'
    rules = [small("1 == 2", revision=name, more=more % name) for name in ("one", "two", "three")]
    for one in rules:
        path = "gateway/image/authz/authz.rego"
        one.modules[path] = one.modules[path].replace("role.not-permitted", one.revision)  # type: ignore[index]
    wrong = []
    asked = 0

    async def ask():
        nonlocal asked
        while True:
            answer = await staged.evaluate(EntryPoint.IMAGE, of())
            told = answer.result["reasons"][0]["code"] if answer.revision != "stable" else "stable"
            asked += 1
            if told != answer.revision:
                wrong.append((told, answer.revision))
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(ask()) for _ in range(4)]
    for n in range(12):
        await staged.offer(rules[n % 3], Audience(salt="s", percent=100))
        await asyncio.sleep(0.02)
        if n % 4 == 3:
            await staged.withdraw()
    for task in tasks:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert wrong == []
    assert asked > 50
