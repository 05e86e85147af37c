"""The two stand-ins: a pipeline that acts out what words in the prompt say, and a catalogue of models."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from hashlib import sha256

from PIL import Image, ImageDraw

from gateway.credits import Ledger, price
from gateway.errors import (
    ContentBlocked,
    CreditsEmpty,
    Denied,
    ModelBroken,
    ModelUnavailable,
    RateLimited,
    ReviewPending,
    StepUpRequired,
)
from gateway.exchange import (
    Accepted,
    Decision,
    Finding,
    Making,
    MaskOrder,
    Obligations,
    Partial,
    Picture,
    Progress,
    Reason,
    RequestId,
    Result,
    StepUp,
    TokenUsage,
)
from gateway.identity import Identity
from gateway.obedience import mask
from gateway.recording import Call
from gateway.screening.facade import Screening
from gateway.upstream.catalogue import Model
from gateway.upstream.fields import NOT_FOR_VARIATIONS
from gateway.vocabulary import TASKS, Effect, Severity

STEPS = 20


class TwoModels:
    """A catalogue of a small and a large one."""

    async def models(self) -> dict[str, Model]:
        small = Model(
            id="house-128",
            sizes=("128x128",),
            default_size="128x128",
            max_n=10,
            tasks=tuple(TASKS.values()),
            knows=frozenset(NOT_FOR_VARIATIONS),
        )
        large = Model(
            id="sdxl-design",
            sizes=("512x512", "768x512", "512x768", "1024x1024"),
            default_size="512x512",
            max_n=4,
            tasks=("generate",),
        )
        return {small.id: small, large.id: large}


class Acted:
    """A pipeline that acts out what the prompt says: `refused`, `review`, `withheld`, `stale`, `poor`, `busy`, `down`,
    `breaks`, `cut`, `queue`, `hold`, `slow`. What screening finds in it is refused or masked, for real."""

    def __init__(self, screening: Screening, ledger: Ledger, identity: Identity) -> None:
        self._screening = screening
        self._ledger = ledger
        self._identity = identity
        self.cancelled: list[str] = []
        self.uploads: list[tuple[str, bytes]] = []

    async def run(self, call: Call) -> AsyncGenerator[Accepted | Progress | Partial | Result, None]:
        person = await self._identity.authenticate(call.credentials, call.origin)
        request = await call.read()
        request_id = RequestId(f"01a2033e-6394-7688-ae58-{random.getrandbits(48):012x}")
        call.name(request_id)
        words = set(request.prompt.lower().replace(",", " ").split())
        self._refuse(words)
        findings = await self._screening.screen_prompt(request.prompt)
        stopping = tuple(_reason(f) for f in findings if f.proposed is Effect.DENY)
        if stopping:
            raise ContentBlocked(f"{stopping[0].message} Nothing was charged.", stage="input", reasons=stopping)
        orders = tuple(MaskOrder(finding=f.id, with_=f.replacement) for f in findings if f.proposed is Effect.MASK)
        decision = Decision(effect=Effect.MASK, obligations=Obligations(mask=orders))
        masked = await mask(self._screening, {"prompt": request.prompt}, findings, decision)
        revised = masked["prompt"] if orders else None
        for upload in request.uploads:
            self.uploads.append((upload.field, upload.data))
        charge = await self._ledger.reserve(request_id, person.id, price(request))
        yield Accepted(
            request_id=request_id,
            credits=charge.credits,
            credits_remaining=charge.remaining,
            revised_prompts=(revised,) if revised else (),
        )
        try:
            if "queue" in words:
                yield Progress(step=0, steps=STEPS, queue_position=3)
                await asyncio.sleep(1.5)
            pictures = [_picture(index, request.size) for index in range(request.n)]
            for step in range(1, STEPS + 1):
                await asyncio.sleep(0.15 if "slow" in words else 0.01)
                yield Progress(step=step, steps=STEPS, eta_seconds=(STEPS - step) * 0.4)
                if step in (8, 14):
                    for p in pictures:
                        yield Partial(
                            index=p.index,
                            partial_index=step // 10,
                            data=p.data,
                            media_type=p.media_type,
                            width=p.width,
                            height=p.height,
                        )
                if step == 14:
                    await self._stumble(words)
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled.append(request.prompt)
            await asyncio.shield(self._ledger.release(request_id))
            raise
        except Exception:
            await self._ledger.release(request_id)
            raise
        left = await self._ledger.settle(charge)
        yield Result(
            request_id=request_id,
            owner=person.id,
            pictures=tuple(pictures),
            making=Making(model=request.model, seed=1234567890),
            revised_prompts=(revised,) if revised else (),
            usage=TokenUsage(),
            size=request.size,
            credits=charge.credits,
            credits_remaining=left,
            created=datetime.now(UTC),
        )

    def _refuse(self, words: set[str]) -> None:
        if "refused" in words:
            reasons = (
                Reason(code="model.not-permitted", message="This model is not for your group.", help="Choose another."),
                Reason(code="hours.closed", message="Pictures are made between 6 and 22 o’clock."),
            )
            raise Denied("This model is not for your group. Nothing was charged.", reasons=reasons)
        if "review" in words:
            message = "A reviewer looks at this first. You will find the answer here."
            raise ReviewPending(message, reasons=(Reason(code="content.public-figure", message=message),))
        if "stale" in words:
            message = "It has been a while since you confirmed that it is you. Do it again, then send this once more."
            raise StepUpRequired(message, step_up=StepUp(max_age_seconds=900), reasons=(_low("mfa.stale", message),))
        if "poor" in words:
            message = "This costs 1 credit; you have 0. Your next credits come on 1 December. Nothing was charged."
            raise CreditsEmpty(message, reasons=(_low("credits.empty", "Not enough credits."),))
        if "busy" in words:
            raise RateLimited("Very many requests are being worked on.", retry_after_seconds=7)
        if "down" in words:
            raise ModelUnavailable("The image server can’t be reached. Nothing was charged; try again in a minute.")

    async def _stumble(self, words: set[str]) -> None:
        if "hold" in words:
            await asyncio.sleep(60)
        if "breaks" in words:
            raise ModelBroken("The image server ended without a picture. Nothing was charged.")
        if "withheld" in words:
            message = "The picture shows something we don’t hand out. Try other words."
            reasons = (Reason(code="content.violence", message=message),)
            raise ContentBlocked(f"{message} Nothing was charged.", stage="output", reasons=reasons)
        if "cut" in words:
            raise ConnectionAbortedError("acted: the process dies in the middle of a stream")


def _low(code: str, message: str) -> Reason:
    return Reason(code=code, message=message, severity=Severity.LOW)


def _reason(finding: Finding) -> Reason:
    return Reason(code=finding.type, message=finding.message, span=(finding.start, finding.end))


def _picture(index: int, size: str) -> Picture:
    """A friendly shape on a coloured ground."""
    width, height = (int(n) for n in size.split("x")) if "x" in size else (128, 128)
    ground = ["#4d8ee6", "#7a6cd1", "#59b34d", "#e8a13c", "#d8604f", "#3f9f9a"][index % 6]
    image = Image.new("RGB", (width, height), ground)
    pen = ImageDraw.Draw(image)
    x, y, r = width / 2, height / 2, min(width, height) * 0.34
    pen.ellipse((x - r, y - r, x + r, y + r), fill="#fdf6e3")
    for side in (-1, 1):
        pen.ellipse((x + side * r / 2 - r / 7, y - r / 4, x + side * r / 2 + r / 7, y + r / 9), fill="#2b2926")
    pen.arc((x - r / 2, y - r / 4, x + r / 2, y + r / 1.6), 20, 160, fill="#2b2926", width=max(2, width // 40))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    return Picture(
        index=index, data=data, media_type="image/png", width=width, height=height, sha256=sha256(data).hexdigest()
    )
