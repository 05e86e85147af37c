"""What a request costs. One credit is one request's pictures, as the public beta had it: four for a generation, three
for an edit or a variation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.exchange import ImageRequest
from gateway.vocabulary import Permission

PICTURES_PER_CREDIT: Final[Mapping[Permission, int]] = {
    Permission.IMAGE_GENERATE: 4,
    Permission.IMAGE_EDIT: 3,
    Permission.IMAGE_VARY: 3,
}


def price(request: ImageRequest) -> int:
    """Whole credits for this request: one for each four (or three) pictures begun."""
    return -(-request.n // PICTURES_PER_CREDIT[request.action])
