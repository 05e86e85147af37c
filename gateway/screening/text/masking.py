"""Replace what was found by what nobody owns.

A `[PLACEHOLDER]` would get drawn; realistic values that are reserved for the purpose (RFC 2606 names, 555-01xx
telephones) draw like the real thing and belong to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.exchange import Finding, MaskOrder


class MaskError(ValueError):
    """A mask order can't be carried out as given, so nothing may be forwarded. Carries finding ids, never text."""


def apply_masks(prompt: str, findings: Sequence[Finding], orders: Sequence[MaskOrder], *, field: str = "prompt") -> str:
    """`prompt` with every ordered span replaced; spans that overlap are replaced together by the first one's value.

    An order with an empty `with_` uses the finding's own `replacement`. Orders for findings of other fields are left
    to those fields. Raises `MaskError` rather than forward something that policy wanted masked.
    """
    known = {finding.id: finding for finding in findings}
    spans: list[tuple[int, int, str]] = []
    for order in orders:
        finding = known.get(order.finding)
        if finding is None:
            raise MaskError(f"mask order for an unknown finding: {order.finding}")
        if finding.field != field or finding.stage != "prompt":
            continue
        value = order.with_ or finding.replacement
        if not finding.maskable or not value:
            raise MaskError(f"finding can't be masked: {order.finding}")
        if not 0 <= finding.start < finding.end <= len(prompt):
            raise MaskError(f"finding lies outside the text: {order.finding}")
        spans.append((finding.start, finding.end, value))
    pieces: list[str] = []
    position = 0
    for start, end, value in _merged(spans):
        pieces += (prompt[position:start], value)
        position = end
    return "".join(pieces) + prompt[position:]


def _merged(spans: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    merged: list[tuple[int, int, str]] = []
    for start, end, value in sorted(spans, key=lambda s: (s[0], -s[1])):
        if merged and start < merged[-1][1]:
            first_start, first_end, first_value = merged[-1]
            merged[-1] = (first_start, max(first_end, end), first_value)
        else:
            merged.append((start, end, value))
    return merged
