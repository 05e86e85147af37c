"""OPA servers tell how they are (`POST /status`, OPA's status API); who lags behind the rules in force is counted.

https://www.openpolicyagent.org/docs/management-status. A report is a claim of whoever holds the servers' token: it
raises alarms and decides nothing. What decides is the revision beside each answer (`opa`).
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from gateway.policy.revisions import Revisions, Standing

MAX_SERVERS: Final = 1_000
FORGET_AFTER: Final = timedelta(minutes=10)
"""A server that says nothing for so long is gone, as pods go. OPA reports every half minute at the latest."""
MAX_NAME: Final = 128

_log = logging.getLogger(__name__)


class State(StrEnum):
    """How a server stands; what `/metrics` counts by."""

    CURRENT = "current"
    FOLLOWING = "following"
    """Behind, and not longer than it may be."""
    LAGGING = "lagging"
    FAILING = "failing"
    """It could not fetch, verify or activate the newest bundle."""
    UNKNOWN = "unknown"
    """It runs rules that we did not hand out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One OPA server, as it last described itself."""

    id: str
    revision: str
    version: str
    error: str
    """OPA's own code for what went wrong with the bundle; empty when nothing did."""
    seen_at: datetime
    state: State


class Fleet:
    """The servers that reported. Touched by the event loop's thread only."""

    def __init__(self, name: str, *, clock: Callable[[], datetime], revisions: Revisions, lag_after: timedelta) -> None:
        self._name = name
        self._clock = clock
        self._revisions = revisions
        self._lag_after = lag_after
        self._servers: OrderedDict[str, Server] = OrderedDict()

    def report(self, document: object) -> Server:
        """Take a report. Raises ValueError, saying what is missing, for what is none."""
        told = _mapping(document, "the report")
        labels = _mapping(told.get("labels"), "labels")
        bundles = told.get("bundles") or {}  # a server that has not fetched anything yet sends none
        bundle = _mapping(_mapping(bundles, "bundles").get(self._name) or {}, f"bundles.{self._name}")
        id = _text(labels.get("id"))
        if not id:
            raise ValueError("labels.id: expected the server's id")
        code = _text(bundle.get("code")) or ("bundle_errors" if bundle.get("errors") else "")
        before = self._servers.get(id)
        server = Server(
            id=id,
            revision=_text(bundle.get("active_revision")),
            version=_text(labels.get("version")),
            error=code,
            seen_at=self._clock(),
            state=before.state if before is not None else State.CURRENT,
        )
        self._servers[id] = server
        self._servers.move_to_end(id)
        if len(self._servers) > MAX_SERVERS:
            self._servers.popitem(last=False)
        return next(s for s in self.servers() if s.id == id)

    def servers(self) -> tuple[Server, ...]:
        """All that reported lately, as they stand now."""
        now = self._clock()
        for id, server in list(self._servers.items()):
            if now - server.seen_at > FORGET_AFTER:
                del self._servers[id]
                continue
            state = self._state(server)
            if state is not server.state:
                self._servers[id] = replace(server, state=state)
                fields = {"server": id, "revision": server.revision, "state": state.value, "code": server.error}
                is_well = state in (State.CURRENT, State.FOLLOWING)
                _log.log(logging.INFO if is_well else logging.WARNING, "policy.server", extra={"fields": fields})
        return tuple(self._servers.values())

    def figures(self) -> Mapping[str, int]:
        """How many servers stand how; every state is there."""
        counted = Counter(server.state for server in self.servers())
        return {state.value: counted[state] for state in State}

    def longest_lag_seconds(self) -> float:
        """How long the server that is furthest behind has been so."""
        return max((self._revisions.behind_seconds(server.revision) for server in self.servers()), default=0.0)

    def _state(self, server: Server) -> State:
        if server.error:
            return State.FAILING
        standing = self._revisions.standing(server.revision)
        if standing is Standing.CURRENT:
            return State.CURRENT
        if standing is Standing.UNKNOWN:
            return State.UNKNOWN
        behind = timedelta(seconds=self._revisions.behind_seconds(server.revision))
        return State.FOLLOWING if behind <= self._lag_after else State.LAGGING


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what}: expected an object")
    return value


def _text(value: object) -> str:
    """Printable, short text, or nothing: it goes into log lines."""
    text = value if isinstance(value, str) else ""
    return "".join(c for c in text[:MAX_NAME] if c.isprintable())
