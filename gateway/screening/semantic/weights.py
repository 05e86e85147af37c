"""The heads: eight linear readers of what the encoder says, with the numbers that make their scores comparable."""

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
HEADS_SHA256: Final = "3c5a85d4f1e4c4ac1612cf58140e3239e2eca2f5ada98ffc6eb8036adcdfbf49"
"""Written by `python -m gateway.screening.semantic.train`; see the model card."""
VERSION: Final = 1
"""Part of each finding's detector, `semantic@1`: other weights, other number."""
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
"""What the anchors stand for. 0.5: two of a hundred harmless texts on the same subjects score so; 0.8: one of ten
thousand ordinary ones is meant to; 0.95: one of a million, reckoned from the tail. So 0.8 means the same for every
category, and policy can say one number for all."""
Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Everything that was trained, ready to multiply."""

    heads: Matrix = field(repr=False)
    """(category, width): over the encoder's features."""
    bias: Matrix = field(repr=False)
    pieces: Matrix = field(repr=False)
    """(word piece, category): what a piece adds by itself, whatever stands beside it."""
    ranks: Matrix = field(repr=False)
    """(word piece, category): a reader of pieces alone, which tells the encoder where to look first. Its mean over
    harmless windows is 0 and its spread 1."""
    rank_bias: Matrix = field(repr=False)
    suspicious: float
    """A window that the reader of pieces rates so high is always read by the encoder."""
    anchors: Matrix = field(repr=False)
    """(category, len(SCORES)): raw values that stand for `SCORES`, rising."""

    def scores(self, features: Matrix, ids: NDArray[np.int64]) -> Matrix:
        """A score from 0 to 1 a category for one window."""
        raw = self.heads @ features + self.pieces[ids].mean(axis=0) + self.bias
        return np.array([np.interp(x, row, SCORES) for x, row in zip(raw, self.anchors, strict=True)], np.float32)

    def suspicion(self, ids: NDArray[np.int64], windows: list[tuple[int, int]]) -> Matrix:
        """For each window how much its pieces alone look like any category. Linear in the text's length."""
        sums = np.zeros((len(ids) + 1, len(CATEGORIES)))
        np.cumsum(self.ranks[ids], axis=0, dtype=np.float64, out=sums[1:])
        first, last = np.array(windows).T
        means = (sums[last] - sums[first]) / (last - first)[:, None]
        return np.asarray((means + self.rank_bias).max(axis=1), np.float32)


def load_heads(path: Path = HEADS_FILE, sha256: str = HEADS_SHA256) -> Heads:
    """The heads that were measured. Raises `MeaningUnavailable` when the file is missing or another one."""
    try:
        held = load(read_pinned(path, sha256, "heads"))
        if not all(np.isfinite(array).all() for array in held.values()):
            raise MeaningUnavailable("heads hold what is no number")
        return Heads(
            heads=held["heads"].astype(np.float32),
            bias=held["bias"].astype(np.float32),
            pieces=held["pieces"].astype(np.float32),
            ranks=held["ranks"].astype(np.float32),
            rank_bias=held["rank_bias"].astype(np.float32),
            suspicious=float(held["suspicious"][0]),
            anchors=held["anchors"].astype(np.float32),
        )
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise MeaningUnavailable(f"heads can't be read: {type(error).__name__}") from None
