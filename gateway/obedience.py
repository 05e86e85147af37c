"""Doing what policy decided: raise the refusal it asks for, replace what it wants masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, cast

from gateway.errors import ContentBlocked, Denied, ReviewPending, StepUpRequired
from gateway.exchange import Decision, Finding
from gateway.screening.facade import Screening
from gateway.screening.rules.schema import Scope
from gateway.screening.text.masking import apply_masks
from gateway.vocabulary import Effect

ROOTS: Final = ("subject.", "role.")
"""Families of reasons that others follow from."""


def obey(decision: Decision, stage: str) -> Decision:
    """`decision` when it lets the request go on; else raises StepUpRequired, Denied, ContentBlocked, ReviewPending."""
    if decision.effect is Effect.DENY:
        if decision.obligations.step_up is not None:
            raise StepUpRequired(_sentence(decision), step_up=decision.obligations.step_up, reasons=decision.reasons)
        if stage == "request":
            raise Denied(_sentence(decision), reasons=decision.reasons)
        raise _blocked(decision, stage)
    if decision.effect is Effect.REVIEW:
        raise ReviewPending(_sentence(decision), reasons=decision.reasons)
    return decision


async def find(screening: Screening, texts: Mapping[Scope, str]) -> tuple[Finding, ...]:
    """What stands in each text of a request, by field. Ids are unique over all of them."""
    found: list[Finding] = []
    for name, text in texts.items():
        prefix = "" if name == "prompt" else f"{name}."
        found += [replace(f, id=prefix + f.id, field=name) for f in await screening.screen_prompt(text, field=name)]
    return tuple(found)


async def mask(
    screening: Screening, texts: Mapping[Scope, str], findings: Sequence[Finding], decision: Decision
) -> dict[Scope, str]:
    """`texts` with every span that policy ordered replaced. Raises ContentBlocked when a mask missed: what was to be
    masked must not be found again, because a mask that misses is a leak."""
    orders = decision.obligations.mask
    ordered = {order.finding for order in orders}
    replacements = {order.with_ for order in orders}
    masked = {name: apply_masks(text, [f for f in findings if f.field == name], orders) for name, text in texts.items()}
    detectors = {finding.detector for finding in findings if finding.id in ordered}
    for finding in await find(screening, masked):
        if (
            finding.detector in detectors
            and masked[cast(Scope, finding.field)][finding.start : finding.end] not in replacements
        ):
            raise _blocked(decision, "prompt")
    return masked


def _blocked(decision: Decision, stage: str) -> ContentBlocked:
    where: Literal["input", "output"] = "output" if stage == "output" else "input"
    return ContentBlocked(_sentence(decision), stage=where, reasons=decision.reasons)


def _sentence(decision: Decision) -> str:
    # Who has no role has no model and no pictures either: say the root, the record keeps all.
    roots = [reason for reason in decision.reasons if reason.code.startswith(ROOTS)]
    words = " ".join(dict.fromkeys(reason.message for reason in roots or decision.reasons if reason.message))
    return f"{words or 'Policy does not allow this.'} Nothing was charged."
