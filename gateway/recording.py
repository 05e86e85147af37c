"""An image request's record: the ticket that is open while it is worked on, and what is said when it closes.

`Recorder.open` is the only way into the pipeline's work, and it promises three things:

* the intent is durable before the block begins (else AuditUnavailable, and nothing begins);
* however the block ends (refusal, failure, cancellation, a bug), an outcome is written and reserved credits go back;
* writing it is shielded from cancellation, so a client that hangs up can't leave a hole in the log.

Only a crash of the process leaves a ticket open; `gateway/sweeper.py` concludes those.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import anyio
from sqlalchemy.exc import SQLAlchemyError

from audit import AuditLog, Entry, Subject, Ticket
from audit import AuditUnavailable as LogUnavailable
from audit.keywords import keywords
from gateway.credits.ledger import Ledger
from gateway.credits.usage import UsageCounts
from gateway.errors import (
    AuditUnavailable,
    ContentBlocked,
    CreditsEmpty,
    Denied,
    Failure,
    ImprimaturError,
    ModelBroken,
    ModelOverloaded,
    ModelUnavailable,
    PolicyUnavailable,
    ProvenanceUnavailable,
    RateLimited,
    Refusal,
    ReviewPending,
    Stopped,
    StorageUnavailable,
)
from gateway.exchange import (
    Actor,
    Charge,
    CleanUpload,
    Credentials,
    Decision,
    Finding,
    ImageRequest,
    Making,
    Origin,
    Picture,
    RequestId,
    Usage,
)
from gateway.keeping import ABUSE, STANDARD, Keeping
from gateway.observe.metrics import Metrics
from gateway.observe.timing import Timings
from gateway.vocabulary import Code, Conclusion, Effect, Permission

log = logging.getLogger(__name__)

_CODES: Mapping[type[ImprimaturError], Code] = {
    CreditsEmpty: Code.CREDITS_EMPTY,
    RateLimited: Code.REQUEST_NO_ROOM,
    StorageUnavailable: Code.STORAGE_UNAVAILABLE,
    PolicyUnavailable: Code.POLICY_UNAVAILABLE,
    ModelOverloaded: Code.MODEL_OVERLOADED,
    ModelUnavailable: Code.MODEL_UNAVAILABLE,
    ModelBroken: Code.MODEL_BROKEN,
    ProvenanceUnavailable: Code.PICTURE_UNMARKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One image request as it reaches the pipeline: who says they are asking, from where, and how to read what."""

    action: Permission
    credentials: Credentials
    origin: Origin
    read: Callable[[], Awaitable[ImageRequest]] = field(repr=False)
    """Reads and checks the body. Raises InvalidRequest; that too is recorded."""
    name: Callable[[RequestId], None] = field(default=lambda _: None, repr=False)
    """Told the request's id once the log has given it: from then on every answer carries it."""
    timings: Timings = field(default_factory=Timings)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """What the answer shall carry besides, good or bad; filled as it becomes known."""
    hold: Callable[[int], None] = field(default=lambda _: None, repr=False)
    """Told of bytes that the request holds besides what it brought. Raises RateLimited when there is no room."""


class OpenRecord:
    """What becomes known while a request is worked on. Owned by the request's task."""

    def __init__(self, ticket: Ticket, actor: Actor, call: Call, request: ImageRequest | None) -> None:
        self.ticket = ticket
        self.request_id = RequestId(ticket.event_id)
        self.actor = actor
        self.call = call
        self.request = request
        self.findings: tuple[Finding, ...] = ()
        self.decisions: list[Decision] = []
        self.detectors: dict[str, str] = {}
        """Stage -> the detectors' rules, and the weights, that its findings are of (`Screening.revision`)."""
        self.policy_input: Mapping[str, Any] = {}
        self.usage = Usage()
        self.charge: Charge | None = None
        self.revised_prompts: tuple[str, ...] = ()
        self.revised_labels: tuple[str, ...] | None = None
        self.uploads: tuple[CleanUpload, ...] = ()
        self.pictures: Sequence[Picture] = ()
        self.making = Making()
        self.concluded = False

    def revise(self, request: ImageRequest, each: Sequence[Mapping[str, str]]) -> None:
        """Keep what the model sees in place of what was sent: one set of texts for all pictures, or one a picture."""
        self.revised_prompts = tuple(texts.get("prompt", "") for texts in each)
        if request.sketch:
            self.revised_labels = tuple(each[0].get(f"sketch.{place}", "") for place in range(len(request.sketch)))


class Recorder:
    """Opens and closes records of image requests."""

    def __init__(
        self,
        audit: AuditLog,
        ledger: Ledger,
        usage: UsageCounts,
        metrics: Metrics,
        clock: Callable[[], datetime],
        keeping: Keeping,
    ) -> None:
        self._audit = audit
        self._keeping = keeping
        self._ledger = ledger
        self._usage = usage
        self._metrics = metrics
        self._clock = clock

    @asynccontextmanager
    async def open(self, actor: Actor, call: Call) -> AsyncIterator[tuple[OpenRecord, ImageRequest]]:
        """The intent, durable; then the block; then an outcome, whatever happens."""
        request, problem = await _read(call)
        with call.timings.stage("audit"):
            ticket = await self._intend(actor, call, request)
        call.name(RequestId(ticket.event_id))
        record = OpenRecord(ticket, actor, call, request)
        self._usage.begin(actor.id)
        try:
            if request is None:
                raise problem or AssertionError("unreachable: either read or refused")
            record.usage = await self._usage.facts(actor.id)
            yield record, request
        except BaseException as error:
            # Shielded: the very reason we are here may be a cancellation, and the record must not die of it.
            with anyio.CancelScope(shield=True):
                await self._abandon(record, error)
            if isinstance(error, SQLAlchemyError):
                raise StorageUnavailable(
                    "The gateway's database doesn't answer. Try again in a moment; nothing was charged.",
                    retry_after_seconds=5,
                ) from error
            raise
        finally:
            self._usage.end(actor.id)

    async def conclude(self, record: OpenRecord, effect: Effect) -> int:
        """The good end: outcome durable, then credits spent. Returns the credits left. Nothing may leave before it."""
        if record.charge is None:
            raise AssertionError("a picture without a reservation: the pipeline's steps are out of order")
        with anyio.CancelScope(shield=True), record.call.timings.stage("audit"):
            await self._write_outcome(record, effect, (), credits=record.charge.credits)
            try:
                left = await self._ledger.settle(record.charge)
                await self._usage.count(record.actor.id, refused=False)
            except SQLAlchemyError as error:
                # The record says "delivered" and can't be unsaid, so it is; the sweeper gives the credits back.
                log.error("credits.unsettled", extra={"request_id": record.request_id, "cause": type(error).__name__})
                return record.charge.remaining
        return left

    async def _intend(self, actor: Actor, call: Call, request: ImageRequest | None) -> Ticket:
        content = {
            "request": {} if request is None else _json(_asked(request)),
            "ip": call.origin.ip,
            "user_agent": call.origin.user_agent,
            "method": actor.method,
            "credential": actor.credential_id,
            "amr": list(actor.mfa.amr),
            "acr": actor.mfa.acr,
            "mfa_age_seconds": actor.mfa.age_seconds(self._clock()),
            "roles": sorted(actor.roles),
        }
        rules = self._keeping.rules()
        index = _index(actor, call.origin, ())
        if rules.keyword_index and request is not None:
            index["word"] = keywords(request.prompt)
        entry = Entry(
            action=call.action.value,
            subject=subject_of(actor),
            class_=rules.class_of(actor.groups),
            content=content,
            index=index,
        )
        try:
            return await self._audit.intend(entry)
        except LogUnavailable as error:
            raise _no_record() from error

    async def _write_outcome(
        self, record: OpenRecord, effect: str, reasons: Sequence[str], *, credits: int = 0, error: str = ""
    ) -> None:
        decision = record.decisions[-1] if record.decisions else Decision(effect=Effect.DENY)
        content: dict[str, Any] = {
            "decisions": [_json(asdict(d)) for d in record.decisions],
            "policy_input": dict(record.policy_input),
            "findings": [_json(asdict(f)) for f in record.findings],
            "detectors": dict(record.detectors),
            "revised_prompts": list(record.revised_prompts),
            "revised_labels": None if record.revised_labels is None else list(record.revised_labels),
            "uploads": [
                {"field": u.field, "sent": asdict(u.sent), "forwarded": asdict(u.forwarded)} for u in record.uploads
            ],
            "pictures": [_picture(picture) for picture in record.pictures],
            "making": _json(asdict(record.making)),
            "error": error,
        }
        codes = tuple(map(str, reasons or _codes(record.decisions)))
        class_ = record.ticket.class_
        if class_ != STANDARD and self._keeping.rules().is_abuse(codes):
            # Evidence of abuse outlives what was promised to whoever does none: docs/explanation/retention.md.
            class_ = ABUSE
            content["request"] = {} if record.request is None else _json(_asked(record.request))
        entry = Entry(
            action=record.call.action.value,
            subject=subject_of(record.actor),
            class_=class_,
            effect=str(effect),
            reasons=codes,
            bundle_revision=decision.revision,
            model=record.making.model,
            model_digest=record.making.model_digest,
            credits=credits,
            latency_ms=record.call.timings.total_ms,
            content=content,
            index=_index(record.actor, record.call.origin, record.findings),
        )
        try:
            await self._audit.conclude(record.ticket, entry)
        except LogUnavailable as unavailable:
            raise _no_record() from unavailable
        record.concluded = True
        self._metrics.conclusions.labels(effect=effect, reason=entry.reasons[0] if entry.reasons else "").inc()
        for stage, ms in record.call.timings.stages.items():
            self._metrics.stage_seconds.labels(stage=stage).observe(ms / 1e3)

    async def _abandon(self, record: OpenRecord, error: BaseException) -> None:
        """Write why it ended and give the credits back. Both are tried even when one fails."""
        effect, reasons = _ending(error)
        try:
            if not record.concluded:
                await self._write_outcome(record, effect, reasons, error=type(error).__name__)
        finally:
            try:
                if record.charge is not None:
                    await self._ledger.release(record.request_id)
                if isinstance(error, Denied | ContentBlocked | ReviewPending):
                    await self._usage.count(record.actor.id, refused=True)
            except SQLAlchemyError as problem:
                log.error(
                    "credits.unreleased", extra={"request_id": record.request_id, "cause": type(problem).__name__}
                )


def subject_of(actor: Actor) -> Subject:
    """Who, as the log seals it."""
    return Subject(actor=actor.id, display=actor.display_name, department=actor.department, groups=actor.groups)


def _codes(decisions: Sequence[Decision]) -> tuple[str, ...]:
    """Why the decisions were as they were, each code once: a mask at the prompt is still why at the end."""
    return tuple(dict.fromkeys(reason.code for decision in decisions for reason in decision.reasons))


def _ending(error: BaseException) -> tuple[str, tuple[str, ...]]:
    """(effect, reason codes) for a request that ended in `error`."""
    if isinstance(error, ReviewPending):
        return Effect.REVIEW, tuple(dict.fromkeys(r.code for r in error.reasons))
    if isinstance(error, Stopped):
        return Conclusion.CANCELLED, tuple(r.code for r in error.reasons)
    if isinstance(error, Refusal):
        codes = tuple(dict.fromkeys(r.code for r in error.reasons))
        return Effect.DENY, codes or (_CODES.get(type(error), Code.REQUEST_INVALID),)
    if isinstance(error, Failure):
        return Conclusion.FAILED, (_CODES.get(type(error), Code.INTERNAL),)
    if isinstance(error, SQLAlchemyError):
        return Conclusion.FAILED, (Code.STORAGE_UNAVAILABLE,)
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return Conclusion.CANCELLED, (Code.CLIENT_GONE,)
    log.error("request.crashed", exc_info=error)
    return Conclusion.FAILED, (Code.INTERNAL,)


async def _read(call: Call) -> tuple[ImageRequest | None, Refusal | None]:
    try:
        return await call.read(), None
    except Refusal as problem:
        return None, problem


def _index(actor: Actor, origin: Origin, findings: Sequence[Finding]) -> dict[str, tuple[str, ...]]:
    return {
        "group": actor.groups,
        "department": (actor.department,) if actor.department else (),
        "network": (origin.ip,),
        "credential": (actor.credential_id,),
        "finding": tuple(dict.fromkeys(str(f.type) for f in findings)),
    }


def _picture(picture: Picture) -> dict[str, Any]:
    """What is kept of a finished picture; marks only of one that may have left."""
    marks = {} if picture.marks is None else asdict(picture.marks)
    return {"sha256": picture.sha256, "bytes": len(picture.data), "media_type": picture.media_type, **marks}


def _asked(request: ImageRequest) -> dict[str, Any]:
    """The request as the record keeps it: of pictures that came along their digests, never their bytes."""
    uploads = [{"field": upload.field, **asdict(upload.facts)} for upload in request.uploads]
    return {**asdict(replace(request, uploads=())), "uploads": uploads}


def _json(value: Any) -> Any:
    """Plain JSON of a dataclass's dict: sets and tuples become lists, times become text, bytes never occur."""
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str) else value  # an enum member becomes its plain word


def _no_record() -> AuditUnavailable:
    return AuditUnavailable(
        "The audit log can't be written, so nothing was sent to the model. Try again in a moment; nothing was charged.",
        retry_after_seconds=5,
    )
