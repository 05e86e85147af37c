"""Fits what letters say (`grams`): logistic regression on counts, by scipy's sparse matrices; the same on every run."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.screening.semantic.grams import BUCKETS, grams

STEPS: Final = 60
RATE: Final = 0.3
RIDGE: Final = 1e-6
"""So weak that the steps are what keeps it from learning lines by heart."""


def counted(texts: Sequence[str]) -> Any:
    """(text, bucket): one over the root of how many different ones there are, as `grams.Spelled` counts."""
    places, columns, values = [0], [], []
    for text in texts:
        found = np.unique(grams(text)[1])
        columns.append(found)
        values.append(np.full(len(found), max(1, len(found)) ** -0.5))
        places.append(places[-1] + len(found))
    held = (np.concatenate(values).astype(np.float32), np.concatenate(columns), np.array(places))
    return importlib.import_module("scipy.sparse").csr_matrix(held, shape=(len(texts), BUCKETS))


def fit_letters(rows: Any, wanted: NDArray[np.bool_], balance: NDArray[np.float64]) -> NDArray[np.float32]:
    """(bucket, category), by Adam (Kingma and Ba 2015) on all rows at once. Each column of `balance`: how much each row
    counts. What is the same for every text is left out: the anchors have it."""
    share = (balance / balance.sum(axis=0)).astype(np.float32)
    turned = rows.T.tocsr()
    weights = np.zeros((rows.shape[1] + 1, wanted.shape[1]), np.float32)  # the last row: for every text
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        chance = 1 / (1 + np.exp(-(rows @ weights[:-1] + weights[-1])))
        error = share * (chance - wanted)
        slope = np.vstack([turned @ error + RIDGE * weights[:-1], error.sum(axis=0, keepdims=True)])
        mean = 0.9 * mean + 0.1 * slope
        square = 0.99 * square + 0.01 * slope**2
        move = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.99**step)) + 1e-7)
        weights = (weights - RATE * (1 - step / STEPS) * move).astype(np.float32)
    return weights[:-1]
