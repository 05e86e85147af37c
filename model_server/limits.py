"""How much the engine and the HTTP side take on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

BEGUN_PICTURES: Final = 64
"""Pictures that may be in the making at once, in a step or set aside for a shorter one."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """The operator's bounds; what was measured on the device may set narrower ones."""

    queue_limit: int = 64
    """Requests that may wait; one more is refused."""
    max_batch: int = 16
    """Pictures in one step at most; measured throughput and memory may say fewer."""
    batching: Literal["mixed", "fixed"] = "mixed"
    """fixed: each step is padded to `max_batch` pictures, so that a picture is the same to the bit in any company."""
    memory_share: float = 0.92
    """Share of the card's memory that may be used."""
    profile_seconds: float = 20.0
    """Time for measuring each model at warm-up."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How much of a body is read, and for how long."""

    max_json_bytes: int = 1 << 20
    max_upload_bytes: int = 128_000_000
    memory_bytes: int = 512_000_000
    """Of all bodies together that are held at once."""
    idle_seconds: float = 15.0
    """Longest silence in the middle of a body."""
    total_seconds: float = 120.0
    max_pixels: int = 40_000_000
    """Of one picture in a body."""
