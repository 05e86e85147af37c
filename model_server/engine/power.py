"""How much of the device's power the steps use: operations counted, beside what the device does at best."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from model_server.observe import Metrics

_PEAK_SIDE: Final = {"cpu": 512, "cuda": 8192}
"""Side of the square matrices whose bf16 product shows what the device can do at best."""


class PowerBook:
    """Operations of one picture's step, by group. Used by the engine's thread alone."""

    def __init__(self, device: str, metrics: Metrics) -> None:
        self._device = device
        self._metrics = metrics
        self._flops: dict[Hashable, int] = {}
        self._peak = 0.0

    @contextmanager
    def counting(self, group: Hashable) -> Iterator[None]:
        """Around one step of one picture."""
        if not self._peak:
            self._peak = peak_flops(self._device)
        with FlopCounterMode(display=False) as counter:
            yield
        self._flops[group] = int(counter.get_total_flops())

    def after(self, group: Hashable, pictures: int, seconds: float) -> None:
        """A step of so many pictures took so long."""
        if self._peak and seconds > 0:
            self._metrics.share_of_peak.set(self._flops.get(group, 0) * pictures / seconds / self._peak)


def peak_flops(device: str) -> float:
    """Floating point operations a second of a large bf16 matrix product, the best of three."""
    kind = torch.device(device).type
    side = _PEAK_SIDE.get(kind, _PEAK_SIDE["cpu"])
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)

    def once() -> float:
        began = time.perf_counter()
        a @ a
        if kind == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    once()
    return float(2 * side**3 / min(once() for _ in range(3)))
