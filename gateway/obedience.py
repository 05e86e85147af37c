"""Doing what policy decided: raise the refusal it asks for, replace what it wants masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from gateway.errors import ContentBlocked, Denied, ReviewPending, StepUpRequired
from gateway.exchange import ActorId, Decision, Finding, ImageRequest
from gateway.screening.facade import Screening
from gateway.screening.findings import unavailable
from gateway.screening.rules.schema import Scope
from gateway.screening.rules.steady import steady
from gateway.screening.text.masking import apply_masks
from gateway.vocabulary import Effect

ROOTS: Final = ("subject.", "role.")
"""Families of reasons that others follow from."""

SPREAD: Final = "sketch"
"""The field of a finding that stands in a prompt and its sketch's labels together, and in none of them alone."""


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


def texts_of(request: ImageRequest) -> dict[str, str]:
    """Every text of the person's in `request`, by field: prompt, negative_prompt, and the labels of a sketch as
    `sketch.0`, `sketch.1`…"""
    labels = {f"sketch.{place}": region.label for place, region in enumerate(request.sketch)}
    texts = {"prompt": request.prompt, "negative_prompt": request.negative_prompt, **labels}
    return {name: text for name, text in texts.items() if text}


async def find(screening: Screening, texts: Mapping[str, str], actor: ActorId | None = None) -> tuple[Finding, ...]:
    """What stands in each text of a request, by field; with an actor, also what the prompt completes of their prompts
    just before (once for each request: it is remembered). Ids are unique over all of them.

    All of it is found by one set of detectors, and in the step of the event loop in which this returns they are those
    of the rules in force: whoever asks policy at once asks the rules that they belong to."""
    alone = await steady(lambda: screening.rules, lambda: _find_in(screening, texts))
    if alone is None:
        return (unavailable("prompt", "prompt"),)
    found, spread = alone
    # Nothing is waited for in here, so these are the same detectors'.
    across = await screening.screen_across(actor, texts["prompt"]) if actor is not None and "prompt" in texts else ()
    return (*found, *across, *spread)


async def _find_in(screening: Screening, texts: Mapping[str, str]) -> tuple[list[Finding], list[Finding]]:
    """What stands in each text alone, and what in none of them alone."""
    found: list[Finding] = []
    for name, text in texts.items():
        scope: Scope = "negative_prompt" if name == "negative_prompt" else "prompt"
        found += [_placed(finding, name) for finding in await screening.screen_prompt(text, field=scope)]
    return found, await _find_spread(screening, texts, found)


async def mask(
    screening: Screening, texts: Mapping[str, str], findings: Sequence[Finding], decision: Decision
) -> dict[str, str]:
    """`texts` with every span that policy ordered replaced. Raises ContentBlocked when a mask missed: what was to be
    masked must not be found again, because a mask that misses is a leak."""
    orders = decision.obligations.mask
    ordered = {order.finding for order in orders}
    replacements = {order.with_ for order in orders}
    masked = {name: apply_masks(text, findings, orders, field=name) for name, text in texts.items()}
    places = masked | {SPREAD: _spread(masked)}
    detectors = {finding.detector for finding in findings if finding.id in ordered}
    for finding in await find(screening, masked):
        if finding.detector in detectors and places[finding.field][finding.start : finding.end] not in replacements:
            raise _blocked(decision, "prompt")
    return masked


async def _find_spread(screening: Screening, texts: Mapping[str, str], found: Sequence[Finding]) -> list[Finding]:
    """What stands in none of the texts alone: the model gets the labels of a sketch beside its prompt, so half a card
    number in each is a card number. Such a finding can't be masked."""
    if not any(name.startswith("sketch.") for name in texts):
        return []
    starts, place = {}, 0
    for name, text in _side_by_side(texts):
        starts[name] = place
        place += len(text) + 1
    known = [(f.type, starts[f.field] + f.start, starts[f.field] + f.end) for f in found if f.field in starts]
    return [
        replace(
            _placed(finding, SPREAD),
            maskable=False,
            replacement="",
            proposed=Effect.DENY if finding.proposed is Effect.MASK else finding.proposed,
        )
        for finding in await screening.screen_prompt(_spread(texts))
        if not any(t == finding.type and s < finding.end and finding.start < e for t, s, e in known)
    ]


def _side_by_side(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, text) for name, text in texts.items() if name != "negative_prompt"]


def _spread(texts: Mapping[str, str]) -> str:
    return " ".join(text for _, text in _side_by_side(texts))


def _placed(finding: Finding, name: str) -> Finding:
    return replace(finding, id=finding.id if name == "prompt" else f"{name}.{finding.id}", field=name)


def _blocked(decision: Decision, stage: str) -> ContentBlocked:
    where: Literal["input", "output"] = "output" if stage == "output" else "input"
    return ContentBlocked(_sentence(decision), stage=where, reasons=decision.reasons)


def _sentence(decision: Decision) -> str:
    # Who has no role has no model and no pictures either: say the root, the record keeps all.
    roots = [reason for reason in decision.reasons if reason.code.startswith(ROOTS)]
    words = " ".join(dict.fromkeys(reason.message for reason in roots or decision.reasons if reason.message))
    return f"{words or 'Policy does not allow this.'} Nothing was charged."
