from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from model_server.embedded.package import WEIGHTS_FOLDER, EmbeddedModel, load_model
from model_server.embedded.sampler import Wish, denoise, new_slot
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


@pytest.mark.parametrize("number", [1, 3])
def test_a_package_of_another_format_refuses_to_load(folder: Path, number: int) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["format"] = number
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder)
    with pytest.raises(ModelRefused, match=f"format 2, got {number}"):
        load_model(folder)


@pytest.fixture(scope="module")
def shipped() -> EmbeddedModel:
    return load_model()


def draw(model: EmbeddedModel, wishes: list[Wish], rows: int = 0) -> list[torch.Tensor]:
    slots = [new_slot(model.net, wish, 1, 12, 3.0) for wish in wishes]
    while any(slot.done < slot.steps for slot in slots):
        denoise(model.net, slots, rows)
    return [slot.noisy for slot in slots]


def middle(picture: torch.Tensor) -> torch.Tensor:
    """The mean colour of the picture's middle."""
    size = picture.shape[-1]
    return picture[:, size * 3 // 8 : size * 3 // 4, size * 3 // 8 : size * 5 // 8].mean((1, 2))


def test_the_model_that_ships_is_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS_FOLDER.iterdir()) <= LARGEST_PACKAGE_BYTES


def test_the_model_that_ships_draws_what_it_was_asked(shipped: EmbeddedModel) -> None:
    encode = shipped.tokenizer.encode
    prompts = ["tomato on a white background", "koala on a black background"]
    tomato, koala = draw(shipped, [Wish(encode(prompt), encode("")) for prompt in prompts])
    red, green, blue = middle(tomato)
    assert red > green + 0.3
    assert red > blue + 0.3
    assert tomato[:, :3].mean() > 0.7
    assert koala[:, :3].mean() < -0.5
    assert torch.isfinite(tomato).all()


def test_the_model_that_ships_draws_the_same_bits_in_any_company(shipped: EmbeddedModel) -> None:
    encode = shipped.tokenizer.encode
    wishes = [Wish(encode(prompt), encode("")) for prompt in ("fox", "pizza on blue", "")]
    together = draw(shipped, wishes, rows=4)
    for wish, mixed in zip(wishes, together, strict=True):
        assert torch.equal(draw(shipped, [wish], rows=4)[0], mixed)


def test_the_model_that_ships_paints_under_a_mask_and_nowhere_else(shipped: EmbeddedModel) -> None:
    encode = shipped.tokenizer.encode
    size = shipped.net.shape.size_pixels
    canvas, mask = torch.ones(3, size, size), torch.zeros(1, size, size)
    edge = size // 16
    mask[:, edge:-edge, edge:-edge] = 1
    wish = Wish(encode("tomato on a white background"), encode(""), canvas=canvas, mask=mask)
    (picture,) = draw(shipped, [wish])
    red, green, _blue = middle(picture)
    assert red > green + 0.3
    assert torch.equal(picture[:, mask[0] == 0], canvas[:, mask[0] == 0])


def test_the_papers_travel_with_the_weights() -> None:
    assert "Microsoft" in (WEIGHTS_FOLDER / "NOTICE").read_text()
    assert "Permission is hereby granted" in (WEIGHTS_FOLDER / "NOTICE").read_text()
    assert "Failures" in (WEIGHTS_FOLDER / "MODEL_CARD.md").read_text()
