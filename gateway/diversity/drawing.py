"""Drawing by lot, so that the same request draws the same again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

Weights = Mapping[str, float]
Draw = Callable[[str, Weights], str]
"""(what is drawn, the names with their weights) -> one of the names."""


def drawn_for(request_id: str, index: int = 0) -> Draw:
    """The lots of picture `index` of a request: drawn anew for each name, and the same whenever they are asked for.

    SHA-256 as a random oracle: request ids are ours and random (UUIDv7), so nobody chooses their own lot.
    """

    def draw(what: str, weights: Weights) -> str:
        digest = hashlib.sha256(f"diversity|{request_id}|{index}|{what}".encode()).digest()
        left = int.from_bytes(digest[:8], "big") / 2**64 * sum(weights.values())
        chosen = ""
        for name, weight in weights.items():
            if weight > 0:
                chosen = name
                if left < weight:
                    break
            left -= weight
        return chosen  # the last one with a weight, where rounding went past the end

    return draw
