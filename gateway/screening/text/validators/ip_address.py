"""IP addresses (RFC 4291, RFC 791), less those that are nobody's: documentation, loopback, masks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate

_NOBODYS: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "127.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # RFC 1122, RFC 5737
        "224.0.0.0/4", "240.0.0.0/4",  # multicast, reserved and masks (RFC 5771, RFC 1112)
        "::/127", "2001:db8::/32", "3fff::/20", "ff00::/8",  # RFC 4291, RFC 3849, RFC 9637
    )
)  # fmt: skip
_WELL_KNOWN: Final = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"})
"""Public resolvers, printed on T-shirts."""
_VERSION: Final = re.compile(r"(?i)(?:\bv|\bver\.?|\bversion|\brelease|\bbuild|\bfirmware|\bsection|§|\bchapter)\s*$")
VERSION_CHARS: Final = 12


def ip_address(candidate: Candidate) -> Sequence[Accepted]:
    """An address that may belong to somebody; "version 1.2.3.4" is none."""
    if _VERSION.search(candidate.before(VERSION_CHARS)):
        return ()
    try:
        address = ipaddress.ip_address(candidate.value)
    except ValueError:
        return ()
    if str(address) in _WELL_KNOWN or any(address in network for network in _NOBODYS):
        return ()
    if address.version == 4 and max(address.packed) < 10:
        return ()  # 1.2.3.4 is a version, a chapter or a joke
    if address.version == 6 and len(set(candidate.value) - {":"}) < 3 and "::" not in candidate.value:
        return ()
    return (Accepted(candidate.start, candidate.end, str(address)),)
