"""What no set of rules may allow, asked of every bundle before it comes into force.

These are promises of the product, not of a policy: somebody without a role, a suspended account, a person without a
second factor, a prompt that nobody screened. A bundle that says yes to one of them is not loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.exchange import Actor, ActorId, Finding, ImageRequest, Mfa, Origin, Usage
from gateway.policy.engine import EntryPoint
from gateway.policy.input import build_admin_input, build_input
from gateway.vocabulary import Effect, Permission, Role, Severity

NOW: Final = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
MANY: Final = 256
"""As many findings as the facade lets through: the slowest question that can be asked."""

_ANY: Final = frozenset(Effect)
_NO: Final = frozenset({Effect.DENY})
_NOT_YET: Final = frozenset({Effect.DENY, Effect.REVIEW})

_ORIGIN: Final = Origin(ip="192.0.2.1")
_ACTOR: Final = Actor(
    id=ActorId("trial|nobody"),
    display_name="",
    method="session",
    credential_id="trial",
    roles=frozenset(Role),
    mfa=Mfa(at=NOW - timedelta(seconds=1), amr=("otp",)),
)
_FINDING: Final = Finding(
    id="f1", stage="prompt", detector="trial@1", type="dlp.trial", severity=Severity.CRITICAL, message="m"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question, and the effects that an answer may have."""

    name: str
    entry: EntryPoint
    document: Mapping[str, Any]
    allowed: frozenset[Effect]


def cases(data: Mapping[str, Any]) -> Iterator[Case]:
    """The questions for a bundle with this data (a model and a size are taken from it, where there are any)."""
    models: Mapping[str, Any] = _at(data, "gateway", "config", "models")
    model = next(iter(models), "model")
    sizes = models[model].get("sizes", ()) if isinstance(models.get(model), dict) else ()
    request = ImageRequest(action=Permission.IMAGE_GENERATE, prompt="", model=model, size=next(iter(sizes), "auto"))

    def image(name: str, allowed: frozenset[Effect], actor: Actor = _ACTOR, *findings: Finding) -> Case:
        document = build_input(
            request_id="trial",
            now=NOW,
            actor=actor,
            request=request,
            origin=_ORIGIN,
            usage=Usage(),
            findings=findings,
            stage="prompt",
            cost_credits=1,
            prompt_hmac="",
        )
        return Case(name=name, entry=EntryPoint.IMAGE, document=document, allowed=allowed)

    def admin(name: str, allowed: frozenset[Effect], actor: Actor = _ACTOR) -> Case:
        document = build_admin_input(
            request_id="trial", now=NOW, actor=actor, action=Permission.AUDIT_SEARCH, origin=_ORIGIN
        )
        return Case(name=name, entry=EntryPoint.ADMIN, document=document, allowed=allowed)

    for entry, ask in ((EntryPoint.IMAGE, image), (EntryPoint.ADMIN, admin)):
        yield ask("an ordinary request", _ANY)
        yield ask("somebody without a role", _NO, replace(_ACTOR, roles=frozenset()))
        yield ask("a suspended account", _NO, replace(_ACTOR, status="suspended"))
        yield ask("a session without a second factor", _NO, replace(_ACTOR, mfa=Mfa()))
        yield ask("an API key without scopes", _NO, replace(_ACTOR, method="api-key", scopes=frozenset()))
        yield Case(name="an empty question", entry=entry, document={}, allowed=_NO)
    unscreened = replace(_FINDING, type="screening.unavailable", severity=Severity.LOW, proposed=Effect.ALLOW)
    yield image("a prompt that was not screened", _NOT_YET, _ACTOR, unscreened)
    yield image("a critical dlp finding", _NOT_YET, _ACTOR, _FINDING)
    yield image("a critical content finding", _NOT_YET, _ACTOR, replace(_FINDING, type="content.trial"))
    yield image("many findings", _NOT_YET, _ACTOR, *(replace(_FINDING, id=f"f{n}") for n in range(MANY)))


def _at(data: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    node: Any = data
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}
