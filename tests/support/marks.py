"""Settings of a gateway that makes its own certificate set and watermark secret, as a trial does."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def own_marks(state: Path) -> dict[str, Any]:
    """The section `provenance`, everything below `state`."""
    return {
        "directory": state / "provenance",
        "watermark_secret_path": state / "watermark.key",
        "create_keys": True,
    }
