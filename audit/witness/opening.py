"""From settings to witnesses. An adapter is imported only where one is chosen: the log itself needs no HTTP client."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from audit.cosignature import WitnessKey
from audit.errors import KeyRefused
from audit.witness.board import Posting
from audit.witness.settings import HttpWitnessSettings, TimestampWitnessSettings


def open_witnesses(chosen: Sequence[HttpWitnessSettings | TimestampWitnessSettings]) -> list[Posting]:
    """The witnesses, not asked yet. Raises ``ValueError`` for a wrong address, ``OSError`` for an unreadable file, and
    ``KeyRefused`` naming the package that is not installed."""
    return [_posting(settings) for settings in chosen]


def _posting(settings: HttpWitnessSettings | TimestampWitnessSettings) -> Posting:
    shared: dict[str, Any] = {"ca_file": settings.ca_file, "total_seconds": settings.timeout_seconds}
    if isinstance(settings, HttpWitnessSettings):
        adapter: Any = import_module("audit.witness.http")
        key = WitnessKey.parse(settings.key)
        return Posting(witness=adapter.HttpWitness(settings.name, settings.url, key, **shared))
    try:
        adapter = import_module("audit.witness.rfc3161")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rfc3161_client":
            raise
        raise KeyRefused(
            f"witness {settings.name} needs a package that is not installed: "
            "pip install 'imprimatur-gateway[audit-timestamps]'"
        ) from None
    witness = adapter.TimestampWitness(settings.name, settings.url, settings.roots, **shared)
    return Posting(witness=witness, interval_seconds=settings.interval_seconds)
