"""What the engine knows of the device that it owns: its bounds, and what the steps taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from model_server.limits import EngineLimits
from model_server.memory import MemoryBook, card_of
from model_server.observe import Metrics
from model_server.pace import PaceBook
from model_server.power import PowerBook


@dataclass(frozen=True, slots=True)
class Device:
    """The books of one device. Written by the engine's thread; paces are read by any."""

    limits: EngineLimits
    memory: MemoryBook
    power: PowerBook
    paces: PaceBook

    @classmethod
    def of(cls, name: str, limits: EngineLimits, metrics: Metrics) -> Self:
        """Empty books for a torch device: cpu, cuda:1."""
        memory = MemoryBook(card_of(name), limits.memory_share, metrics)
        return cls(limits, memory, PowerBook(name, metrics), PaceBook(limits, memory))
