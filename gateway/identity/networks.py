"""Lists of networks that a key or a service may come from, in CIDR notation (RFC 4632, RFC 4291 section 2.3).

An empty list means: from anywhere that policy lets in. An address that can't be read is in no network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.errors import InvalidRequest

MAX_NETWORKS: Final = 20

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAPPED: Final = ipaddress.ip_network("::ffff:0:0/96")


def parse_networks(texts: Sequence[str], param: str = "networks") -> tuple[str, ...]:
    """The list as it is stored: each in its one canonical form, sorted, none twice. Raises InvalidRequest that says
    which entry, what is wrong with it, and what was probably meant."""
    wanted = [text.strip() for text in texts if text.strip()]
    if len(wanted) > MAX_NETWORKS:
        raise InvalidRequest(f"Name at most {MAX_NETWORKS} networks; these are {len(wanted)}.", param=param)
    found = {_parse(text, param) for text in wanted}
    return tuple(str(network) for network in sorted(found, key=lambda n: (n.version, n)))


def contains(networks: Iterable[str], ip: str) -> bool:
    """Whether a request from `ip` comes out of one of them, or there are none to come out of."""
    listed = [ipaddress.ip_network(text) for text in networks]
    if not listed:
        return True
    address = _address(ip)
    return address is not None and any(address in network for network in listed)


def is_within(narrow: Sequence[str], wide: Sequence[str]) -> bool:
    """Whether the first list lets in nobody whom the second does not."""
    if not wide:
        return True
    if not narrow:
        return False
    outer = [ipaddress.ip_network(text) for text in wide]
    return all(any(_is_inside(ipaddress.ip_network(text), other) for other in outer) for text in narrow)


def _is_inside(network: Network, other: Network) -> bool:
    if isinstance(network, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and network.subnet_of(other)
    return isinstance(other, ipaddress.IPv6Network) and network.subnet_of(other)


def _address(ip: str) -> Address | None:
    """A dual-stack socket shows IPv4 callers as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2): the same caller, one answer."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def _parse(text: str, param: str) -> Network:
    shown = text[:60] if text.isprintable() else "one of the entries"
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise InvalidRequest(
                f"{shown} is no network. Write an address or a range, such as 10.20.0.0/16, 192.0.2.7 or "
                "2001:db8:5::/48.",
                param=param,
            ) from None
        raise InvalidRequest(
            f"{shown} has bits set behind its prefix. Did you mean {meant}, or the one address {text.split('/')[0]}?",
            param=param,
        ) from None
    if network.prefixlen == 0:
        raise InvalidRequest(
            f"{shown} is every address there is. To allow them all, leave the list empty.", param=param
        )
    if isinstance(network, ipaddress.IPv6Network):
        if network.network_address.scope_id is not None:
            raise InvalidRequest(
                f"{shown} names an interface of one machine. Leave the part from % on away.", param=param
            )
        if network.overlaps(_MAPPED):
            raise InvalidRequest(f"{shown} stands for IPv4 addresses. Write them as IPv4.", param=param)
    return network
