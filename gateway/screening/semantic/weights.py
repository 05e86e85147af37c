"""The heads: one small layer over what the encoder says, what a text's letters say beside it, and the numbers that make
the eight scores comparable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from gateway.screening.semantic.encoder import WEIGHTS, read_pinned
from gateway.screening.semantic.errors import MeaningUnavailable

HEADS_FILE: Final = WEIGHTS / "heads.safetensors"
HEADS_SHA256: Final = "26ff53b6bd6ee011e63ab7e498300c24be417ba508b2d75306e6fc75395d0568"
"""Written by `python -m gateway.screening.semantic.train`; see the model card."""
VERSION: Final = 4
"""Part of each finding's detector, `semantic@4`: other weights, other number."""
CATEGORIES: Final = (
    "deception",
    "harassment",
    "hate",
    "illegal",
    "medical-gore",
    "self-harm",
    "sexual",
    "violence",
)
"""In the order of the weights' rows."""
SCORES: Final = (0.0, 0.5, 0.8, 0.95, 1.0)
"""What the anchors stand for. 0.5: two of a hundred harmless texts on the same subjects score so; 0.8: one of a hundred
of those, and one of a thousand ordinary ones that were mostly written to be hard; 0.95: one of two thousand of the
first, and of ten thousand of the second. So 0.8 means the same for every category, and policy can say one number for
all."""
Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Everything that was trained, ready to multiply."""

    first: Matrix = field(repr=False)
    """(unit, width): what each hidden unit looks for in the encoder's features."""
    first_bias: Matrix = field(repr=False)
    second: Matrix = field(repr=False)
    """(category, unit)"""
    second_bias: Matrix = field(repr=False)
    grams: Matrix = field(repr=False)
    """(bucket, category): what a word or a run of letters says, see `grams`; added to what the layer says."""
    letters_mean: Matrix = field(repr=False)
    letters_spread: Matrix = field(repr=False)
    """(category): of what letters say in harmless windows, so that letters and pieces are on one scale."""
    ranks: Matrix = field(repr=False)
    """(word piece, category): a reader of pieces alone, which tells the encoder where to look first. Its mean over
    harmless windows is 0 and its spread 1."""
    rank_bias: Matrix = field(repr=False)
    suspicious: float
    """A window that the readers of pieces and letters rate so high is always read by the encoder."""
    anchors: Matrix = field(repr=False)
    """(category, len(SCORES)): raw values that stand for `SCORES`, rising."""

    def scores(self, features: Matrix, letters: Matrix) -> Matrix:
        """(window, category): scores from 0 to 1 for windows of (window, width) and what their letters say."""
        hidden = np.maximum(features @ self.first.T + self.first_bias, 0)
        raw = hidden @ self.second.T + self.second_bias + letters
        found = [np.interp(column, row, SCORES) for column, row in zip(raw.T, self.anchors, strict=True)]
        return np.array(found, np.float32).T

    def suspicion(self, ids: NDArray[np.int64], windows: list[tuple[int, int]], letters: Matrix) -> Matrix:
        """For each window how much its pieces and letters alone look like any category. Linear in the text's length."""
        sums = np.zeros((len(ids) + 1, len(CATEGORIES)))
        np.cumsum(self.ranks[ids], axis=0, dtype=np.float64, out=sums[1:])
        first, last = np.array(windows).T
        means = (sums[last] - sums[first]) / (last - first)[:, None]
        spelled = (letters - self.letters_mean) / self.letters_spread
        return np.asarray((means + self.rank_bias + spelled).max(axis=1), np.float32)


def load_heads(path: Path = HEADS_FILE, sha256: str = HEADS_SHA256) -> Heads:
    """The heads that were measured. Raises `MeaningUnavailable` when the file is missing or another one."""
    try:
        held = load(read_pinned(path, sha256, "heads"))
        if not all(np.isfinite(array).all() for array in held.values()):
            raise MeaningUnavailable("heads hold what is no number")
        return Heads(
            grams=held["grams"].astype(np.float32),
            letters_mean=held["letters_mean"].astype(np.float32),
            letters_spread=held["letters_spread"].astype(np.float32),
            first=held["first"].astype(np.float32),
            first_bias=held["first_bias"].astype(np.float32),
            second=held["second"].astype(np.float32),
            second_bias=held["second_bias"].astype(np.float32),
            ranks=held["ranks"].astype(np.float32),
            rank_bias=held["rank_bias"].astype(np.float32),
            suspicious=float(held["suspicious"][0]),
            anchors=held["anchors"].astype(np.float32),
        )
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise MeaningUnavailable(f"heads can't be read: {type(error).__name__}") from None
