"""The categories that policy wants looked for in pictures: `gateway/config/pictures/data.yaml`, read as it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from gateway.exchange import Stage

FILE: Final = Path("gateway/config/pictures/data.yaml")


class Required:
    """`required` of the policy's data, by stage. A bundle without the file requires nothing.

    A file that can't be understood raises ValueError at each look: nobody knows then what it requires.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._stamp: tuple[int, int, int] = (0, 0, 0)
        self._categories: dict[str, tuple[str, ...]] = {}

    def of(self, stage: Stage) -> tuple[str, ...]:
        """The categories for uploads or outputs."""
        try:
            about = self._path.stat()
        except FileNotFoundError:
            return ()
        stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
        if stamp != self._stamp:
            self._categories = _read(self._path.read_text("utf-8"))
            self._stamp = stamp
        return self._categories.get(stage, ())


def _read(text: str) -> dict[str, tuple[str, ...]]:
    try:
        required = yaml.safe_load(text)["required"]
        return {str(stage): tuple(str(name) for name in names) for stage, names in required.items()}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{FILE}: `required` can't be read: {type(error).__name__}") from None
