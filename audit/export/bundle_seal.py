"""The sum over a whole bundle, in the comment at the end of the zip.

A zip has bytes that no reader looks at (times, versions, the last bits of a compressed stream), in which damage would
pass unseen. The sum covers every byte before it, so that none may differ. It finds accidents; whoever changes a bundle
on purpose can compute a new one, and is found by the log's signature.
"""

from __future__ import annotations

import hashlib
import os
from typing import IO, Final

SEAL_LABEL: Final = b"imprimatur-sha256 "
_HEX_CHARACTERS: Final = 64
UNSEALED: Final = SEAL_LABEL + b"0" * _HEX_CHARACTERS  # the zip's comment until the sum is known
_PIECE_BYTES: Final = 1024 * 1024


def seal(file: IO[bytes]) -> None:
    """Put the sum of a finished zip, whose comment is ``UNSEALED``, into its last bytes."""
    length = file.seek(0, os.SEEK_END) - _HEX_CHARACTERS
    digest = _sum(file, length)
    file.seek(length)
    file.write(digest)


def is_sealed(file: IO[bytes]) -> bool:
    """Does the file end with the sum of all before it? Leaves the position at the start."""
    length = file.seek(0, os.SEEK_END) - _HEX_CHARACTERS
    if length < len(SEAL_LABEL):
        return False
    file.seek(length - len(SEAL_LABEL))
    label, found = file.read(len(SEAL_LABEL)), file.read(_HEX_CHARACTERS)
    digest = _sum(file, length)
    file.seek(0)
    return (label, found) == (SEAL_LABEL, digest)


def _sum(file: IO[bytes], length: int) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while length:
        piece = file.read(min(length, _PIECE_BYTES))
        if not piece:
            break
        digest.update(piece)
        length -= len(piece)
    return digest.hexdigest().encode()
