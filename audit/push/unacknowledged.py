"""How many bytes of a TCP connection the other machine has not acknowledged yet."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Protocol


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


def unacknowledged_bytes(connection: _HasDescriptor) -> int:
    """Bytes in the kernel's send queue, sent or not, that lack an acknowledgement (``SIOCOUTQ``, Linux ``tcp(7)``).

    0 where the kernel cannot be asked: whoever calls then knows only what they handed over.
    """
    try:
        # SIOCOUTQ and TIOCOUTQ are one number on Linux.
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])
