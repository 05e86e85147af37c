"""Questions to the shipped rules: named ones with their answers, and as many made up as anybody wants."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

from gateway.exchange import Mfa, Usage
from gateway.vocabulary import Effect, Permission, Role, Severity
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
    UNSCREENED,
    VARY,
    admin,
    image,
)

HUGE = replace(PICTURE, facts=replace(PICTURE.facts, width=8192, height=8192))
UNLOOKED = replace(UNSCREENED, stage="upload", field="uploads")

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

GOVERNED = {
    Permission.CASE_REQUEST: timedelta(minutes=15),
    Permission.CASE_APPROVE: timedelta(minutes=5),
    Permission.CONTENT_OPEN: timedelta(minutes=5),
    Permission.HOLD_MANAGE: timedelta(minutes=5),
    Permission.SUBJECT_MANAGE: timedelta(minutes=5),
}
"""What auditors alone may do, and how old their second factor may be for it."""

for _act, _oldest in GOVERNED.items():
    _just, _late = (Mfa(at=NOW - _oldest - timedelta(seconds=late)) for late in (0, 1))
    ADMIN_CASES += [
        (f"an auditor may {_act} just in time", admin(replace(BOB, mfa=_just), _act), Effect.ALLOW, set()),
        (f"an auditor may not {_act} a second later", admin(replace(BOB, mfa=_late), _act), Effect.DENY, {"mfa.stale"}),
        (
            f"an auditor may not {_act} without a second factor",
            admin(replace(BOB, mfa=Mfa()), _act),
            Effect.DENY,
            {"mfa.missing"},
        ),
        (
            f"a key of an auditor's may not {_act}, whatever its scopes",
            admin(replace(BOB, mfa=_just, method="api-key", scopes=frozenset(Permission)), _act),
            Effect.DENY,
            {"subject.scope-missing"},
        ),
        (
            f"everybody else together may not {_act}",
            admin(replace(BOB, mfa=Mfa(at=NOW), roles=frozenset(Role) - {Role.AUDITOR}), _act),
            Effect.DENY,
            {"role.not-permitted"},
        ),
    ]


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
