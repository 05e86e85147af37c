"""Reading what the rules answered. Anything but a whole, closed and sensible decision is refused.

The shape is closed on purpose: an obligation that this gateway does not know is one that it would not fulfil, and a
decision whose obligations can't be fulfilled must not be treated as a yes (XACML 3.0, section 7.18, says the same).
`policies/schemas/decision.json` is made from these types by `gateway.policy.schemas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.exchange import Decision, MaskOrder, Obligations, Reason, StepUp
from gateway.policy.engine import UNDEFINED, Evaluation
from gateway.vocabulary import REASON_CODE, Effect, Severity

UNSCREENED: Final = "screening."
"""Types of findings that say that screening did not happen. Such a request is never allowed, whatever rules say."""

Short = Annotated[str, Field(max_length=128)]
Text = Annotated[str, Field(max_length=1000)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReasonAnswer(_Closed):
    """One reason. `finding` names the finding it came from, if it came from one."""

    code: Annotated[str, Field(max_length=64, pattern=f"^{REASON_CODE.pattern}$")]
    message: Annotated[Text, Field(min_length=1)]
    severity: Severity
    rule: Annotated[Short, Field(min_length=1)]
    control: Short
    help: Text = ""
    finding: Short = ""


class MaskAnswer(_Closed):
    """Replace the span of `finding` with a made-up value."""

    finding: Annotated[Short, Field(min_length=1)]
    with_: Annotated[Text, Field(min_length=1, alias="with")]


class StepUpAnswer(_Closed):
    """Fresh MFA would turn this denial round (RFC 9470)."""

    max_age_seconds: Annotated[int, Field(ge=0, strict=True)]
    acr: Short = ""


class ReviewAnswer(_Closed):
    """A person has to look first: who."""

    queue: Annotated[Short, Field(min_length=1)]


class ObligationsAnswer(_Closed):
    """What must be done besides the effect."""

    mask: tuple[MaskAnswer, ...] = ()
    step_up: StepUpAnswer | None = None
    review: ReviewAnswer | None = None
    max_n: Annotated[int, Field(ge=1, strict=True)] | None = None
    retention_days: Annotated[int, Field(ge=1, le=3650, strict=True)] = 30
    rewrite: Literal["diversity"] | None = None


class DecisionAnswer(_Closed):
    """The whole answer of an entry point."""

    effect: Effect
    reasons: tuple[ReasonAnswer, ...]
    obligations: ObligationsAnswer


class AnswerUndefined(Exception):
    """The rules gave no answer."""


class AnswerInvalid(Exception):
    """The rules answered something that is no decision. `str()` says where it is wrong, never with what value."""


def read(evaluation: Evaluation, document: Mapping[str, Any]) -> Decision:
    """The decision in `evaluation`, which was the answer to `document`.

    Raises AnswerUndefined and AnswerInvalid; both mean no.
    """
    if evaluation.result is UNDEFINED:
        raise AnswerUndefined("the entry point has no value")
    try:
        answer = DecisionAnswer.model_validate(evaluation.result)
    except ValidationError as error:
        # Places and kinds only: an answer can hold parts of the input, as value or as key, and this goes to the log.
        found = error.errors(include_input=False, include_context=False, include_url=False)
        places = [(e["loc"][:-1] if e["type"] == "extra_forbidden" else e["loc"], e["type"]) for e in found[:5]]
        told = [f"{'.'.join(map(str, place)) or 'decision'}: {kind}" for place, kind in places]
        raise AnswerInvalid("; ".join(told)) from None
    findings = {str(f["id"]): f for f in document.get("findings", ())}
    _make_sense(answer, findings)
    return _decision(answer, evaluation, findings)


def _make_sense(answer: DecisionAnswer, findings: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse answers that are well formed and contradict themselves or the question."""
    obligations = answer.obligations
    masked = {order.finding for order in obligations.mask}
    if answer.effect is not Effect.ALLOW and not answer.reasons:
        raise AnswerInvalid(f"reasons: effect {answer.effect} without a reason")
    if (answer.effect is Effect.MASK) != bool(masked):
        raise AnswerInvalid(f"obligations.mask: {len(masked)} orders with effect {answer.effect}")
    if not all(finding in findings and findings[finding]["maskable"] for finding in masked):
        raise AnswerInvalid("obligations.mask: an order for a finding that is unknown or can't be masked")
    if obligations.step_up is not None and answer.effect is not Effect.DENY:
        raise AnswerInvalid(f"obligations.step_up: given with effect {answer.effect}")
    if (obligations.review is not None) != (answer.effect is Effect.REVIEW):
        raise AnswerInvalid(f"obligations.review: goes with effect review, got {answer.effect}")
    if obligations.rewrite is not None and answer.effect not in (Effect.ALLOW, Effect.MASK):
        raise AnswerInvalid(f"obligations.rewrite: given with effect {answer.effect}")
    if any(reason.finding and reason.finding not in findings for reason in answer.reasons):
        raise AnswerInvalid("reasons: one names a finding that was not in the question")
    if answer.effect in (Effect.ALLOW, Effect.MASK) and any(
        f["type"].startswith(UNSCREENED) for f in findings.values()
    ):
        raise AnswerInvalid(f"effect: {answer.effect} although screening did not happen")


def _decision(answer: DecisionAnswer, evaluation: Evaluation, findings: Mapping[str, Mapping[str, Any]]) -> Decision:
    obligations = answer.obligations
    return Decision(
        effect=answer.effect,
        reasons=tuple(
            Reason(
                code=reason.code,
                message=reason.message,
                severity=reason.severity,
                rule=reason.rule,
                control=reason.control,
                help=reason.help,
                span=_span(findings.get(reason.finding)),
            )
            for reason in answer.reasons
        ),
        obligations=Obligations(
            mask=tuple(MaskOrder(finding=order.finding, with_=order.with_) for order in obligations.mask),
            step_up=None
            if obligations.step_up is None
            else StepUp(max_age_seconds=obligations.step_up.max_age_seconds, acr=obligations.step_up.acr),
            review_queue="" if obligations.review is None else obligations.review.queue,
            max_n=obligations.max_n,
            retention_days=obligations.retention_days,
            rewrite=obligations.rewrite or "",
        ),
        engine=evaluation.engine,
        revision=evaluation.revision,
    )


def _span(finding: Mapping[str, Any] | None) -> tuple[int, int] | None:
    """Where in the prompt a finding stands; None for a finding elsewhere, or none."""
    if finding is None or finding["stage"] != "prompt" or finding["field"] != "prompt":
        return None
    return int(finding["start"]), int(finding["end"])
