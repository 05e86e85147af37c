"""Ways to change a model's folder, and code that would tell if it were ever run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model_server.manifest import write_manifest

CANARY = """
import pathlib
pathlib.Path({marker!r}).write_text("ran")
from diffusers import {base}
class Evil({base}): pass
"""


def change_json(folder: Path, name: str, **changes: Any) -> None:
    """Set keys of one of its files of settings, and list the digests anew."""
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    write_manifest(folder)


def put_canary(path: Path, base: str) -> Path:
    """Code of that class's kind at `path`. Returns the file that it would write if it ran."""
    marker = path.parent / "ran"
    path.write_text(CANARY.format(marker=str(marker), base=base))
    return marker


class Pickled:
    """Unpickling one of these writes the marker."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self._marker, "ran"))
