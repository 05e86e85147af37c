"""Logistic regression, by Newton's method: small, exact, the same on every run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
MAX_STEPS = 30
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Linear:
    """`rows @ weights + bias`."""

    weights: Rows
    bias: float

    def __call__(self, rows: Rows) -> Rows:
        return np.asarray(rows @ self.weights + self.bias)


def fit(rows: Rows, wanted: NDArray[np.bool_], weight: Rows, *, ridge: float) -> Linear:
    """Wanted and harmless rows weigh the same in all. `ridge`: the penalty on the weights, as a share of that.

    Columns are put on one scale first, and the scale is taken back out of what is returned.
    """
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-8
    scaled = np.hstack([(rows - mean) / spread, np.ones((len(rows), 1))])
    balance = weight * np.where(wanted, 0.5 / weight[wanted].sum(), 0.5 / weight[~wanted].sum())
    penalty = np.full(scaled.shape[1], ridge)
    penalty[-1] = 1e-9  # the bias is free
    beta = np.zeros(scaled.shape[1])
    for _ in range(MAX_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(scaled @ beta, -30, 30)))
        gradient = scaled.T @ (balance * (chance - wanted)) + penalty * beta
        curvature = (scaled * (balance * chance * (1 - chance))[:, None]).T @ scaled + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        beta -= step
        if np.abs(step).max() < TOLERANCE:
            break
    weights = beta[:-1] / spread
    return Linear(weights, float(beta[-1] - mean @ weights))


def auc(wanted: Rows, harmless: Rows) -> float:
    """The chance that a wanted text scores above a harmless one; ties count half (Mann and Whitney 1947)."""
    both = np.concatenate([wanted, harmless])
    order = both.argsort(kind="stable")
    ranks = np.empty(len(both))
    ranks[order] = np.arange(1, len(both) + 1)
    values, place = np.unique(both, return_inverse=True)
    mean_rank = np.bincount(place, ranks) / np.bincount(place)
    if len(values) < len(both):
        ranks = mean_rank[place]
    n, m = len(wanted), len(harmless)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))
