"""A replay's decisions are the gateway's, remembered or not; what rules read is told from their text."""

from __future__ import annotations

import json
import random

import pytest

from gateway.policy import syntax
from gateway.policy.bundle import Rules
from gateway.policy.engine import EntryPoint, Evaluation
from gateway.policy.facade import Policy
from gateway.policy.rego import Rego
from gateway.replay.decider import CHECK_EVERY, Decider, Outcome, recorded_outcome
from gateway.replay.reads import Reads
from gateway.vocabulary import Code, Effect
from tests.unit.replay.conftest import document, small

FINDING = {
    "id": "f1",
    "stage": "prompt",
    "detector": "email@1",
    "type": "dlp.email",
    "severity": "medium",
    "score": 1.0,
    "field": "prompt",
    "start": 0,
    "end": 3,
    "maskable": True,
    "replacement": "someone@example.com",
    "message": "m",
    "proposed": "mask",
}


def various(rng: random.Random) -> dict:
    """An input that may be anything, also what the gateway never builds."""
    made = document(
        f"{rng.random()}",
        time=f"2026-11-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00.000Z",
        subject={
            "id": rng.choice(["idp|alice", "service|robot", "idp|bob"]),
            "roles": rng.choice([["employee"], ["service"], [], ["employee", "auditor"]]),
            "method": rng.choice(["session", "api-key", "access-token"]),
            "scopes": rng.choice([None, ["image:generate"], []]),
            "mfa_age_seconds": rng.choice([None, 0, 899, 901, 43_200, 43_201, 10**9]),
            "status": rng.choice(["active", "active", "suspended"]),
        },
        resource={"n": rng.choice([0, 1, 4, 5, 10, 11]), "model": rng.choice(["imprimatur-embedded", "other"])},
        context={"ip": rng.choice(["10.1.2.3", "", "8.8.8.8", "::1"]), "country": rng.choice(["", "DE"])},
        usage={"user_day": rng.choice([0, 199, 200, 10**6]), "in_flight": rng.choice([0, 3, 4, 50])},
        findings=[FINDING] if rng.random() < 0.3 else [],
    )
    if rng.random() < 0.1:
        del made["usage"]["user_day"]
    if rng.random() < 0.1:
        made["subject"].pop("mfa_age_seconds")
    return made


def test_remembered_decisions_are_those_worked_out_over_the_shipped_rules(shipped):
    rng = random.Random(3)
    documents = [various(rng) for _ in range(1500)]
    fast, slow = Decider(shipped), Decider(shipped, remember=False)
    assert [fast.decide(one) for one in documents] == [slow.decide(one) for one in documents]
    assert fast.remembered > 30
    assert fast.mismatch == ""


async def test_a_decision_is_the_one_that_the_gateway_makes(shipped):
    engine = Rego(shipped.modules, shipped.data_json)

    class Fixed:
        revision = shipped.revision

        async def evaluate(self, entry, asked):
            return Evaluation(result=engine.ask(entry, json.dumps(asked)), engine="", revision=self.revision)

    policy, decider = Policy(Fixed()), Decider(shipped)
    rng = random.Random(4)
    for one in [various(rng) for _ in range(200)] + [document(findings=[FINDING] * 257)]:
        expected, found = await policy.decide(one), decider.decide(one)
        assert found.effect is expected.effect
        assert set(found.codes) == {str(reason.code) for reason in expected.reasons}


@pytest.mark.parametrize(
    "permitted",
    [
        "input.subject.mfa_age_seconds < 100",
        "fresh",
        "recent(input.subject)",
        "younger(100)",
        "input.usage == {}",
        "some name\n\tinput.usage[name] == 7",
        'input.subject["mfa_age_seconds"] < 100',
        "count([x | some x in input.usage; x > 5]) == 0",
    ],
)
def test_a_fact_that_varies_is_never_forgotten_however_it_is_read(permitted):
    more = "\nfresh if input.subject.mfa_age_seconds < 100\n\nrecent(who) if who.mfa_age_seconds < 100\n"
    more += "\nyounger(than) if input.subject.mfa_age_seconds < than\n"
    rules = small(permitted, more=more)
    fast, slow = Decider(rules), Decider(rules, remember=False)
    documents = [
        document(subject={"mfa_age_seconds": age}, usage={"user_day": day}) for age in (5, 500) for day in (1, 7)
    ]
    documents.append(document(usage={}))
    assert [fast.decide(one) for one in documents * 2] == [slow.decide(one) for one in documents * 2]


def test_rules_that_replace_the_input_are_never_remembered():
    rules = small(
        'fresh with input as {"subject": {"mfa_age_seconds": 1}}', more="fresh if input.subject.mfa_age_seconds < 9"
    )
    decider = Decider(rules)
    assert decider.reads.replaces_input
    for _ in range(3):
        assert decider.decide(document()).effect is Effect.ALLOW
    assert decider.remembered == 0


def test_a_wrong_memory_is_noticed_and_ends(shipped):
    decider = Decider(shipped)
    right = decider.decide(document("1"))
    (key,) = decider._kept
    decider._kept[key] = Outcome(effect=Effect.DENY, codes=(), rules=(), obligations="{}")
    found = [decider.decide(document(str(n))) for n in range(CHECK_EVERY + 5)]
    assert decider.mismatch
    assert found[CHECK_EVERY:] == [right] * 5


def test_rules_that_stumble_deny_and_say_where():
    found = Decider(small("x := 1\n\tx == to_number(input.subject.id)")).decide(document())
    assert (found.effect, found.codes) == (Effect.DENY, (Code.POLICY_UNAVAILABLE.value,))
    assert "authz.rego" in found.error
    assert "alice" not in found.error


def test_no_answer_and_a_senseless_one_deny():
    nothing = Rules(revision="r", modules={"a.rego": "package gateway.image.authz\n\nx := 1\n"}, data_json="{}")
    assert Decider(nothing).decide(document()).codes == (Code.POLICY_UNDEFINED.value,)
    senseless = {"a.rego": 'package gateway.image.authz\n\ndecision := {"effect": "perhaps"}\n'}
    assert Decider(Rules(revision="r", modules=senseless, data_json="{}")).decide(document()).codes == (
        Code.POLICY_INVALID.value,
    )


def test_a_recorded_answer_reads_as_it_was(shipped):
    result = Rego(shipped.modules, shipped.data_json).ask(EntryPoint.IMAGE, json.dumps(document()))
    assert recorded_outcome({"document": document(), "result": result}) == Decider(shipped).decide(document())
    assert recorded_outcome({"document": document(), "result": None}).codes == (Code.POLICY_UNDEFINED.value,)


def reads_of(rules):
    engine = Rego(rules.modules, rules.data_json)
    return Reads([syntax.module(one) for one in engine.syntax()], EntryPoint.IMAGE)


def test_facts_that_an_input_lacks_are_named():
    rules = small(
        "input.subject.training == true\n\thelped", more="helped if input.subject.roles[0]\n\nunused if input.other"
    )
    reads = reads_of(rules)
    assert reads.facts == {("subject", "training"), ("subject", "roles")}
    assert reads.lacking(document()) == ["subject.training"]
    assert reads.lacking(document(subject={"training": None})) == []


def test_facts_are_seen_through_aliases_of_imports():
    modules = dict(small("who.training == true").modules)
    path = "gateway/image/authz/authz.rego"
    modules[path] = modules[path].replace("authz\n", "authz\n\nimport input.subject as who\n", 1)
    assert reads_of(Rules(revision="r", modules=modules, data_json="{}")).lacking(document()) == ["subject.training"]
