"""Guessing slowed down, in a way that can't be used to lock anybody out.

A good credential always passes: it is judged first, and only what was refused can be told to wait. So flooding us from
a shared address, or about somebody's account, costs the others there nothing (OWASP Authentication Cheat Sheet, account
lockout; NIST SP 800-63B-4, 3.2.2).

- **refused credentials**, a network: after so many in a minute the answer is 429 instead of 401, with a wait that
  doubles as long as it goes on, and one record when it begins instead of one each;
- **refused sign-ins**, an account from one network: the same for that pair. The account from elsewhere, and others from
  there, are other pairs;
- **sign-ins begun**, a network: a bucket. A browser in which somebody signed in before is not counted (device cookies:
  OWASP, Slow Down Online Guessing Attacks with Device Cookies).

A network is an IPv4 address or an IPv6 /64, which is what one customer gets (RFC 6177). Counted in this process; each
replica counts for itself. Memory is bounded: the longest quiet are forgotten first.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.errors import RateLimited
from gateway.settings import ThrottleSettings

REMEMBERED: Final = 10_000
WINDOW_SECONDS: Final = 60.0
CALM_SECONDS: Final = 600.0
"""So long without a refusal, and the next wait is the first again."""


@dataclass(slots=True)
class _Count:
    refusals: int = 0
    since: float = 0.0
    waits: int = 0
    until: float = 0.0
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody has to wait. `begins`: this refusal started it, so it is worth a record."""

    seconds: float
    begins: bool

    def error(self) -> RateLimited:
        return RateLimited(
            "Too many refused attempts from your network. A good key or a good sign-in still works; "
            f"for anything else, try again in {max(1, round(self.seconds))} s.",
            retry_after_seconds=self.seconds,
        )


class Throttle:
    """Counts. Touched by the event loop's thread only."""

    def __init__(self, settings: ThrottleSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now = now
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def begin(self, ip: str, *, is_known: bool) -> None:
        """A sign-in begins. Raises RateLimited when too many did from there, unless the browser `is_known`."""
        if is_known:
            return
        network, size, now = network_of(ip), float(self._settings.network_per_minute), self._now()
        tokens, at = self._buckets.get(network, (size, now))
        tokens = min(size, tokens + (now - at) * size / 60)
        self._buckets[network] = (max(0.0, tokens - 1), now)
        self._buckets.move_to_end(network)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if tokens < 1:
            seconds = (1 - tokens) * 60 / size
            raise RateLimited(
                f"Very many sign-ins were begun from your network. Try again in {max(1, round(seconds))} s.",
                retry_after_seconds=seconds,
            )

    def credential_refused(self, ip: str) -> Wait | None:
        """A credential from there was not good. Returns the wait, if it has to."""
        return self._refused((network_of(ip), ""), self._settings.refusals_per_minute)

    def sign_in_refused(self, ip: str, account: str) -> Wait | None:
        """An answer of a provider was not good. `account` is whose it was, "" when it proves nobody."""
        network = network_of(ip)
        waits = [self._refused((network, ""), self._settings.refusals_per_minute)]
        if account:
            waits.append(self._refused((network, account), self._settings.account_refusals))
        found = [wait for wait in waits if wait is not None]
        return max(found, key=lambda wait: wait.seconds) if found else None

    def _refused(self, who: tuple[str, str], allowed: int) -> Wait | None:
        now = self._now()
        count = self._counts.setdefault(who, _Count(since=now))
        self._counts.move_to_end(who)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        if count.last and now - max(count.last, count.until) >= CALM_SECONDS:
            count.waits = 0
        count.last = now
        if now < count.until:
            return Wait(count.until - now, begins=False)
        if now - count.since >= WINDOW_SECONDS:
            count.refusals, count.since = 0, now
        count.refusals += 1
        if count.refusals <= allowed:
            return None
        seconds = min(self._settings.wait_seconds * 2.0**count.waits, float(self._settings.longest_wait_seconds))
        count.waits = min(count.waits + 1, 32)
        count.until, count.refusals, count.since = now + seconds, 0, now + seconds
        return Wait(seconds, begins=True)


def network_of(ip: str) -> str:
    """The network that one customer has: the IPv4 address (also when mapped into IPv6), the IPv6 /64."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
