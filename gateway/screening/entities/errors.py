"""What can be wrong with the model of names."""

from __future__ import annotations


class NamesUnavailable(Exception):
    """There is no answer: the model is missing or not the one that was measured, or reading failed or took too long.
    Carries no text of anybody's."""
