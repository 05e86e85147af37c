"""CPU time of screening, one prompt after another."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gateway.screening.facade import Screening


async def cpu_ms(screening: Screening, texts: Sequence[str]) -> list[float]:
    """Milliseconds of CPU for each text, rising."""
    times = []
    for text in texts:
        start = time.process_time()
        await screening.screen_prompt(text)
        times.append((time.process_time() - start) * 1_000)
    return sorted(times)
