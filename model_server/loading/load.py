"""Loads the models that the settings name, and loads them again when the file that lists them has changed.

The one place that knows all kinds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

import torch

from model_server.embedded.package import WEIGHTS_FOLDER, load_model
from model_server.engine.work import AnyModel
from model_server.errors import ModelRefused
from model_server.loading.catalogue import ModelEntry, ModelSettings, entries_of
from model_server.manifest import listed_digest
from model_server.observe import log
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.settings import SettingsError

logger = logging.getLogger(__name__)


class Models(dict[str, AnyModel]):
    """The loaded models by id, the default first, with the entry that each was loaded for."""

    def __init__(self, loaded: Iterable[tuple[ModelEntry, AnyModel]] = ()) -> None:
        pairs = list(loaded)
        super().__init__((entry.id, model) for entry, model in pairs)
        self.entries = {entry.id: entry for entry, _ in pairs}


def load(settings: ModelSettings) -> Models:
    """All models, checked and in memory. Raises ModelRefused, naming the model, or SettingsError."""
    entries = entries_of(settings)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    elif all(entry.kind == "embedded" for entry in entries) and os.environ.get("OMP_WAIT_POLICY") == "passive":
        # Its steps are so short that threads which sleep at their barriers lose more than a second core brings: 48 ms a
        # step with two threads on two idle cores, 18 ms with one, 13 ms with two that spin (`threads.py` says why they
        # don't by default).
        torch.set_num_threads(1)
    return Models((entry, _load(entry)) for entry in entries)


def reload(settings: ModelSettings, loaded: Models) -> Models:
    """What the settings name now. A model whose entry and files are as they were is kept, not loaded again.

    All or nothing: when the file or one model is refused, the reason is logged and `loaded` itself comes back. New
    models are loaded beside the old ones, so there must be memory for both. Takes as long as loading takes, and so
    belongs to a thread that nobody waits for.
    """
    try:
        models = Models((entry, _kept(entry, loaded) or _load(entry)) for entry in entries_of(settings))
    except (ModelRefused, SettingsError) as error:
        log(logger, logging.ERROR, "models.reload_refused", reason=str(error))
        return loaded
    kept = sum(model is loaded.get(name) for name, model in models.items())
    log(logger, logging.INFO, "models.reloaded", models=len(models), kept=kept)
    return models


def _kept(entry: ModelEntry, loaded: Models) -> AnyModel | None:
    """The loaded model of that entry when nothing about it has changed."""
    model = loaded.get(entry.id)
    if model is None or loaded.entries[entry.id] != entry:
        return None
    folder = entry.folder or (WEIGHTS_FOLDER if entry.kind == "embedded" else None)
    if folder is None:  # of the hub: the pinned digest is in the entry
        return model
    return model if listed_digest(folder) == model.capabilities.digest else None


def _load(entry: ModelEntry) -> AnyModel:
    try:
        return _embedded(entry) if entry.kind == "embedded" else _diffusers(entry)
    except ModelRefused as error:
        raise ModelRefused(f"{entry.id}: {error}") from error


def _embedded(entry: ModelEntry) -> AnyModel:
    return EmbeddedStepModel(load_model(entry.folder or WEIGHTS_FOLDER, entry.digest), entry.id)


def _diffusers(entry: ModelEntry) -> AnyModel:
    # Only now: a server of the embedded model should not spend seconds and memory on diffusers.
    from model_server.loading.assembly import assemble
    from model_server.loading.planning import plan

    planned = plan(entry)
    model: AnyModel = assemble(entry, planned.folder, planned.choice, planned.placement)
    return model
