from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from model_server.embedded.package import WEIGHTS_FOLDER, load_model
from model_server.embedded.sampler import denoise, new_slot
from model_server.errors import ModelRefused
from model_server.manifest import MANIFEST, write_manifest

LARGEST_PACKAGE_BYTES = 25_000_000


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_what_was_saved_is_loaded_ready_to_draw(tiny_folder: Path) -> None:
    model = load_model(tiny_folder)
    assert model.name == "tiny"
    assert not model.net.training
    assert not any(parameter.requires_grad for parameter in model.net.parameters())


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json", "config.json"])
def test_a_changed_file_refuses_to_load(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelRefused, match="expected sha256"):
        load_model(folder)


def test_a_package_without_its_list_refuses_to_load(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    with pytest.raises(ModelRefused, match=MANIFEST):
        load_model(folder)


def test_weights_of_another_shape_refuse_to_load(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["shape"]["layers"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder)
    with pytest.raises(ModelRefused, match="does not fit"):
        load_model(folder)


def test_a_package_of_another_format_refuses_to_load(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["format"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder)
    with pytest.raises(ModelRefused, match="format 1, got 2"):
        load_model(folder)


def test_the_model_that_ships_is_small_whole_and_draws_what_it_was_asked() -> None:
    size = sum(path.stat().st_size for path in WEIGHTS_FOLDER.iterdir())
    assert size <= LARGEST_PACKAGE_BYTES
    model = load_model()
    empty = model.tokenizer.encode("")
    prompts = ["tomato on a white background", "koala on a black background"]
    slots = [new_slot(model.net, model.tokenizer.encode(prompt), empty, 1, 12, 3.0) for prompt in prompts]
    for _ in range(12):
        denoise(model.net, slots)
    red, green, blue = slots[0].noisy[:, 24:48, 24:40].mean((1, 2))
    assert red > green + 0.3
    assert red > blue + 0.3
    assert slots[0].noisy[:, :3].mean() > 0.7
    assert slots[1].noisy[:, :3].mean() < -0.5
    assert torch.isfinite(slots[0].noisy).all()


def test_the_papers_travel_with_the_weights() -> None:
    assert "Microsoft" in (WEIGHTS_FOLDER / "NOTICE").read_text()
    assert "Permission is hereby granted" in (WEIGHTS_FOLDER / "NOTICE").read_text()
    assert "Failures" in (WEIGHTS_FOLDER / "MODEL_CARD.md").read_text()
