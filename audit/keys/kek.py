"""The file service under the name it had before there were others. Goes when the last caller opens a key service."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from audit.keys.services.file import KEY_BYTES, NONCE_BYTES, FileKeyService

__all__ = ["KEY_BYTES", "NONCE_BYTES", "FileKek"]


class FileKek(FileKeyService):
    """See ``FileKeyService``."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises ``KeyRefused`` for a missing file, a wrong length, or one that group or others may touch."""
        return cls(path)
