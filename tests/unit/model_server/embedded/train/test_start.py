from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from model_server.embedded.net import PixelTransformer
from model_server.embedded.package import save_model
from model_server.embedded.train.start import start_from
from model_server.errors import ModelRefused
from model_server.manifest import write_manifest
from tests.unit.model_server.embedded.shapes import TINY
from tests.unit.model_server.support import PIECES

TRAINED = {
    "steps": 7311,
    "pictures": 350_928,
    "minutes": 92.0,
    "minutes_planned": 92.0,
    "decay_minutes": 28.0,
    "batch": 48,
    "seed": 0,
    "measured": {"top1": 0.96},
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    weights = {name: value.half().float() for name, value in PixelTransformer(TINY).state_dict().items()}
    save_model(tmp_path, "first", TINY, weights, PIECES, TRAINED)
    return tmp_path


def test_training_goes_on_from_a_package_at_todays_size(package: Path) -> None:
    begun = start_from(package)
    assert (begun.net.shape.size_pixels, begun.net.shape.patch_pixels) == (128, 16)
    assert begun.net.shape.noise_scale == TINY.noise_scale * 8
    assert begun.table.pieces == PIECES
    assert torch.equal(begun.table.vectors, begun.net.table.weight)


def test_the_first_stage_is_told_for_ever_after(package: Path) -> None:
    (stage,) = start_from(package).lineage
    assert stage["weights_sha256"] == hashlib.sha256((package / "model.safetensors").read_bytes()).hexdigest()
    assert (stage["pictures"], stage["size_pixels"], stage["top1"]) == (350_928, 16, 0.96)
    config = json.loads((package / "config.json").read_text())
    config["trained"]["lineage"] = [{"pictures": 1}]
    (package / "config.json").write_text(json.dumps(config))
    write_manifest(package)
    assert [entry["pictures"] for entry in start_from(package).lineage] == [1, 350_928]


def test_a_package_that_was_tampered_with_is_no_start(package: Path) -> None:
    (package / "vocabulary.json").write_text("[]")
    with pytest.raises(ModelRefused):
        start_from(package)
