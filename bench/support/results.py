"""Figures on paper: `bench/results/NAME.json`, {measured, machine, figures}, each figure being {figure, unit, value,
target, more_is_better, met, beside}. docs/reference/figures.md is made of them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number. `target` is the most it may be, or the least where `more_is_better` (None: a figure to know,
    not to judge); `beside` holds the same figure of peers, measured in the same run."""

    figure: str
    unit: str
    value: float
    target: float | None = None
    more_is_better: bool = False
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.more_is_better else self.value <= self.target

    @property
    def verdict(self) -> str:
        """The target and whether it was reached, in words; empty when there is none."""
        if self.target is None:
            return ""
        sign = ">=" if self.more_is_better else "<="
        return f"{sign} {self.target:g} {self.unit}: {'met' if self.met else 'falls short'}"


def write(name: str, figures: Sequence[Figure]) -> Path:
    """Write them down; returns where."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    told = {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": _BEFORE,
        "figures": [asdict(f) | {"met": f.met} for f in figures],
    }
    path.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    return path


def machine() -> str:
    """One line that says what the figures were measured on, and how busy it was with other things."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{cpu}, {cores} cores, Python {platform.python_version()}, load average {load:.1f} before the run"


_BEFORE = machine()
