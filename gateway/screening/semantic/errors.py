"""What can be wrong with the model of meanings."""

from __future__ import annotations


class MeaningUnavailable(Exception):
    """There is no answer: a file is missing or not the one that was measured, or reading failed or took too long.
    Carries no text of anybody's."""
