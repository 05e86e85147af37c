"""SIGHUP: read the models' file again, load what is new, and let the engine swap, while requests go on."""

from __future__ import annotations

import logging
import threading
from types import FrameType

from model_server.engine.engine import Engine
from model_server.loading.catalogue import ModelSettings
from model_server.loading.load import Models, reload
from model_server.observe import log

logger = logging.getLogger(__name__)


class Reloading:
    """Keeps the models of an engine as the settings name them. One reload at a time; signals meanwhile come to one."""

    def __init__(self, settings: ModelSettings, models: Models, engine: Engine) -> None:
        self._settings = settings
        self._models = models  # touched by the thread that holds _working
        self._engine = engine
        self._asked = threading.Event()
        self._working = threading.Lock()

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """A signal handler: returns at once, the work is done by a thread."""
        self._asked.set()
        threading.Thread(target=self._work, name="reload", daemon=True).start()

    def _work(self) -> None:
        with self._working:
            # Several signals during one reload are one wish: the file is read once after the last of them.
            if not self._asked.is_set():
                return
            self._asked.clear()
            try:
                self._reload()
            except Exception:
                # Whatever a library throws at a new model, the old ones go on.
                log(logger, logging.ERROR, "models.reload_failed", trace=True)

    def _reload(self) -> None:
        models = reload(self._settings, self._models)
        if models is self._models:
            return
        self._engine.swap(models).result()
        self._models = models
        log(logger, logging.INFO, "models.swapped", models=len(models), default=next(iter(models)))
