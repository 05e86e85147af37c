"""What takes records: promises, and the rule for addresses that all sinks share."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Protocol

from audit.export.record import ExportRecord


class Sink(Protocol):
    """A receiver of records."""

    async def send(self, records: Sequence[ExportRecord]) -> None:
        """Hand over records, in order; returns when the receiver has them, as far as its protocol can tell.

        Sending the same records again must be safe: they carry the same ``uid``. Raises ``SinkUnavailable`` (try
        again) or ``SinkRefused`` (a person must look); some of the records may have arrived then.
        """
        ...

    async def aclose(self) -> None:
        """Give up the connection. Safe to repeat; never raises."""
        ...


def is_loopback(host: str) -> bool:
    """Does a host name mean this machine? Only names that no resolver outside it can answer count."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
