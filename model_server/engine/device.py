"""What the engine knows of the device that it owns: its bounds, and what the steps taught."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from model_server.engine.memory import MemoryBook, card_of
from model_server.engine.pace import PaceBook
from model_server.engine.power import PowerBook
from model_server.engine.work import AnyModel
from model_server.errors import ModelRefused
from model_server.limits import EngineLimits
from model_server.observe import Metrics


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


def of_one_device(models: Mapping[str, AnyModel]) -> Mapping[str, AnyModel]:
    """The models, not to be changed. Raises ModelRefused when there are none, or when they lie on several devices."""
    if not models:
        raise ModelRefused("an engine needs a model")
    devices = sorted({model.capabilities.device for model in models.values()})
    if len(devices) > 1:  # its books of memory and pace are of one device
        raise ModelRefused(
            f"the models lie on {', '.join(devices)}; one process serves one device, so start one for each"
        )
    return MappingProxyType(dict(models))
