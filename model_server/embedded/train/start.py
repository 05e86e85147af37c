"""Go on from a published package: its net at the size trained now, its words, and the story of how it came to be."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model_server.embedded.net import NetShape, PixelTransformer, enlarged
from model_server.embedded.package import load_model
from model_server.embedded.train.table import Table


@dataclass(frozen=True, slots=True)
class Start:
    """Where a second stage begins."""

    net: PixelTransformer
    table: Table
    lineage: list[dict[str, Any]]
    """One entry a stage, the first stage first: its weights' digest, size, scenes, steps, minutes and settings."""


_FIRST_FACTOR = 2


def at_first(shape: NetShape) -> NetShape:
    """The shape of the first stage: half the size, with patches of half the size, so the same cost and fewer pixels."""
    return replace(
        shape,
        size_pixels=shape.size_pixels // _FIRST_FACTOR,
        patch_pixels=shape.patch_pixels // _FIRST_FACTOR,
        noise_scale=shape.noise_scale / _FIRST_FACTOR,
    )


def start_from(folder: Path) -> Start:
    """Load the package, check its digests, and enlarge the net to today's resolution if it is of a smaller one."""
    model = load_model(folder)
    net, trained = model.net, model.config["trained"]
    table = Table(tuple(json.loads((folder / "vocabulary.json").read_text("utf-8"))), net.table.weight.detach().clone())
    stage = {name: trained[name] for name in ("steps", "pictures", "minutes", "minutes_planned", "decay_minutes")}
    stage |= {"batch": trained["batch"], "seed": trained["seed"], "size_pixels": net.shape.size_pixels}
    stage["weights_sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    stage["top1"] = trained["measured"]["top1"]
    wanted = NetShape(vocabulary=net.shape.vocabulary).size_pixels
    if net.shape.size_pixels != wanted:
        net = enlarged(net, wanted // net.shape.size_pixels)
    return Start(net, table, [*trained.get("lineage", []), stage])
