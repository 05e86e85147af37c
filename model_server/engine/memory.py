"""What a step needs of the card's memory, as it was seen, and how many pictures may go together for it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import torch

from model_server.observe import Metrics


class Card(Protocol):
    """The memory of one accelerator, in bytes."""

    @property
    def total_bytes(self) -> int: ...

    def reset_peak(self) -> None:
        """Forget the highest use so far."""

    def peak_bytes(self) -> int:
        """The highest use since then."""

    def release(self) -> None:
        """Give cached blocks back."""

    def wait(self) -> None:
        """Until everything that was asked of it is done."""


class CudaCard:
    """A CUDA device, through torch's own allocator."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self.total_bytes = int(torch.cuda.get_device_properties(self._device).total_memory)

    def reset_peak(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak_bytes(self) -> int:
        return int(torch.cuda.max_memory_allocated(self._device))

    def release(self) -> None:
        torch.cuda.empty_cache()

    def wait(self) -> None:
        torch.cuda.synchronize(self._device)


def card_of(device: str) -> Card | None:
    """The card that a torch device names; None on a CPU, whose memory the operating system looks after."""
    return CudaCard(device) if device.startswith("cuda") else None


class MemoryBook:
    """Peaks by group and batch size. Used by the engine's thread alone."""

    def __init__(self, card: Card | None, share: float, metrics: Metrics) -> None:
        """`share` of the card may be used, 0..1: the rest is for fragmentation and for what is not ours."""
        self._card = card
        self._metrics = metrics
        self._limit = None if card is None else share * card.total_bytes
        self._peaks: dict[Hashable, dict[int, int]] = {}
        self._out_at: dict[Hashable, int] = {}

    def before(self) -> None:
        """A step that will be recorded begins."""
        if self._card is not None:
            self._card.reset_peak()

    def wait(self) -> None:
        """Until the device has done what it was asked to: a card works on while the program does, and a step's time
        read before its end would be the time of asking."""
        if self._card is not None:
            self._card.wait()

    def after(self, group: Hashable, batch: int) -> None:
        """It has ended."""
        if self._card is not None:
            peaks = self._peaks.setdefault(group, {})
            peaks[batch] = max(peaks.get(batch, 0), self._card.peak_bytes())
            self._metrics.memory_peak.set(max(max(seen.values()) for seen in self._peaks.values()))

    def ran_out(self, group: Hashable, batch: int) -> None:
        """A step of so many ran out of memory: never again so many."""
        self._out_at[group] = min(batch, self._out_at.get(group, batch))
        if self._card is not None:
            self._card.release()

    def allowed(self, group: Hashable, wanted: int) -> int:
        """How many of `wanted` pictures may share a step; at least 1, since one must be tried to be known."""
        if group in self._out_at:
            wanted = min(wanted, max(1, self._out_at[group] // 2))
        while wanted > 1 and not self._fits(group, wanted):
            wanted -= 1
        return wanted

    def _fits(self, group: Hashable, batch: int) -> bool:
        peaks = self._peaks.get(group)
        if self._limit is None or not peaks:
            return True
        if batch in peaks:
            return peaks[batch] <= self._limit
        low, high = min(peaks), max(peaks)
        # On a line through the smallest and the largest seen; through 0 when there is one only, which is pessimistic.
        slope = (peaks[high] - peaks[low]) / (high - low) if high > low else peaks[low] / low
        return peaks[low] + slope * (batch - low) <= self._limit
