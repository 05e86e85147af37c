"""What a caller hears of its request while the engine works on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL.Image import Image

from model_server.errors import ServiceError
from model_server.wire import JobState


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a request is."""

    id: str
    state: JobState
    step: int
    steps: int
    queue_position: int
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class Previewed:
    """Unfinished pictures of a request, one for each of its n; `index` counts the previews."""

    index: int
    pictures: list[Image]


@dataclass(frozen=True, slots=True)
class Finished:
    """All pictures of a request, as the model made them. Last event. `batch_mode` is the provenance's."""

    pictures: list[Image]
    batch_mode: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The request ended without pictures. Last event."""

    error: ServiceError


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The request ended because someone asked for it. Last event."""


Event = Snapshot | Previewed | Finished | Failed | Cancelled
Publish = Callable[[Event], None]
"""Called in order, from the engine's thread or from the one that submits or cancels; must neither block nor raise."""
