"""Chooses and loads the model that the settings name. The one place that knows all kinds."""

from __future__ import annotations

import re

import torch

from model_server.embedded.package import WEIGHTS_FOLDER, load_model
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.settings import Settings, SettingsError
from model_server.work import AnyModel

_SIZE = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")


def load(settings: Settings) -> dict[str, AnyModel]:
    """The models by name, checked and in memory; the first is the default. Raises ModelRefused or SettingsError."""
    model = _load_one(settings)
    return {model.capabilities.name: model}


def _load_one(settings: Settings) -> AnyModel:
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    if settings.kind == "embedded":
        folder = settings.path or WEIGHTS_FOLDER
        return EmbeddedStepModel(load_model(folder, settings.digest), settings.name)
    # Only now: a server of the embedded model should not spend seconds and memory on diffusers.
    from model_server.pipelines.diffusers_text2image import load_pipeline

    if settings.path is None:
        raise SettingsError("kind=diffusers needs path: the folder of the model")
    return load_pipeline(
        settings.path,
        name=settings.name,
        sizes=tuple(_parse_size(size) for size in settings.sizes),
        device=settings.device,
        dtype=settings.dtype,
        expected_digest=settings.digest,
    )


def _parse_size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise SettingsError("sizes must be like 512x512")
    return int(match[1]), int(match[2])
