"""The same text read another way, when a cheap sign says that somebody hid something.

A view is the whole text with some stretches rewritten, so a value that is half plain and half hidden is whole in it.
What is found there maps back to the stretch it came from, and can't be masked character for character.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.screening.text.normalise import Normalised
from gateway.screening.text.views.decoded import decoded
from gateway.screening.text.views.hidden import backwards, tagged, turned, turned_cards
from gateway.screening.text.views.rewrite import View, rewrite
from gateway.screening.text.views.spelled import spelled

MAX_DEPTH: Final = 3
"""How often a decoded text is decoded again (base64 within base64)."""


def views(original: Normalised) -> Iterator[tuple[View, ...]]:
    """Each further reading of a text as the chain of views that leads to it, the last one being the one to scan."""
    for single in (backwards(original), turned_cards(original), turned(original), tagged(original)):
        if single is not None:
            yield (single,)
    for view in spelled(original.text):
        yield (view,)
    chain: tuple[View, ...] = ()
    text = original.text
    while len(chain) < MAX_DEPTH:
        layer = decoded(text)
        if layer is None:
            return
        chain = (*chain, layer)
        yield chain
        for view in spelled(layer.text):
            yield (*chain, view)
        text = layer.text


def to_parent(chain: Sequence[View], start: int, end: int) -> tuple[int, int]:
    """A span of the last view of `chain`, in the text that the first was made from."""
    for view in reversed(chain):
        start, end = view.parent_span(start, end)
    return start, end


__all__ = ["MAX_DEPTH", "View", "rewrite", "to_parent", "views"]
