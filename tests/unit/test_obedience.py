"""Texts of a request: all of them are looked at, alone and side by side, and each mask goes where it belongs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ContentBlocked
from gateway.exchange import ActorId, Decision, Finding, ImageRequest, MaskOrder, Obligations, SketchRegion
from gateway.obedience import find, mask, texts_of
from gateway.screening.facade import Screening
from gateway.screening.rules.schema import Scope
from gateway.vocabulary import Effect, Permission

POLICIES = Path(__file__).parents[2] / "policies"
JANE = "jane@corp.com"
BOX = (0.0, 0.0, 1.0, 1.0)


@pytest.fixture
async def screening() -> AsyncIterator[Screening]:
    made = Screening(directory=POLICIES, secret=bytes(range(32)), timeout_seconds=30)
    yield made
    await made.aclose()


def asked(prompt: str, *labels: str, negative: str = "") -> dict[str, str]:
    regions = tuple(SketchRegion(label=label, box=BOX) for label in labels)
    return texts_of(
        ImageRequest(
            action=Permission.IMAGE_GENERATE, prompt=prompt, model="m", negative_prompt=negative, sketch=regions
        )
    )


def seen(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(f.field, f.type) for f in findings]


def decided(findings: Sequence[Finding]) -> Decision:
    orders = tuple(MaskOrder(finding=f.id, with_=f.replacement) for f in findings if f.maskable)
    return Decision(effect=Effect.MASK, obligations=Obligations(mask=orders))


def test_every_text_of_the_persons_is_there_by_name() -> None:
    assert asked("a fox", "a hat", "", "a boat", negative="rain") == {
        "prompt": "a fox",
        "negative_prompt": "rain",
        "sketch.0": "a hat",
        "sketch.2": "a boat",
    }
    assert asked("") == {}


async def test_labels_are_screened_like_the_prompt(screening: Screening) -> None:
    found = await find(screening, asked("a mug", "a fox", f"for {JANE}"))
    assert seen(found) == [("sketch.1", "dlp.email-address")]
    assert found[0].maskable
    assert found[0].start == len("for ")


async def test_a_value_spread_over_labels_is_found_and_can_not_be_masked(screening: Screening) -> None:
    for texts in (asked("a card", "4111 1111", "1111 1111"), asked("a card 4111 1111", "1111 1111")):
        (finding,) = await find(screening, texts)
        assert (finding.field, finding.type, finding.maskable) == ("sketch", "dlp.payment-card", False)


async def test_what_stands_in_one_text_is_not_found_twice(screening: Screening) -> None:
    assert len(await find(screening, asked(f"for {JANE}", "a fox", "a card 4111 1111 1111 1111"))) == 2


async def test_ids_are_told_apart(screening: Screening) -> None:
    found = await find(screening, asked(JANE, JANE, JANE, negative=JANE))
    assert len({finding.id for finding in found}) == 4


async def test_each_mask_goes_where_its_finding_stands(screening: Screening) -> None:
    texts = asked(f"a mug for {JANE}", "a fox", f"write {JANE}", negative="rain")
    found = await find(screening, texts)
    assert await mask(screening, texts, found, decided(found)) == {
        "prompt": "a mug for someone@example.com",
        "negative_prompt": "rain",
        "sketch.0": "a fox",
        "sketch.1": "write someone@example.com",
    }


async def test_a_mask_that_misses_a_label_stops_the_request(screening: Screening) -> None:
    texts = asked("a mug", f"for {JANE}", f"and {JANE}")
    found = await find(screening, texts)
    order = replace(decided(found), obligations=Obligations(mask=decided(found).obligations.mask[:1]))
    with pytest.raises(ContentBlocked):
        await mask(screening, texts, found, order)


class Moving(Screening):
    """Its rules are exchanged while a text is looked at, as often as `times` says."""

    times = 0
    looks = 0

    async def screen_prompt(self, text: str, *, field: Scope = "prompt") -> tuple[Finding, ...]:
        found = await super().screen_prompt(text, field=field)
        self.looks += 1
        if self.times:
            self.times -= 1
            self.put_in_force(self.prepare(POLICIES))
        return found


async def test_texts_are_looked_at_again_when_the_rules_change_meanwhile() -> None:
    screening = Moving(directory=POLICIES, secret=bytes(range(32)), timeout_seconds=30)
    try:
        texts = asked(f"for {JANE}")
        for times, looks in ((0, 1), (1, 2)):
            screening.times, screening.looks = times, 0
            assert seen(await find(screening, texts, ActorId("alice"))) == [("prompt", "dlp.email-address")]
            assert screening.looks == looks
        screening.times = 2
        (finding,) = await find(screening, texts, ActorId("alice"))
        assert finding.type == "screening.unavailable", "no answer is never a yes"
    finally:
        await screening.aclose()


async def test_what_a_prompt_completes_is_looked_for_without_waiting(screening: Screening) -> None:
    """Else the rules could be exchanged between these findings and the decision."""
    with pytest.raises(StopIteration):
        screening.screen_across("alice", "a card 4111 1111").send(None)  # type: ignore[attr-defined]
