"""What is fitted: a hidden layer for the heads, logistic regression for the reader of pieces. The same on every run."""

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


@dataclass(frozen=True, slots=True)
class Layer:
    """Hidden units, and what each says for each category."""

    first: Rows
    first_bias: Rows
    second: Rows
    second_bias: Rows

    def __call__(self, rows: Rows) -> Rows:
        hidden = np.maximum(rows @ self.first.T + self.first_bias, 0)
        return np.asarray(hidden @ self.second.T + self.second_bias)


MEMBERS = 5
UNITS = 128
"""Small layers that were begun differently and speak together; one alone finds two of a hundred less."""
EPOCHS = 12
BATCH = 256
RATE = 2e-3
DECAY = 1e-2
DROP_INPUTS, DROP_UNITS = 0.1, 0.3
LEAST_SPREAD = 2e-3
"""A column that hardly varies (others do by 0.03 or so) is left out."""


def fit_layer(rows: Rows, wanted: NDArray[np.bool_], weight: Rows) -> Layer:
    """One layer for all categories (columns of `wanted` and `weight`), `MEMBERS` x `UNITS` wide: AdamW (Loshchilov and
    Hutter 2019) with dropout. For each category its wanted and its other rows weigh the same in all."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(spread > LEAST_SPREAD, 1 / np.maximum(spread, LEAST_SPREAD), 0)
    scaled = ((rows - mean) * scale).astype(np.float32)
    balance = balanced(wanted, weight).astype(np.float32)
    members = [_member(scaled, wanted, balance, np.random.default_rng(seed)) for seed in range(MEMBERS)]
    first = np.vstack([m[0].T for m in members]).astype(np.float64) * scale
    return Layer(
        first=first,
        first_bias=np.concatenate([m[1] for m in members]) - first @ mean,
        second=np.vstack([m[2] for m in members]).T / MEMBERS,
        second_bias=np.mean([m[3] for m in members], axis=0),
    )


def balanced(wanted: NDArray[np.bool_], weight: Rows) -> Rows:
    """How much each row counts in each category, so that its wanted and its other rows weigh the same; 1 on average."""
    has, lacks = (wanted * weight).sum(axis=0), (~wanted * weight).sum(axis=0)
    balance = np.where(wanted, weight * lacks / has, weight)
    return np.asarray(balance / balance.mean())


def _member(
    rows: NDArray[np.float32], wanted: NDArray[np.bool_], balance: NDArray[np.float32], dice: np.random.Generator
) -> list[NDArray[np.float32]]:
    (count, width), categories = rows.shape, wanted.shape[1]
    held = [
        dice.normal(0, (2 / width) ** 0.5, (width, UNITS)).astype(np.float32),
        np.zeros(UNITS, np.float32),
        dice.normal(0, UNITS**-0.5, (UNITS, categories)).astype(np.float32),
        np.zeros(categories, np.float32),
    ]
    means, squares = [np.zeros_like(x) for x in held], [np.zeros_like(x) for x in held]
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * (1 - epoch / EPOCHS)
        order = dice.permutation(count)
        for begin in range(0, count, BATCH):
            now = order[begin : begin + BATCH]
            kept = dice.random((len(now), width), dtype=np.float32) > DROP_INPUTS
            given = rows[now] * kept / np.float32(1 - DROP_INPUTS)
            before = given @ held[0] + held[1]
            open_units = (before > 0) * (dice.random(before.shape, dtype=np.float32) > DROP_UNITS)
            open_units = open_units / np.float32(1 - DROP_UNITS)
            hidden = before * open_units
            chance = 1 / (1 + np.exp(-(hidden @ held[2] + held[3])))
            error = balance[now] * (chance - wanted[now]) / len(now)
            back = (error @ held[2].T) * open_units
            step += 1
            for i, slope in enumerate((given.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0))):
                means[i] = 0.9 * means[i] + 0.1 * slope
                squares[i] = 0.999 * squares[i] + 0.001 * slope**2
                move = means[i] / (1 - 0.9**step) / (np.sqrt(squares[i] / (1 - 0.999**step)) + 1e-8)
                decay = DECAY * held[i] if held[i].ndim > 1 else 0
                held[i] = (held[i] - rate * (move + decay)).astype(np.float32)
    return held


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
