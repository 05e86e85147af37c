from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from model_server.embedded.package import load_model
from model_server.embedded.train import gates, jobs
from model_server.embedded.train import publish as publishing
from model_server.embedded.train.card import Facts, model_card, notice
from model_server.embedded.train.concepts import CONCEPTS
from model_server.embedded.train.data import SOURCES, Sprites
from model_server.embedded.train.judge import Judge
from model_server.embedded.train.loop import Plan, Training, new_net
from model_server.embedded.train.publish import Measurement, Publication, measure_run, publish
from model_server.embedded.train.table import Table
from tests.unit.model_server.embedded.shapes import TINY
from tests.unit.model_server.embedded.train.test_gates import JOBS, REPORT
from tests.unit.model_server.support import PIECES, two_sprites

_FEW = 6
"""So many concepts are measured here."""

STAGE = {
    "size_pixels": 64,
    "pictures": 350_928,
    "steps": 7311,
    "minutes": 92.0,
    "minutes_planned": 92.0,
    "decay_minutes": 28.0,
    "batch": 48,
    "seed": 0,
    "weights_sha256": "ab" * 32,
    "top1": 0.9635,
}
TRAINED = {
    "parameters": 10_900_000,
    "table_parameters": 3_500_000,
    "minutes_planned": 119.0,
    "decay_minutes": 36.0,
    "rate": 0.7,
    "pictures": 400_000,
    "steps": 8000,
    "batch": 48,
    "minutes": 119.0,
    "hardware": "two CPU cores, no GPU",
    "seed": 0,
    "note": "Half of it by night.",
    "lineage": [STAGE],
    "measured_before": [],
}


class AlwaysTheSame(nn.Module):  # type: ignore[misc]
    """A judge that answers at once and always the same."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        answer = torch.zeros(len(pictures), _FEW)
        answer[:, 1] = 1
        return answer


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that has saved a checkpoint of a tiny net; the real judge takes minutes to train, this one none."""
    monkeypatch.setattr(publishing, "load_judge", lambda *_: Judge(AlwaysTheSame(), 0.9))
    for module in (gates, jobs):
        monkeypatch.setattr(module, "CONCEPTS", CONCEPTS[:_FEW])
    folder = tmp_path / "run"
    folder.mkdir()
    training = Training(new_net(TINY, torch.ones(len(PIECES), TINY.table_width), 0), folder, [STAGE])
    training.step, training.pictures = 10, 480
    training.save()
    return folder


def many_sprites() -> Sprites:
    two = two_sprites()
    pixels = np.resize(two.pixels, (_FEW, *two.pixels.shape[1:]))
    return Sprites(pixels, (("pet",),) * _FEW)


def facts(**changes: object) -> Facts:
    return replace(Facts("small", "abc", TINY, TRAINED, REPORT, JOBS), **changes)  # type: ignore[arg-type]


def test_a_run_becomes_a_package_with_its_papers_and_sheets(run: Path, tmp_path: Path) -> None:
    table = Table(PIECES, torch.ones(len(PIECES), TINY.table_width))
    where = Publication(tmp_path / "weights", tmp_path / "pictures", steps=1)
    (run / "measured-5.json").write_text(json.dumps(Measurement(240, REPORT, JOBS).as_json()))
    measured = publish(run, tmp_path, many_sprites(), table, Plan(1, 0), where)
    model = load_model(where.weights)
    assert model.net.shape == TINY
    assert model.config["trained"]["lineage"] == [STAGE]
    assert measured.pictures == 480
    assert measured.words.top1 == pytest.approx(1 / _FEW)
    card = (where.weights / "MODEL_CARD.md").read_text()
    assert "at 240 scenes" in card
    assert "The last 240 scenes moved the figure by words by -64.3 points" in card
    assert (where.weights / "NOTICE").read_text() == notice()
    names = {path.name for path in where.pictures.iterdir()}
    assert names == {"model-grid.png", "model-edits.png", "model-variations.png", "model-sketch.png"}
    for path in where.pictures.iterdir():
        assert Image.open(path).width > 900


def test_a_measurement_on_the_way_is_kept_beside_the_checkpoint(run: Path, tmp_path: Path) -> None:
    table = Table(PIECES, torch.ones(len(PIECES), TINY.table_width))
    measured = measure_run(run, tmp_path, many_sprites(), table, steps=1)
    assert json.loads((run / "measured-10.json").read_text()) == json.loads(json.dumps(measured.as_json()))


def test_the_card_tells_the_measured_figures_and_the_failures() -> None:
    words = replace(REPORT, top1=0.5)
    card = model_card(facts(words=words, eyes="books often look wrong"))
    for part in (
        "50.0%",
        "helicopter",
        "books often look wrong",
        "two CPU cores, no GPU",
        "400,000",
        "Gates not met: top-1 >= 80 % (short by 30.0 points)",
    ):
        assert part in card
    for source in SOURCES:
        assert source.spec in card
        assert source.attribution in notice()


def test_the_card_tells_both_stages_with_their_commands() -> None:
    card = model_card(facts())
    assert "350,928 scenes" in card
    assert "Half of it by night." in card
    assert STAGE["weights_sha256"] in card  # type: ignore[operator]
    assert "--first-stage --minutes 92 --decay-minutes 28" in card
    assert "--from .train/first --minutes 119 --decay-minutes 36 --rate 0.7" in card
    alone = model_card(facts(trained={**TRAINED, "lineage": [], "rate": 1.0}))
    assert "From nothing" in alone
    assert "--first-stage" not in alone
