"""What the image server's models can do, remembered for a short while."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import Failure
from gateway.upstream.client import ImageServer
from gateway.upstream.fields import known_fields

TTL_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One entry. `sizes` empty = the server does not say."""

    id: str
    sizes: tuple[str, ...] = ()
    default_size: str = ""
    max_n: int = 10
    digest: str = ""
    owned_by: str = ""
    created: int = 0
    tasks: tuple[str, ...] = ()
    """`generate`, `edit`, `vary`; empty = the server does not say, so that it is asked and judges."""
    knows: frozenset[str] = frozenset()
    """Which of our own fields may be sent to it."""
    max_input_images: int = 0
    """0 = the server does not say."""


class Catalogue:
    """Models by id. A server that is down leaves the last known list in force: whether it can draw is found out when
    it is asked to."""

    def __init__(self, server: ImageServer) -> None:
        self._server = server
        self._models: dict[str, Model] = {}
        self._until = 0.0

    async def models(self) -> dict[str, Model]:
        """Empty when the server was never reached."""
        if time.monotonic() >= self._until:
            try:
                self._models = {entry["id"]: _model(entry) for entry in await self._server.models()}
                self._until = time.monotonic() + TTL_SECONDS
            except Failure:
                self._until = time.monotonic() + 1.0
        return self._models


def _model(entry: dict[str, Any]) -> Model:
    return Model(
        id=entry["id"],
        sizes=_texts(entry.get("sizes")),
        default_size=str(entry.get("default_size") or ""),
        max_n=int(entry.get("max_n") or entry.get("max_pictures") or 10),
        digest=str(entry.get("digest") or entry.get("model_digest") or ""),
        owned_by=str(entry.get("owned_by") or ""),
        created=int(entry.get("created") or 0),
        tasks=_texts(entry.get("tasks")),
        knows=known_fields(entry),
        max_input_images=int(entry.get("max_input_images") or 0),
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
