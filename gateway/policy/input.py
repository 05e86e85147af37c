"""What the rules may see. Never the prompt: its length, and an HMAC by which equal prompts meet.

The document is complete and self-contained (usage and clock are in it), so that a recorded one can be replayed against
other rules and gives an exact answer. Its JSON Schema is `policies/schemas/input.json`, made from the types below by
`gateway.policy.schemas`; docs/reference/policy-input.md explains each field.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from gateway.exchange import Actor, CleanUpload, Finding, ImageRequest, Origin, Usage
from gateway.vocabulary import TASKS, Permission

INPUT_VERSION: Final = 1
Mode = Literal["enforce", "shadow", "replay", "preview"]
DecisionStage = Literal["request", "prompt", "upload", "output"]

_CLOSED = ConfigDict(extra="forbid")


@with_config(_CLOSED)
class Subject(TypedDict):
    id: str
    status: Literal["active", "suspended"]
    roles: list[str]
    groups: list[str]
    department: str
    method: Literal["session", "api-key", "access-token"]
    scopes: list[str] | None
    amr: list[str]
    acr: str
    mfa_age_seconds: int | None


@with_config(_CLOSED)
class UploadFacts(TypedDict):
    """The pictures that came along. `pixels` is of all of them, and 0 until they were decoded (stage "upload")."""

    count: int
    bytes: int
    pixels: int
    has_mask: bool


@with_config(_CLOSED)
class Resource(TypedDict):
    task: Literal["generate", "edit", "vary"]
    model: str
    n: int
    size: str
    quality: str
    cost_credits: int
    uploads: UploadFacts


@with_config(_CLOSED)
class Context(TypedDict):
    ip: str
    country: str
    client: str


@with_config(_CLOSED)
class UsageFacts(TypedDict):
    user_day: int
    user_month: int
    in_flight: int
    refused_last_hour: int


@with_config(_CLOSED)
class FindingFacts(TypedDict):
    id: str
    stage: Literal["prompt", "upload", "output"]
    detector: str
    type: str
    severity: Literal["low", "medium", "high", "critical"]
    score: float
    field: str
    start: int
    end: int
    maskable: bool
    replacement: str
    message: str
    proposed: Literal["allow", "mask", "review", "deny"]


@with_config(_CLOSED)
class PromptFacts(TypedDict):
    hmac: str
    chars: int


@with_config(_CLOSED)
class AdminInput(TypedDict):
    """Asked for everything that is not making a picture."""

    version: int
    request_id: str
    time: str
    mode: Mode
    action: str
    subject: Subject
    context: Context


@with_config(_CLOSED)
class ImageInput(AdminInput):
    """Asked up to four times for one picture: on the request, on its texts, on its uploads, on what came out."""

    stage: DecisionStage
    resource: Resource
    usage: UsageFacts
    findings: list[FindingFacts]
    prompt: PromptFacts


def build_input(
    *,
    request_id: str,
    now: datetime,
    actor: Actor,
    request: ImageRequest,
    origin: Origin,
    usage: Usage,
    findings: Sequence[Finding],
    stage: str,
    cost_credits: int,
    prompt_hmac: str,
    uploads: Sequence[CleanUpload] = (),
    mode: Mode = "enforce",
) -> dict[str, Any]:
    """The document for `EntryPoint.IMAGE`. `stage` is a DecisionStage; ages are seconds at `now`; `uploads` are the
    clean ones, as soon as there are any."""
    document = ImageInput(
        **_common(request_id, now, actor, request.action, origin, mode),
        stage=cast(DecisionStage, stage),
        resource=Resource(
            task=cast(Any, TASKS[request.action]),
            model=request.model,
            n=request.n,
            size=request.size,
            quality=request.quality,
            cost_credits=cost_credits,
            uploads=UploadFacts(
                count=sum(upload.field != "mask" for upload in request.uploads),
                bytes=sum(upload.facts.size_bytes for upload in request.uploads),
                pixels=sum(upload.forwarded.width * upload.forwarded.height for upload in uploads),
                has_mask=request.has_mask,
            ),
        ),
        usage=UsageFacts(
            user_day=usage.user_day,
            user_month=usage.user_month,
            in_flight=usage.in_flight,
            refused_last_hour=usage.refused_last_hour,
        ),
        findings=[_finding(finding) for finding in findings],
        prompt=PromptFacts(hmac=prompt_hmac, chars=len(request.prompt)),
    )
    return cast(dict[str, Any], document)


def build_admin_input(
    *, request_id: str, now: datetime, actor: Actor, action: Permission, origin: Origin, mode: Mode = "enforce"
) -> dict[str, Any]:
    """The document for `EntryPoint.ADMIN`."""
    return cast(dict[str, Any], _common(request_id, now, actor, action, origin, mode))


def _common(request_id: str, now: datetime, actor: Actor, action: Permission, origin: Origin, mode: Mode) -> AdminInput:
    if now.tzinfo is None:
        raise ValueError("expected an aware time, got a naive one")
    return AdminInput(
        version=INPUT_VERSION,
        request_id=request_id,
        time=now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        mode=mode,
        action=action.value,
        subject=Subject(
            id=actor.id,
            status=actor.status,
            roles=sorted(role.value for role in actor.roles),
            groups=sorted(actor.groups),
            department=actor.department,
            method=actor.method,
            scopes=None if actor.scopes is None else sorted(scope.value for scope in actor.scopes),
            amr=sorted(actor.mfa.amr),
            acr=actor.mfa.acr,
            mfa_age_seconds=actor.mfa.age_seconds(now),
        ),
        context=Context(ip=_plain_ip(origin.ip), country=origin.country.upper(), client=origin.client),
    )


def _finding(finding: Finding) -> FindingFacts:
    # value_hmac stays outside: rules have no use for it, and replay inputs live longer than they would need it.
    return FindingFacts(
        id=finding.id,
        stage=finding.stage,
        detector=finding.detector,
        type=finding.type,
        severity=finding.severity.value,
        score=finding.score,
        field=finding.field,
        start=finding.start,
        end=finding.end,
        maskable=finding.maskable,
        replacement=finding.replacement,
        message=finding.message,
        proposed=finding.proposed.value,
    )


def _plain_ip(text: str) -> str:
    """`text` as the rules' CIDR tests want it; empty (which no network contains) when it is no address.

    An IPv4 address in IPv6 clothes (`::ffff:10.0.0.1`) becomes plain IPv4, so that a dual-stack socket can't slip past
    a rule about 10.0.0.0/8. A zone id goes.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
