"""From a checkpoint to the package's files: weights, card, notice, and the grid of pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from model_server.embedded.net import NetShape, PixelTransformer
from model_server.embedded.package import WEIGHTS_FOLDER, save_model
from model_server.embedded.text import Tokenizer
from model_server.embedded.train import card, gates, grid
from model_server.embedded.train.compose import MASKED_SHARE
from model_server.embedded.train.data import Sprites
from model_server.embedded.train.loop import CHECKPOINT, Plan
from model_server.embedded.train.table import Table

MODEL_NAME = "imprimatur-embedded"
_GUIDANCE, _STEPS = 3.0, 24


@dataclass(frozen=True, slots=True)
class Publication:
    """Where the files go."""

    weights: Path = WEIGHTS_FOLDER
    grid: Path = Path("docs/images/model-grid.png")
    eyes: str = ""
    """What a person who looked at the grid found wrong; for the card."""


def publish(
    run: Path, work: Path, sprites: Sprites, table: Table, plan: Plan, hardware: str, where: Publication
) -> gates.Report:
    """Measure the run's averaged weights and write everything that travels with them."""
    state = torch.load(run / CHECKPOINT, weights_only=True)
    shape = NetShape(vocabulary=len(table.pieces))
    net = PixelTransformer(shape)
    # What is measured is what ships: rounded to float16 first.
    net.load_state_dict({name: value.half().float() for name, value in state["average"].items()})
    net.eval().requires_grad_(False)
    tokenizer = Tokenizer(table.pieces)
    pictures = grid.sample(net, tokenizer, grid.PROMPTS, steps=_STEPS, guidance=_GUIDANCE)
    grid.write_grid(where.grid, pictures, grid.PROMPTS)
    report = gates.measure(net, tokenizer, sprites, work, steps=_STEPS, guidance=_GUIDANCE)
    trained = {
        "shape": shape.as_json(),
        "parameters": sum(value.numel() for value in net.state_dict().values()),
        "table_parameters": table.vectors.numel(),
        "masked_share": MASKED_SHARE,
        "steps": state["step"],
        "pictures": state["pictures"],
        "minutes": state["seconds"] / 60,
        "minutes_planned": plan.minutes,
        "decay_minutes": plan.decay_minutes,
        "batch": plan.batch,
        "seed": plan.seed,
        "hardware": hardware,
        "measured": report.as_json(),
    }
    save_model(where.weights, MODEL_NAME, shape, state["average"], table.pieces, trained)
    digest = hashlib.sha256((where.weights / "model.safetensors").read_bytes()).hexdigest()
    (where.weights / "MODEL_CARD.md").write_text(
        card.model_card(MODEL_NAME, digest, trained, report, where.eyes), encoding="utf-8"
    )
    (where.weights / "NOTICE").write_text(card.notice(), encoding="utf-8")
    return report
