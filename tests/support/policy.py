"""What the tests of policy share: a folder of rules to spoil, people, findings, and documents about them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.exchange import (
    Actor,
    ActorId,
    CleanUpload,
    FileFacts,
    Finding,
    ImageRequest,
    Mfa,
    Origin,
    Upload,
    Usage,
)
from gateway.policy import build_admin_input, build_input
from gateway.policy.reload import Reload
from gateway.vocabulary import Effect, Permission, Role, Severity

SHIPPED = Path(__file__).parents[2] / "policies"
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
UNHURRIED_SECONDS = 20.0
"""Decisions take a millisecond; a busy machine may need longer, and time limits have tests of their own."""

ALICE = Actor(
    id=ActorId("idp|alice"),
    display_name="Alice",
    method="session",
    credential_id="s1",
    roles=frozenset({Role.EMPLOYEE}),
    groups=("design",),
    department="Design",
    mfa=Mfa(at=NOW - timedelta(minutes=10), amr=("otp", "pwd")),
)
BOB = replace(ALICE, id=ActorId("idp|bob"), roles=frozenset({Role.AUDITOR}))
KEY = replace(ALICE, method="api-key", scopes=frozenset({Permission.IMAGE_GENERATE}))
REQUEST = ImageRequest(
    action=Permission.IMAGE_GENERATE, prompt="a harbour at dawn", model="imprimatur-embedded", size="512x512"
)
FACTS = FileFacts(sha256="00", size_bytes=4, media_type="image/png", width=100, height=50)
PICTURE = Upload(field="image", data=b"....", facts=FACTS)
MASK = replace(PICTURE, field="mask")
EDIT = replace(REQUEST, action=Permission.IMAGE_EDIT, uploads=(PICTURE,))
VARY = replace(REQUEST, action=Permission.IMAGE_VARY, uploads=(PICTURE,), prompt="")
EMAIL = Finding(
    id="f1",
    stage="prompt",
    detector="email@1",
    type="dlp.email",
    severity=Severity.MEDIUM,
    start=3,
    end=9,
    replacement="someone@example.com",
    message="There is an e-mail address in your prompt. We replaced it.",
    proposed=Effect.MASK,
)
CARD = replace(
    EMAIL,
    id="f2",
    detector="payment-card@1",
    type="dlp.payment-card",
    severity=Severity.CRITICAL,
    replacement="",
    message="There is a card number in your prompt. Take it out.",
    proposed=Effect.DENY,
)
UNSCREENED = replace(
    EMAIL,
    id="f3",
    detector="screening",
    type="screening.unavailable",
    severity=Severity.HIGH,
    replacement="",
    message="",
    proposed=Effect.REVIEW,
)


def image(
    actor: Actor = ALICE,
    *findings: Finding,
    request: ImageRequest = REQUEST,
    ip: str = "10.1.2.3",
    now: datetime = NOW,
    usage: Usage | None = None,
    stage: str = "prompt",
    cost_credits: int = 1,
    clean: bool = False,
) -> dict[str, Any]:
    """The question whether `actor` may have this picture; `clean` = its uploads were decoded by now."""
    uploads = [
        CleanUpload(field=upload.field, data=b"....", sent=upload.facts, forwarded=upload.facts)
        for upload in request.uploads
    ]
    return build_input(
        request_id="01890000-0000-7000-8000-000000000000",
        now=now,
        actor=actor,
        request=request,
        origin=Origin(ip=ip),
        usage=usage or Usage(),
        findings=findings,
        stage=stage,
        cost_credits=cost_credits,
        prompt_hmac="00" * 16,
        uploads=uploads if clean else (),
    )


def admin(actor: Actor, action: Permission, *, ip: str = "10.1.2.3") -> dict[str, Any]:
    """The question whether `actor` may do something that is no picture."""
    return build_admin_input(
        request_id="01890000-0000-7000-8000-000000000000", now=NOW, actor=actor, action=action, origin=Origin(ip=ip)
    )


def copy_of_shipped(folder: Path) -> Path:
    """The shipped rules in a folder of one's own, without what the engine doesn't read."""
    target = folder / "policies"
    shutil.copytree(SHIPPED, target, ignore=shutil.ignore_patterns("dlp.d", "__pycache__"))
    for other in ("dlp", "content", "schemas"):
        shutil.rmtree(target / other, ignore_errors=True)
    return target


def change(folder: Path, edits: Mapping[str, str | bytes | None]) -> None:
    """Write, or with None remove, files of `folder`."""
    for name, text in edits.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)


def replaced(folder: Path, name: str, old: str, new: str) -> dict[str, str]:
    """An edit that puts `new` for `old` in a file; fails when `old` isn't there."""
    text = (folder / name).read_text()
    assert old in text, f"{name} doesn't hold {old!r}"
    return {name: text.replace(old, new)}


class Told:
    """An `on_reload` that remembers, and fails when asked to."""

    def __init__(self) -> None:
        self.reloads: list[Reload] = []
        self.error: Exception | None = None

    async def __call__(self, reload: Reload) -> None:
        if self.error is not None:
            raise self.error
        self.reloads.append(reload)
