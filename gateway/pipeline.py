"""The life of one image request, top to bottom.

 1. authenticate         who is asking                            Unauthenticated, RateLimited; not recorded
 2. intend               the intent is durable                    AuditUnavailable: nothing below runs
 3. authorise            policy on who, what, where, how often    Denied, StepUpRequired, PolicyUnavailable
 4. screen what came     findings -> policy -> allow or mask      ContentBlocked, ReviewPending, InvalidRequest
                         and say what a prompt leaves open of people, where policy asks for it
 5. reserve credits                                               CreditsEmpty
 6. forward              masked texts, clean pictures, no more    ModelUnavailable, ModelOverloaded, Stopped
 7. moderate             findings -> policy, each picture         ContentBlocked, ReviewPending
 8. mark and sign        watermark, register, credentials         ProvenanceUnavailable
 9. conclude             the outcome is durable, credits settled  AuditUnavailable: no picture leaves
10. respond

A step that raises ends the life: `recording.Recorder` writes the outcome and gives the credits back, also when the
client hangs up in the middle. docs/explanation/life-of-a-request.md tells the same story in words.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.credits.ledger import Ledger
from gateway.credits.prices import price
from gateway.credits.rate import RateLimit
from gateway.diversity import Diversity
from gateway.errors import ModelBroken
from gateway.exchange import Accepted, Decision, Finding, ImageRequest, Partial, Picture, Progress, Result
from gateway.identity import Identity
from gateway.obedience import find, mask, obey, texts_of
from gateway.policy import Policy, build_input
from gateway.provenance.credentials import Statement
from gateway.provenance.marking import Marking
from gateway.recording import Call, OpenRecord, Recorder
from gateway.running import Running
from gateway.screening.facade import Screening
from gateway.screening.image.watch import Asked
from gateway.upstream import ImageServer, Made, make_each
from gateway.vocabulary import Effect, Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Takes calls through the ten steps. Holds no state of its own."""

    identity: Identity
    recorder: Recorder
    policy: Policy
    screening: Screening
    ledger: Ledger
    rate: RateLimit
    running: Running
    server: ImageServer
    diversity: Diversity
    marking: Marking
    clock: Callable[[], datetime]

    async def run(self, call: Call) -> AsyncGenerator[Accepted | Progress | Partial | Result, None]:
        """Accepted, then progress and partial pictures when they are asked for, then one Result; or an error of the
        tree at any point. Close the iterator (`aclosing`) when the client is gone."""
        stage = call.timings.stage
        with stage("authn"):
            actor = await self.identity.authenticate(call.credentials, call.origin)  # 1
        call.headers.update(self.rate.take(actor.id))
        async with self.recorder.open(actor, call) as (record, request), self.running.job(actor.id) as job:  # 2
            await self._decide(record, request, "request")  # 3
            each = await self._screen(record, request)  # 4
            await self._clean(record, request)
            record.charge = await self.ledger.reserve(record.request_id, actor.id, price(request))  # 5
            yield Accepted(
                request_id=record.request_id,
                credits=record.charge.credits,
                credits_remaining=record.charge.remaining,
                revised_prompts=record.revised_prompts,
            )
            made: Made | None = None
            making = make_each(self.server, request, each, record.uploads, record.request_id, actor)
            async with aclosing(making) as answers:  # 6
                async for answer in job.each(answers):
                    if isinstance(answer, Made):
                        made = answer
                    elif isinstance(answer, Progress):
                        yield answer
                    elif (partial := await self._show(record, request, answer)) is not None:
                        yield partial
            if made is None:
                raise ModelBroken("The image server ended without a picture. Nothing was charged.")
            record.pictures, record.making = made.pictures, made.making
            await self._moderate(record, request, made.pictures)  # 7
            job.check()
            record.pictures = pictures = await self._mark(record, request, made.pictures)  # 8
            is_masked = any(decision.effect is Effect.MASK for decision in record.decisions)
            effect = Effect.MASK if is_masked else Effect.ALLOW
            left = await self.recorder.conclude(record, effect)  # 9
            yield Result(  # 10
                request_id=record.request_id,
                owner=actor.id,
                pictures=pictures,
                making=made.making,
                revised_prompts=record.revised_prompts,
                usage=made.usage,
                size=made.size,
                credits=record.charge.credits,
                credits_remaining=left,
                created=self.clock(),
            )

    async def _decide(
        self, record: OpenRecord, request: ImageRequest, stage: str, findings: Sequence[Finding] = ()
    ) -> Decision:
        """Policy's answer, kept in the record; raises the refusal it asks for."""
        with record.call.timings.stage("policy"):
            record.policy_input = self._question(record, request, stage, findings)
            record.detectors[stage] = self.screening.revision  # those in force go with the rules that are asked now
            decision = await self.policy.decide(record.policy_input)
        record.decisions.append(decision)
        return obey(decision, stage)

    def _question(
        self, record: OpenRecord, request: ImageRequest, stage: str, findings: Sequence[Finding]
    ) -> dict[str, Any]:
        return build_input(
            request_id=record.request_id,
            now=self.clock(),
            actor=record.actor,
            request=request,
            origin=record.call.origin,
            usage=record.usage,
            findings=findings,
            uploads=record.uploads,
            stage=stage,
            cost_credits=price(request),
            prompt_hmac=self.screening.fingerprint(request.prompt),
        )

    async def _screen(self, record: OpenRecord, request: ImageRequest) -> list[dict[str, str]]:
        """The texts that may be forwarded, by field: for all pictures, or for each where each says something else."""
        texts = texts_of(request)
        with record.call.timings.stage("screen"):
            record.findings = await find(self.screening, texts, record.actor.id)
        decision = await self._decide(record, request, "prompt", record.findings)
        if decision.effect is Effect.MASK:
            texts = await mask(self.screening, texts, record.findings, decision)
            record.revise(request, [texts])
        if decision.obligations.rewrite != "diversity":
            return [texts]
        rewritten = self.diversity.rewrite_each(texts.get("prompt", ""), record.request_id, request.n)
        if rewritten is None:
            return [texts]
        each = [{**texts, "prompt": text} for text in rewritten]
        record.revise(request, each)
        return each

    async def _clean(self, record: OpenRecord, request: ImageRequest) -> None:
        """The uploads that may be forwarded, in the record: encoded anew, never the bytes that came."""
        if not request.uploads:
            return
        to_vary = request.action is Permission.IMAGE_VARY
        with record.call.timings.stage("upload"):
            clean, found = await self.screening.clean_uploads(request.uploads, to_vary=to_vary, hold=record.call.hold)
        record.uploads = clean
        record.findings += found
        await self._decide(record, request, "upload", found)

    async def _show(self, record: OpenRecord, request: ImageRequest, partial: Partial) -> Partial | None:
        """Partial pictures pass moderation and are marked too; one that policy doesn't allow as it is is left out, and
        the finished one decides."""
        found = await self.screening.screen_pictures([partial.picture])
        if found:
            decision = await self.policy.decide(self._question(record, request, "output", found))
            if decision.effect is not Effect.ALLOW:
                return None
        (marked,) = await self._mark(record, request, [partial.picture])
        return replace(partial, data=marked.data)

    async def _moderate(self, record: OpenRecord, request: ImageRequest, pictures: Sequence[Picture]) -> None:
        with record.call.timings.stage("moderate"):
            asked = Asked.of(record.request_id, record.actor.id, request, record.uploads)
            found = await self.screening.screen_pictures(pictures, asked=asked)
        record.findings += found
        await self._decide(record, request, "output", found)

    async def _mark(
        self, record: OpenRecord, request: ImageRequest, pictures: Sequence[Picture]
    ) -> tuple[Picture, ...]:
        """The pictures as they may leave. Their bytes change here for the last time."""
        statement = Statement(
            record_id=record.request_id,
            model=record.making.model or request.model,
            policy_revision=record.decisions[-1].revision,
        )
        with record.call.timings.stage("mark"):
            return tuple([await self.marking.mark(p, statement, quality=request.output_compression) for p in pictures])
