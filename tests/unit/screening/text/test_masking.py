"""Masks replace what was found, all of it, or nothing is forwarded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Finding, MaskOrder
from gateway.screening.facade import Screening
from gateway.screening.text.masking import MaskError, apply_masks
from gateway.vocabulary import Effect, Severity


def finding(number: int, start: int, end: int, **more: object) -> Finding:
    values: dict[str, object] = {
        "id": f"f{number}", "stage": "prompt", "detector": "r@1", "type": "dlp.r", "severity": Severity.LOW,
        "start": start, "end": end, "replacement": "X",
    }  # fmt: skip
    return Finding(**(values | more))  # type: ignore[arg-type]


def order(number: int, with_: str = "Y") -> MaskOrder:
    return MaskOrder(finding=f"f{number}", with_=with_)


def test_each_ordered_span_is_replaced_and_nothing_else() -> None:
    assert apply_masks("abcdefgh", (finding(1, 1, 3), finding(2, 5, 6)), (order(2, "22"), order(1, "1"))) == "a1de22gh"


def test_an_empty_order_uses_the_finding_s_own_value() -> None:
    assert apply_masks("abc", (finding(1, 0, 1),), (order(1, ""),)) == "Xbc"


def test_overlapping_spans_are_replaced_together() -> None:
    findings = (finding(1, 1, 5), finding(2, 3, 7), finding(3, 2, 3))
    assert apply_masks("abcdefgh", findings, (order(3, "3"), order(2, "2"), order(1, "1"))) == "a1h"


def test_neighbours_are_replaced_each() -> None:
    assert apply_masks("abcd", (finding(1, 0, 2), finding(2, 2, 4)), (order(1, "1"), order(2, "2"))) == "12"


@pytest.mark.parametrize(
    ("bad", "number"),
    [
        (finding(1, 0, 2), 2),
        (finding(1, 0, 2, maskable=False), 1),
        (finding(1, 0, 9), 1),
        (finding(1, 2, 2), 1),
        (finding(1, -1, 2), 1),
    ],
)
def test_an_order_that_cannot_be_carried_out_stops_everything(bad: Finding, number: int) -> None:
    with pytest.raises(MaskError) as caught:
        apply_masks("abcd", (bad,), (order(number),))
    assert "abcd" not in str(caught.value)


def test_no_value_to_put_there_stops_everything() -> None:
    with pytest.raises(MaskError):
        apply_masks("abcd", (finding(1, 0, 2, replacement=""),), (order(1, ""),))


def test_orders_for_another_field_leave_the_prompt_alone() -> None:
    assert apply_masks("abcd", (finding(1, 0, 2, field="negative_prompt"),), (order(1),)) == "abcd"


SPANS = st.lists(st.tuples(st.integers(0, 29), st.integers(1, 10)), min_size=1, max_size=6)


@given(SPANS)
def test_no_masked_character_survives(wishes: list[tuple[int, int]]) -> None:
    text = "".join(chr(0x4E00 + i) for i in range(30))
    found = [finding(i, start, min(30, start + size)) for i, (start, size) in enumerate(wishes)]
    masked = apply_masks(text, found, [order(f_i, "-") for f_i in range(len(found))])
    gone = {text[i] for f in found for i in range(f.start, f.end)}
    assert gone.isdisjoint(masked)
    assert [c for c in masked if c != "-"] == [c for c in text if c not in gone]


@pytest.mark.parametrize(
    "prompt",
    [
        "write jane.roe@corp.com and bob@web.de on a card",
        "call +49 30 901820 or (415) 555-2671",
        "j\u200bane@corp.com, phone 4\ufe0f\u20e315-867-5309",
        "jane@corp.com" * 3,
        "jane@corp.com,bob@corp.com;415-867-5309/415-867-5310",
    ],
)
async def test_what_was_masked_holds_nothing_more_to_mask(screening: Screening, prompt: str) -> None:
    findings = await screening.screen_prompt(prompt)
    assert findings
    assert all(f.proposed is Effect.MASK and f.maskable for f in findings)
    orders = [MaskOrder(finding=f.id, with_=f.replacement) for f in findings]
    masked = apply_masks(prompt, findings, orders)
    assert "jane" not in masked
    assert "bob" not in masked
    assert "5309" not in masked
    assert await screening.screen_prompt(masked) == ()
