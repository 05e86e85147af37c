"""What a request costs. One credit is one request's pictures, as the public beta had it: four for a generation."""

from __future__ import annotations

from typing import Final

from gateway.exchange import ImageRequest

PICTURES_PER_CREDIT: Final = 4


def price(request: ImageRequest) -> int:
    """Whole credits for this request: one for each four pictures begun."""
    return -(-request.n // PICTURES_PER_CREDIT)
