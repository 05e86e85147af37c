"""Fixtures over the real parts of `support.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from model_server.embedded.net import NetShape, PixelTransformer
from model_server.embedded.package import load_model, save_model
from model_server.pipelines.embedded import EmbeddedStepModel
from tests.unit.model_server.support import PIECES, PacedModel, Running, serving


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """These nets are so small that a second thread only waits."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model package as training writes it: 16 pixels, random weights that depend on every input."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    shape = NetShape(
        len(PIECES), size_pixels=16, patch_pixels=2, width=32, layers=1, heads=2, table_width=8, bottleneck=16
    )
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: torch.randn(value.shape, generator=generator) * 0.1
        for name, value in PixelTransformer(shape).state_dict().items()
    }
    save_model(folder, "tiny", shape, weights, PIECES, {})
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> EmbeddedStepModel:
    return EmbeddedStepModel(load_model(tiny_folder))


@pytest.fixture
def paced() -> Iterator[PacedModel]:
    model = PacedModel()
    yield model
    model.release()


@pytest.fixture(scope="session")
def server(tiny_model: EmbeddedStepModel) -> Iterator[Running]:
    """One server of the tiny model for all tests that leave it as it was."""
    with serving(tiny_model) as running:
        yield running


@pytest.fixture
def slow(paced: PacedModel) -> Iterator[Running]:
    """A server whose steps wait for the test."""
    with serving(paced) as running:
        paced.hold()
        yield running
