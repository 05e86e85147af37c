"""One suite over both ends of the port: rules in process, and an OPA server. They answer alike or one is wrong."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.errors import PolicyUnavailable
from gateway.exchange import Decision, Mfa, Usage
from gateway.policy import Policy
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.engine import EngineFailed, EntryPoint, PolicyEngine
from gateway.policy.opa import OpaEngine
from gateway.policy.rego import Rego
from gateway.policy.testing import RegoTests
from gateway.vocabulary import Effect, Permission, Role, Severity
from tests.support.opa_process import OpaProcess
from tests.support.policy import (
    ALICE,
    BOB,
    CARD,
    EDIT,
    EMAIL,
    KEY,
    MASK,
    NOW,
    PICTURE,
    REQUEST,
    SHIPPED,
    UNHURRIED_SECONDS,
    UNSCREENED,
    VARY,
    admin,
    change,
    copy_of_shipped,
    image,
    replaced,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_shipped(tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def opa(folder: Path) -> Iterator[OpaProcess]:
    server = OpaProcess(folder)
    yield server
    server.stop()


@dataclass(frozen=True)
class End:
    """One end of the port, started, over the same folder as the other."""

    name: str
    engine: PolicyEngine
    policy: Policy
    reload: Callable[[], Awaitable[None]]
    another: Callable[[], PolicyEngine]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends(folder: Path, opa: OpaProcess) -> AsyncIterator[dict[str, End]]:
    def new_embedded() -> EmbeddedEngine:
        return EmbeddedEngine(folder, clock=lambda: NOW, decision_seconds=UNHURRIED_SECONDS, reload_seconds=3600)

    def new_opa() -> OpaEngine:
        return OpaEngine(opa.url, clock=lambda: NOW, decision_seconds=UNHURRIED_SECONDS)

    async def load_opa() -> None:
        await asyncio.to_thread(opa.load)

    embedded, remote = new_embedded(), new_opa()
    found = {
        "embedded": End("embedded", embedded, Policy(embedded), embedded.reloader.check, new_embedded),
        "opa": End("opa", remote, Policy(remote), load_opa, new_opa),
    }
    for end in found.values():
        await end.policy.start()
    yield found
    for end in found.values():
        await end.policy.aclose()


@pytest.fixture(params=["embedded", "opa"])
def end(request: pytest.FixtureRequest, ends: dict[str, End]) -> End:
    return ends[request.param]


HUGE = replace(PICTURE, facts=replace(PICTURE.facts, width=8192, height=8192))
UNLOOKED = replace(UNSCREENED, stage="upload", field="uploads")


def codes(decision: Decision) -> set[str]:
    return {reason.code for reason in decision.reasons}


IMAGE_CASES: list[tuple[str, dict[str, Any], Effect, set[str]]] = [
    ("an employee with fresh MFA", image(), Effect.ALLOW, set()),
    ("the first stage, before screening", image(stage="request"), Effect.ALLOW, set()),
    ("a key within its scopes", image(KEY), Effect.ALLOW, set()),
    ("an IPv4 address in IPv6 clothes", image(ip="::ffff:10.1.2.3"), Effect.ALLOW, set()),
    ("an IPv6 address", image(ip="2001:db8::1"), Effect.ALLOW, set()),
    ("an unknown address", image(ip="unknown"), Effect.DENY, {"network.not-permitted"}),
    ("a suspended account", image(replace(ALICE, status="suspended")), Effect.DENY, {"subject.inactive"}),
    ("no second factor", image(replace(ALICE, mfa=Mfa())), Effect.DENY, {"mfa.missing"}),
    (
        "a second factor of yesterday",
        image(replace(ALICE, mfa=Mfa(at=NOW - timedelta(hours=12, seconds=1)))),
        Effect.DENY,
        {"mfa.stale"},
    ),
    (
        "a second factor of just twelve hours",
        image(replace(ALICE, mfa=Mfa(at=NOW - timedelta(hours=12)))),
        Effect.ALLOW,
        set(),
    ),
    ("a key without scopes", image(replace(KEY, scopes=frozenset())), Effect.DENY, {"subject.scope-missing"}),
    ("a key that isn't limited at all", image(replace(KEY, scopes=None)), Effect.DENY, {"subject.scope-missing"}),
    (
        "an auditor",
        image(BOB),
        Effect.DENY,
        {"role.not-permitted", "model.not-permitted", "count.not-permitted", "mfa.stale"},
    ),
    ("an unknown model", image(request=replace(REQUEST, model="dall-e-3")), Effect.DENY, {"model.unknown"}),
    ("four pictures", image(request=replace(REQUEST, n=4)), Effect.ALLOW, set()),
    ("five pictures", image(request=replace(REQUEST, n=5)), Effect.DENY, {"count.not-permitted"}),
    ("an odd size", image(request=replace(REQUEST, size="300x300")), Effect.DENY, {"size.not-permitted"}),
    ("the automatic size", image(request=replace(REQUEST, size="auto")), Effect.ALLOW, set()),
    ("an edit", image(request=EDIT), Effect.ALLOW, set()),
    ("an edit with a mask", image(request=replace(EDIT, uploads=(PICTURE, MASK))), Effect.ALLOW, set()),
    ("an edit, decoded", image(request=EDIT, stage="upload", clean=True), Effect.ALLOW, set()),
    ("an edit of nothing", image(request=replace(EDIT, uploads=())), Effect.DENY, {"request.uploads-unfit"}),
    (
        "an edit of seventeen",
        image(request=replace(EDIT, uploads=(PICTURE,) * 17)),
        Effect.DENY,
        {"count.uploads-not-permitted"},
    ),
    (
        "an edit of enormous pictures",
        image(request=replace(EDIT, uploads=(HUGE, HUGE)), stage="upload", clean=True),
        Effect.DENY,
        {"count.uploads-not-permitted"},
    ),
    ("a variation", image(request=VARY), Effect.ALLOW, set()),
    (
        "a variation of two",
        image(request=replace(VARY, uploads=(PICTURE, PICTURE))),
        Effect.DENY,
        {"request.uploads-unfit"},
    ),
    (
        "a variation with a mask",
        image(request=replace(VARY, uploads=(PICTURE, MASK))),
        Effect.DENY,
        {"request.uploads-unfit"},
    ),
    (
        "pictures with a prompt alone",
        image(request=replace(REQUEST, uploads=(PICTURE,))),
        Effect.DENY,
        {"request.uploads-unfit"},
    ),
    ("a key without the scope to edit", image(KEY, request=EDIT), Effect.DENY, {"subject.scope-missing"}),
    (
        "a service that may only generate",
        image(replace(ALICE, roles=frozenset({Role.SERVICE})), request=EDIT),
        Effect.DENY,
        {
            *("role.not-permitted", "model.not-permitted", "count.not-permitted", "mfa.stale"),
            "count.uploads-not-permitted",
        },
    ),
    ("uploads that could not be looked at", image(ALICE, UNLOOKED, request=EDIT), Effect.DENY, {UNLOOKED.type}),
    ("an e-mail address in a label", image(ALICE, replace(EMAIL, field="sketch.1")), Effect.MASK, {"dlp.email"}),
    ("one spread over labels", image(ALICE, replace(EMAIL, field="sketch")), Effect.DENY, {"dlp.email"}),
    ("a used-up day", image(usage=Usage(user_day=500)), Effect.DENY, {"usage.day-limit"}),
    ("a used-up month", image(usage=Usage(user_month=5000)), Effect.DENY, {"usage.month-limit"}),
    ("many at once", image(usage=Usage(in_flight=16)), Effect.DENY, {"usage.in-flight"}),
    ("an e-mail address", image(ALICE, EMAIL), Effect.MASK, {"dlp.email"}),
    ("an e-mail address in base64", image(ALICE, replace(EMAIL, maskable=False)), Effect.DENY, {"dlp.email"}),
    ("an e-mail address in the picture", image(ALICE, replace(EMAIL, stage="output")), Effect.DENY, {"dlp.email"}),
    ("a payment card", image(ALICE, CARD), Effect.DENY, {"dlp.payment-card"}),
    ("both", image(ALICE, EMAIL, CARD), Effect.DENY, {"dlp.payment-card"}),
    (
        "a critical finding that its rule would let through",
        image(ALICE, replace(EMAIL, severity=Severity.CRITICAL, proposed=Effect.ALLOW)),
        Effect.REVIEW,
        {"dlp.email"},
    ),
    (
        "content for review",
        image(ALICE, replace(EMAIL, type="content.political-figures", proposed=Effect.REVIEW)),
        Effect.REVIEW,
        {"content.political-figures"},
    ),
    ("a monitored finding", image(ALICE, replace(EMAIL, proposed=Effect.ALLOW)), Effect.ALLOW, set()),
    ("screening that did not happen", image(ALICE, UNSCREENED), Effect.DENY, {"screening.unavailable"}),
    ("an unknown finding", image(ALICE, replace(EMAIL, type="mystery.box")), Effect.DENY, {"policy.finding-unknown"}),
    (
        "another act",
        {**image(), "action": "audit:search"},
        Effect.DENY,
        {"policy.action-unknown", "role.not-permitted", "mfa.stale", "model.not-permitted", "count.not-permitted"},
    ),
    ("another version", {**image(), "version": 2}, Effect.DENY, {"policy.input-version"}),
    ("findings that are none", {**image(), "findings": ""}, Effect.DENY, {"policy.findings-missing"}),
]


@pytest.mark.parametrize(("name", "document", "effect", "reasons"), IMAGE_CASES, ids=[c[0] for c in IMAGE_CASES])
async def test_a_picture_is_decided_as_the_shipped_rules_say(
    end: End, name: str, document: dict[str, Any], effect: Effect, reasons: set[str]
) -> None:
    decision = await end.policy.decide(document)
    assert (decision.effect, codes(decision)) == (effect, reasons)


ADMIN_CASES: list[tuple[str, dict[str, Any], Effect, set[str]]] = [
    ("an employee lists models", admin(ALICE, Permission.MODEL_LIST), Effect.ALLOW, set()),
    ("an employee reads credits", admin(ALICE, Permission.CREDIT_READ), Effect.ALLOW, set()),
    ("a key lists models out of scope", admin(KEY, Permission.MODEL_LIST), Effect.DENY, {"subject.scope-missing"}),
    ("an employee manages keys on old MFA", admin(ALICE, Permission.KEY_MANAGE), Effect.DENY, {"mfa.stale"}),
    (
        "an employee manages keys on fresh MFA",
        admin(replace(ALICE, mfa=Mfa(at=NOW - timedelta(minutes=5))), Permission.KEY_MANAGE),
        Effect.ALLOW,
        set(),
    ),
    (
        "a key manages keys",
        admin(replace(KEY, scopes=frozenset(Permission)), Permission.KEY_MANAGE),
        Effect.DENY,
        {"subject.scope-missing"},
    ),
    ("an auditor searches", admin(BOB, Permission.AUDIT_SEARCH), Effect.ALLOW, set()),
    ("an auditor proves", admin(BOB, Permission.AUDIT_PROVE), Effect.ALLOW, set()),
    (
        "an auditor searches on old MFA",
        admin(replace(BOB, mfa=Mfa(at=NOW - timedelta(minutes=15, seconds=1))), Permission.AUDIT_SEARCH),
        Effect.DENY,
        {"mfa.stale"},
    ),
    (
        "an employee searches",
        admin(ALICE, Permission.AUDIT_SEARCH),
        Effect.DENY,
        {"role.not-permitted", "mfa.stale"},
    ),
    (
        "an admin searches",
        admin(replace(ALICE, roles=frozenset({Role.ADMIN})), Permission.AUDIT_SEARCH),
        Effect.DENY,
        {"role.not-permitted", "mfa.stale"},
    ),
]


@pytest.mark.parametrize(("name", "document", "effect", "reasons"), ADMIN_CASES, ids=[c[0] for c in ADMIN_CASES])
async def test_everything_else_is_decided_as_the_shipped_rules_say(
    end: End, name: str, document: dict[str, Any], effect: Effect, reasons: set[str]
) -> None:
    decision = await end.policy.decide_admin(document)
    assert (decision.effect, codes(decision)) == (effect, reasons)


async def test_stale_mfa_comes_with_the_age_that_would_do(end: End) -> None:
    picture = await end.policy.decide(image(replace(ALICE, mfa=Mfa())))
    keys = await end.policy.decide_admin(admin(ALICE, Permission.KEY_MANAGE))
    assert picture.obligations.step_up is not None
    assert picture.obligations.step_up.max_age_seconds == 43_200
    assert keys.obligations.step_up is not None
    assert keys.obligations.step_up.max_age_seconds == 300


async def test_a_mask_names_the_finding_and_what_to_put_there(end: End) -> None:
    decision = await end.policy.decide(image(ALICE, EMAIL))
    assert [(order.finding, order.with_) for order in decision.obligations.mask] == [("f1", "someone@example.com")]
    assert [(r.message, r.span, r.rule) for r in decision.reasons] == [(EMAIL.message, (3, 9), "email@1")]


async def test_a_review_names_its_queue(end: End) -> None:
    decision = await end.policy.decide(image(ALICE, replace(EMAIL, proposed=Effect.REVIEW)))
    assert decision.obligations.review_queue == "data-protection"


async def test_a_decision_names_its_engine_and_its_rules(end: End) -> None:
    decision = await end.policy.decide(image())
    assert decision.engine.startswith(f"{end.name}/")
    assert decision.revision.startswith("2026.11.1")
    assert end.policy.revision == decision.revision


async def test_an_empty_question_is_a_no_from_both_entry_points(end: End) -> None:
    for entry in EntryPoint:
        result = (await end.engine.evaluate(entry, {})).result
        assert isinstance(result, dict)
        assert result["effect"] == "deny"


async def test_many_at_once_each_get_their_own_answer(end: End) -> None:
    documents = [image(ALICE, replace(EMAIL, id=f"mine-{n}")) if n % 2 else image(BOB) for n in range(60)]
    decisions = await asyncio.gather(*(end.policy.decide(document) for document in documents))
    for n, decision in enumerate(decisions):
        if n % 2:
            assert [order.finding for order in decision.obligations.mask] == [f"mine-{n}"]
        else:
            assert decision.effect is Effect.DENY


async def test_strange_text_travels_unharmed(end: End) -> None:
    strange = 'a"b\\c\n\u0000\u2028 ü 漢 🎨 {{x}} %s'
    finding = replace(EMAIL, replacement=strange, message=strange, id="ü🎨")
    decision = await end.policy.decide(image(replace(ALICE, groups=(strange,) * 1000), finding))
    assert decision.obligations.mask[0].with_ == strange
    assert decision.reasons[0].message == strange


async def test_it_is_ready(end: End) -> None:
    health = await end.policy.health()
    assert (health.ready, health.error) == (True, "")
    assert health.revision.startswith("2026.11.1")
    assert await end.policy.ready()


async def test_before_its_start_and_after_its_end_there_is_no_decision(end: End) -> None:
    engine = end.another()
    policy = Policy(engine)
    with pytest.raises(PolicyUnavailable):
        await policy.decide(image())
    assert not await policy.ready()
    await policy.start()
    assert (await policy.decide(image())).effect is Effect.ALLOW
    await policy.aclose()
    await policy.aclose()
    with pytest.raises(PolicyUnavailable):
        await policy.decide(image())
    assert not await policy.ready()


async def test_changed_data_and_rules_are_in_force_after_a_reload(end: End, folder: Path) -> None:
    models, manifest = "gateway/config/models/data.yaml", ".manifest"
    before = {name: (folder / name).read_bytes() for name in (models, manifest)}
    try:
        change(folder, replaced(folder, models, '"512x512", ', ""))
        change(folder, replaced(folder, manifest, "2026.11.1", "2026.11.2"))
        await end.reload()
        decision = await end.policy.decide(image())
        assert codes(decision) == {"size.not-permitted"}
        assert decision.revision.startswith("2026.11.2")
    finally:
        change(folder, before)
        await end.reload()
    assert (await end.policy.decide(image())).effect is Effect.ALLOW


async def test_both_ends_decide_a_thousand_made_up_questions_alike(ends: dict[str, End]) -> None:
    """Not only the effect: every reason and obligation. The seed is in the message of a failure."""
    effects: Counter[str] = Counter()
    for seed in range(1_000):
        document, is_spoilt = made_up(random.Random(seed))
        embedded, remote = [await outcome(ends[name], document) for name in ("embedded", "opa")]
        if is_spoilt and "failed" in (embedded, remote):
            # A value of a wrong type, which the gateway never sends: an engine may stumble over it, and that is a no.
            continue
        assert embedded == remote != "failed", f"seed {seed}"
        effects[effect_of(embedded)] += 1
    assert min(effects[effect] for effect in Effect) >= 20, f"too lopsided to prove anything: {effects}"


async def outcome(end: End, document: dict[str, Any]) -> object:
    """The answer with its lists in order, or `failed`."""
    entry = EntryPoint.IMAGE if "resource" in document else EntryPoint.ADMIN
    try:
        return in_order((await end.engine.evaluate(entry, document)).result)
    except EngineFailed:
        return "failed"


def effect_of(answer: object) -> str:
    return str(answer["effect"]) if isinstance(answer, dict) else str(answer)


async def test_opa_passes_every_test_of_the_rules(opa: OpaProcess, ends: dict[str, End]) -> None:
    modules = {p.relative_to(SHIPPED).as_posix(): p.read_text() for p in SHIPPED.rglob("*.rego")}
    tests = RegoTests(Rego(modules)).tests
    engine = ends["opa"].engine
    assert isinstance(engine, OpaEngine)
    assert engine._client is not None
    packages = {test.name.rpartition(".")[0] for test in tests}
    answers = {package: (await engine._client.query_rule({}, package))["result"] for package in packages}
    failed = [t.name for t in tests if answers[t.name.rpartition(".")[0]].get(t.name.rpartition(".")[2]) is not True]
    assert failed == []


def in_order(answer: object) -> object:
    """`answer` with its lists sorted: engines order sets of objects differently, and order says nothing."""
    if isinstance(answer, dict):
        return {key: in_order(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return sorted((in_order(member) for member in answer), key=repr)
    return answer


def made_up(dice: random.Random) -> tuple[dict[str, Any], bool]:
    """A question that is good but for a part here and there; and whether it was spoilt as well."""

    def seldom(usual: Any, *others: Any) -> Any:
        return dice.choice(others) if dice.random() < 0.12 else usual

    actor = replace(
        ALICE,
        status=seldom("active", "suspended"),
        method=seldom("session", "access-token", "api-key"),
        roles=seldom(ALICE.roles, *(frozenset(dice.sample(list(Role), n)) for n in (0, 1, 3))),
        groups=seldom(("design",), (), ("press", "legal")),
        mfa=seldom(ALICE.mfa, Mfa(), *(Mfa(at=NOW - timedelta(seconds=s)) for s in (0, 300, 301, 43_200, 43_201))),
        scopes=seldom(None, frozenset(), frozenset({Permission.IMAGE_GENERATE}), frozenset(Permission)),
    )
    action = seldom(Permission.IMAGE_GENERATE, Permission.IMAGE_EDIT, Permission.IMAGE_VARY)
    usual_uploads = () if action is Permission.IMAGE_GENERATE else (PICTURE,)
    ip = seldom("10.1.2.3", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "", "nowhere")
    if dice.random() < 0.2:
        document = admin(actor, dice.choice(list(Permission)), ip=ip)
    else:
        findings = [
            replace(
                EMAIL,
                id=f"f{n}",
                type=seldom(dice.choice(["dlp.email", "content.gore"]), "screening.unavailable", "odd.thing"),
                severity=dice.choice(list(Severity)),
                proposed=seldom(dice.choice([Effect.ALLOW, Effect.MASK]), Effect.REVIEW, Effect.DENY),
                score=dice.choice([0.0, 0.3, 1.0]),
                maskable=seldom(True, False),
                replacement=seldom("x", ""),
                message=dice.choice(["", "m"]),
                stage=seldom("prompt", "output", "upload"),
            )
            for n in range(dice.choice([0, 0, 1, 2, 4]))
        ]
        request = replace(
            REQUEST,
            action=action,
            model=seldom(REQUEST.model, "other"),
            n=seldom(1, 0, 4, 5, 10, 11),
            size=seldom("auto", "512x512", "300x300"),
            uploads=seldom(usual_uploads, (), (PICTURE, MASK), (PICTURE,) * 17, (HUGE, HUGE)),
        )
        usage = Usage(user_day=seldom(3, 499, 500), user_month=seldom(30, 4999, 5000), in_flight=seldom(0, 15, 16))
        now = NOW + timedelta(hours=dice.randrange(12))
        document = image(actor, *findings, request=request, ip=ip, usage=usage, now=now, clean=dice.random() < 0.5)
        document["action"] = seldom(document["action"], *(permission.value for permission in Permission))
    is_spoilt = dice.random() < 0.15
    return (spoilt(document, dice) if is_spoilt else document), is_spoilt


def spoilt(document: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """`document` with one part gone, or of another type."""
    key = dice.choice(sorted(document))
    if dice.random() < 0.5 and isinstance(document[key], dict):
        inner = dice.choice(sorted(document[key]))
        changed = {**document[key], inner: dice.choice([None, "", 7, [], {}])}
        return {**document, key: changed}
    if dice.random() < 0.5:
        return {k: v for k, v in document.items() if k != key}
    return {**document, key: dice.choice([None, "", 7, [], {}])}


async def test_the_other_end_is_a_real_opa(opa: OpaProcess) -> None:
    """Without OPA as a library the suite still runs, against the embedded engine behind OPA's wire."""
    if opa.engine != "oracle":
        pytest.skip("opa-golib-python-bindings is not installed: OPA's answers were not compared")
