"""The embedded model's files: written by training, read at start. Nothing in them can run code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model_server.embedded.net import NetShape, PixelTransformer
from model_server.embedded.text import Tokenizer
from model_server.errors import ModelRefused
from model_server.manifest import check_manifest, write_manifest

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
"""The model that ships in the package."""

_WEIGHTS, _VOCABULARY, _CONFIG = "model.safetensors", "vocabulary.json", "config.json"
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A loaded model: the net in float32 and evaluation mode, its words, its name and the digest of its files."""

    net: PixelTransformer
    tokenizer: Tokenizer
    name: str
    digest: str
    config: dict[str, Any]


def save_model(
    folder: Path,
    name: str,
    shape: NetShape,
    weights: dict[str, Tensor],
    pieces: tuple[str, ...],
    trained: dict[str, Any],
) -> str:
    """Write weights (as float16), vocabulary, config and their digests. Returns the model's digest."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {key: value.detach().to(torch.float16).contiguous() for key, value in weights.items()}
    save_file(halves, folder / _WEIGHTS)
    (folder / _WEIGHTS).chmod(0o644)  # safetensors writes 0600; the package is for every user of the machine
    (folder / _VOCABULARY).write_text(json.dumps(pieces), encoding="utf-8")
    config = {"format": _FORMAT, "name": name, "shape": shape.as_json(), "trained": trained}
    (folder / _CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return write_manifest(folder)


def load_model(folder: Path = WEIGHTS_FOLDER, expected_digest: str = "") -> EmbeddedModel:
    """Check the digests, then load. Raises ModelRefused when a file is not what it was or does not fit."""
    digest = check_manifest(folder, expected_digest)
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    if config.get("format") != _FORMAT:
        raise ModelRefused(f"{_CONFIG}: expected format {_FORMAT}, got {config.get('format')!r}")
    net = PixelTransformer(NetShape(**config["shape"]))
    weights = {key: value.float() for key, value in load_file(folder / _WEIGHTS).items()}
    try:
        net.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ModelRefused(f"{_WEIGHTS} does not fit the shape in {_CONFIG}") from error
    net.eval().requires_grad_(False)
    return EmbeddedModel(net, Tokenizer.load(folder / _VOCABULARY), config["name"], digest, config)
