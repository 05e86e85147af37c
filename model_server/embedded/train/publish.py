"""From a checkpoint to the package's files: weights, card, notice, and the sheets of pictures."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model_server.embedded.net import NetShape, PixelTransformer
from model_server.embedded.package import WEIGHTS_FOLDER, save_model
from model_server.embedded.text import Tokenizer
from model_server.embedded.train import card, sheets
from model_server.embedded.train.data import Sprites
from model_server.embedded.train.drawing import Artist
from model_server.embedded.train.gates import Report, measure
from model_server.embedded.train.jobs import JobReport, measure_jobs
from model_server.embedded.train.judge import load_judge
from model_server.embedded.train.loop import CHECKPOINT, Plan
from model_server.embedded.train.table import Table

MODEL_NAME = "imprimatur-embedded"
STEPS = 24
_MEASURED = "measured-{step}.json"


@dataclass(frozen=True, slots=True)
class Publication:
    """Where the files go, in how many steps their pictures are drawn, and what a person says of them."""

    weights: Path = WEIGHTS_FOLDER
    pictures: Path = Path("docs/images")
    hardware: str = "two CPU cores, no GPU"
    steps: int = STEPS
    eyes: str = ""
    """What a person who looked at the sheets found wrong; for the card."""
    note: str = ""
    """What the figures do not say of how it was trained; for the card."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A checkpoint's figures: after how many scenes of this run, with words alone, and in the other jobs."""

    pictures: int
    words: Report
    jobs: JobReport

    def as_json(self) -> dict[str, Any]:
        """Plain fields for `config.json`."""
        return {"pictures": self.pictures, "words": self.words.as_json(), "jobs": self.jobs.as_json()}


def measure_run(run: Path, work: Path, sprites: Sprites, table: Table, steps: int = STEPS) -> Measurement:
    """Measure the run's averaged weights as they are now, and keep the figures beside the checkpoint."""
    state, artist = _load(run, table, steps)
    judge = load_judge(sprites, artist.tokenizer, table.vectors, work)
    measured = Measurement(state["pictures"], measure(artist, judge, sprites), measure_jobs(artist, judge, sprites))
    path = run / _MEASURED.format(step=state["step"])
    path.write_text(json.dumps(measured.as_json(), indent=1), encoding="utf-8")
    return measured


def publish(run: Path, work: Path, sprites: Sprites, table: Table, plan: Plan, where: Publication) -> Measurement:
    """Draw the sheets, measure, and write everything that travels with the weights."""
    state, artist = _load(run, table, where.steps)
    sheets.write_grid(where.pictures / "model-grid.png", artist)
    sheets.write_edits(where.pictures / "model-edits.png", artist)
    sheets.write_variations(where.pictures / "model-variations.png", artist)
    sheets.write_sketches(where.pictures / "model-sketch.png", artist)
    measured = measure_run(run, work, sprites, table, where.steps)
    trained = {
        "parameters": sum(value.numel() for value in artist.net.state_dict().values()),
        "table_parameters": table.vectors.numel(),
        "steps": state["step"],
        "pictures": state["pictures"],
        "minutes": state["seconds"] / 60,
        "minutes_planned": plan.minutes,
        "decay_minutes": plan.decay_minutes,
        "rate": plan.rate,
        "batch": plan.batch,
        "seed": plan.seed,
        "hardware": where.hardware,
        "note": where.note,
        "lineage": state["lineage"],
        "measured": measured.words.as_json(),
        "measured_jobs": measured.jobs.as_json(),
        "measured_before": _earlier(run, state["pictures"]),
    }
    shape = artist.net.shape
    save_model(where.weights, MODEL_NAME, shape, state["average"], table.pieces, trained)
    digest = hashlib.sha256((where.weights / "model.safetensors").read_bytes()).hexdigest()
    text = card.model_card(card.Facts(MODEL_NAME, digest, shape, trained, measured.words, measured.jobs, where.eyes))
    (where.weights / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    (where.weights / "NOTICE").write_text(card.notice(), encoding="utf-8")
    return measured


def _load(run: Path, table: Table, steps: int) -> tuple[dict[str, Any], Artist]:
    state: dict[str, Any] = torch.load(run / CHECKPOINT, weights_only=True)
    net = PixelTransformer(NetShape(**state["shape"]))
    # What is measured is what ships: rounded to float16 first.
    net.load_state_dict({name: value.half().float() for name, value in state["average"].items()})
    net.eval().requires_grad_(False)
    return state, Artist(net, Tokenizer(table.pieces), steps)


def _earlier(run: Path, pictures: int) -> list[dict[str, Any]]:
    """Figures measured on the way, the earliest first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in run.glob(_MEASURED.format(step="*"))]
    return sorted((one for one in found if one["pictures"] < pictures), key=lambda one: int(one["pictures"]))
