"""Where a secret has to stand, each with its reason. What is not here is a leak."""

from __future__ import annotations

from tests.canary.seeds import Seed


def why_allowed(place: str, where: str, form: str, seed: Seed | None, asked: str) -> str | None:
    """The reason why this sighting is no leak; None when there is none. `asked` is the route whose answer it is."""
    return None
