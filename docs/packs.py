"""The page of policy packs: what each does otherwise and for which control, and how they decide the same 20 requests.

The table is not written, it is asked: each cell is an answer of the engine that decides in the gateway. `docs.gen`
writes the page, and `tests/unit/packs/` holds the answers to what the packs promise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from gateway.exchange import Actor, ActorId, CleanUpload, FileFacts, Finding, ImageRequest, Mfa, Origin, Upload, Usage
from gateway.packs import Pack, build, packs, shipped_rules
from gateway.policy.bundle import DATA_FILES, Bundle, is_test
from gateway.policy.engine import EntryPoint
from gateway.policy.input import build_input
from gateway.policy.rego import Rego
from gateway.policy.yaml_data import load
from gateway.vocabulary import Effect, Permission, Role, Severity

FRIDAY: Final = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
REQUEST_ID: Final = "0195c7a0-0000-7000-8000-00000000000f"

_ALICE: Final = Actor(
    id=ActorId("company|alice"),
    display_name="Alice",
    method="session",
    credential_id="s1",
    roles=frozenset({Role.EMPLOYEE}),
    department="Design",
    mfa=Mfa(at=FRIDAY - timedelta(minutes=10), amr=("otp", "pwd")),
)
_RESEARCHER: Final = replace(_ALICE, id=ActorId("company|rita"), groups=("research",), department="Research")
_KEY: Final = replace(
    _ALICE,
    method="api-key",
    scopes=frozenset({Permission.IMAGE_GENERATE}),
    mfa=Mfa(at=FRIDAY - timedelta(days=60), amr=("otp", "pwd")),
)
_SERVICE: Final = Actor(
    id=ActorId("service|pressroom"),
    display_name="Press room",
    method="api-key",
    credential_id="k1",
    roles=frozenset({Role.SERVICE}),
    scopes=frozenset({Permission.IMAGE_GENERATE}),
)
_PICTURE: Final = FileFacts(sha256="00", size_bytes=1000, media_type="image/png", width=512, height=512)
_UPLOAD: Final = Upload(field="image", data=b"", facts=_PICTURE)
_CLEAN: Final = CleanUpload(field="image", data=b"", sent=_PICTURE, forwarded=_PICTURE)
_ASKED: Final = ImageRequest(
    action=Permission.IMAGE_GENERATE, prompt="a harbour", model="imprimatur-embedded", size="512x512"
)
_EDIT: Final = replace(_ASKED, action=Permission.IMAGE_EDIT, uploads=(_UPLOAD,))


_FRESH: Final = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request, as rules see it."""

    title: str
    actor: Actor = _ALICE
    request: ImageRequest = _ASKED
    findings: tuple[Finding, ...] = ()
    stage: str = "prompt"
    usage: Usage = _FRESH
    now: datetime = FRIDAY
    request_id: str = REQUEST_ID

    def document(self) -> dict[str, Any]:
        """The input of the rules."""
        return build_input(
            request_id=self.request_id,
            now=self.now,
            actor=self.actor,
            request=self.request,
            origin=Origin(ip="10.1.2.3"),
            usage=self.usage,
            findings=self.findings,
            stage=self.stage,
            cost_credits=1,
            prompt_hmac="",
            uploads=(_CLEAN,) if self.request.uploads else (),
        )


def _found(type: str, severity: Severity, proposed: Effect, **more: Any) -> tuple[Finding, ...]:
    told = {"stage": "prompt", "detector": f"{type.partition('.')[2]}@1", "message": "…", **more}
    replacement = "X" if proposed is Effect.MASK else ""
    return (Finding(id="f1", type=type, severity=severity, proposed=proposed, replacement=replacement, **told),)


_FACE: Final = _found(
    "picture.face-realistic", Severity.MEDIUM, Effect.REVIEW, stage="upload", field="uploads", maskable=False
)

QUESTIONS: Final = (
    Question(title="Design asks for a picture"),
    Question(title="… for four at a time", request=replace(_ASKED, n=4)),
    Question(title="… for eight at a time", request=replace(_ASKED, n=8)),
    Question(title="… for one of 1024 × 1024", request=replace(_ASKED, size="1024x1024")),
    Question(title="… for one of 1536 × 1024", request=replace(_ASKED, size="1536x1024")),
    Question(title="… as the 51st request of the day", usage=Usage(user_day=50, user_month=60)),
    Question(
        title="… with a second factor of two hours ago",
        actor=replace(_ALICE, mfa=Mfa(at=FRIDAY - timedelta(hours=2), amr=("otp",))),
    ),
    Question(title="… with an API key of 60 days", actor=_KEY),
    Question(title="Somebody of no known department asks for a picture", actor=replace(_ALICE, department="")),
    Question(title="A service asks for two", actor=_SERVICE, request=replace(_ASKED, n=2)),
    Question(
        title="An e-mail address in the prompt", findings=_found("dlp.email-address", Severity.MEDIUM, Effect.MASK)
    ),
    Question(
        title="A project's code name in the prompt",
        findings=_found("dlp.project-code-name", Severity.HIGH, Effect.MASK),
    ),
    Question(title="A password in the prompt", findings=_found("dlp.password-assignment", Severity.HIGH, Effect.MASK)),
    Question(title="A card number in the prompt", findings=_found("dlp.payment-card", Severity.CRITICAL, Effect.DENY)),
    Question(
        title="Research asks for a medical subject",
        actor=_RESEARCHER,
        findings=_found("content.medical-gore", Severity.MEDIUM, Effect.REVIEW),
    ),
    Question(title="Design uploads a face to edit", request=_EDIT, stage="upload", findings=_FACE),
    Question(title="Research uploads one", actor=_RESEARCHER, request=_EDIT, stage="upload", findings=_FACE),
    Question(
        title="A brand's name stands in an upload",
        request=_EDIT,
        stage="upload",
        findings=_found("content.trademark", Severity.LOW, Effect.ALLOW, stage="upload", field="uploads"),
    ),
    Question(title="The picture of a request whose id ends in 0", stage="output", request_id=REQUEST_ID[:-1] + "0"),
    Question(
        title="Design asks on 30 April 2027",
        now=datetime(2027, 4, 30, 10, 0, tzinfo=UTC),
        actor=replace(_ALICE, mfa=Mfa(at=datetime(2027, 4, 30, 9, 50, tzinfo=UTC), amr=("otp",))),
    ),
)


class Rules:
    """A set of rules, ready to be asked."""

    def __init__(self, bundle: Bundle) -> None:
        texts = {path: body.decode() for path, body in bundle.files.items() if path.endswith(".rego")}
        self._engine = Rego({p: text for p, text in texts.items() if not is_test(p)}, json.dumps(data_of(bundle)))

    def decide(self, question: Question) -> dict[str, Any]:
        """The decision, as the rules give it."""
        return self.answer(question.document())

    def answer(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The decision on any input."""
        answer: Any = self._engine.ask(EntryPoint.IMAGE.value, json.dumps(document))
        return dict(answer)


def data_of(bundle: Bundle) -> dict[str, Any]:
    """The data document of a set of rules."""
    data: dict[str, Any] = {}
    for path, body in bundle.files.items():
        if path.rpartition("/")[2] in DATA_FILES:
            node = data
            for part in path.split("/")[:-1]:
                node = node.setdefault(part, {})
            node.update(load(path, body.decode()) if path.endswith(".yaml") else json.loads(body))
    return data


@cache
def effects() -> Mapping[str, tuple[str, ...]]:
    """Pack -> its effect for each question, in their order."""
    found = {}
    for pack in packs():
        rules = Rules(build(shipped_rules(), pack))
        found[pack.name] = tuple(str(rules.decide(question)["effect"]) for question in QUESTIONS)
    return found


def page() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, *_table(), "", _BETWEEN, *(line for pack in packs() for line in _about(pack)), _TAIL])


def _table() -> Iterator[str]:
    names = [pack.name for pack in packs()]
    yield f"| request | {' | '.join(names)} |"
    yield f"|---|{'---|' * len(names)}"
    for place, question in enumerate(QUESTIONS):
        told = [effects()[name][place] for name in names]
        yield f"| {question.title} | {' | '.join(e if e == told[0] else f'**{e}**' for e in told)} |"


def _about(pack: Pack) -> Iterator[str]:
    yield from (f"## {pack.title}", "", pack.for_whom, "")
    if pack.changes:
        yield from ("| what is otherwise | where | control |", "|---|---|---|")
        for change in pack.changes:
            yield f"| {change.what} | `policies/{change.file}` | {', '.join(change.controls)} |"
        yield ""
    if pack.options:
        yield from ("| option | what it adds | control |", "|---|---|---|")
        for name, option in pack.options.items():
            yield f"| `--with {name}` | {option.what} | {', '.join(option.controls)} |"
        yield ""
    for setting in pack.settings:
        yield f"- Set beside it: {setting}"
    if pack.settings:
        yield ""


_HEAD: Final = """\
<!-- Made by python -m docs.gen from the packs themselves. Edit gateway/packs, not this page. -->

# Policy packs

Sets of rules to begin with. A pack is the shipped rules with some files and values otherwise; what it makes is a plain
folder of rules, which you then change as any other.

```sh
imprimatur policy packs
imprimatur policy init my-policies --pack strict --with office-hours
imprimatur policy test my-policies --floor 100
```

Put the folder where `policy.directory` says. Where rules are managed, `imprimatur policy diff my-policies` shows what
it would change, and `imprimatur policy publish my-policies --note "…"` proposes it to a second person. On Kubernetes:
write the folder while you build the gateway's image, at the chart's `policy.imagePath`, or to the claim of
`policy.existingClaim`.

`--from FOLDER` puts a pack upon your own copy of the shipped rules instead of those that came with the program. After
an upgrade, `init` again into a new folder and compare: `imprimatur policy diff new --against old`.

## The same twenty requests

What the engine answers under each pack, as shipped. Bold: otherwise than the baseline. What `allow`, `mask`, `review`
and `deny` mean: [What policy sees and answers](policy-input.md).
"""

_BETWEEN: Final = """\
A pack's own rules stand in `policies/gateway/image/house/house.rego`, empty in the baseline: there is room for yours.
Its tests stand beside it, and with the shipped ones they run every line.
"""

_TAIL: Final = """\
## The controls

Each rule names its control in its METADATA, each refusal in its reason; the packs' changes of values name theirs above.
Named are the parts that a rule serves, not that it fulfils them alone.

| source | what is meant |
|---|---|
| NIST SP 800-53 r5 | Security and Privacy Controls for Information Systems and Organizations, 2020 |
| NIST AI 600-1 | Artificial Intelligence Risk Management Framework: Generative AI Profile, 2024 (section) |
| NIST AI RMF | Artificial Intelligence Risk Management Framework 1.0, 2023 (subcategory) |
| ISO/IEC 27001:2022 | Annex A |
| EU AI Act | Regulation (EU) 2024/1689 |
| GDPR | Regulation (EU) 2016/679 |
"""
