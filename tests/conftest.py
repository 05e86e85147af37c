"""What all tests share: no network beyond this machine, and one running stack for the journeys."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.stack import Stack
from tests.support.patience import UNHURRIED

_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: object) -> None:
    """A test that reaches out tells something to somebody, and fails where there is no network."""
    if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
        host = str(address[0])
        try:
            allowed = ipaddress.ip_address(host).is_loopback
        except ValueError:
            allowed = host == "localhost"
        if not allowed:
            raise RuntimeError(f"tests talk to this machine only, not to {host}")
    _connect(self, address)  # type: ignore[arg-type]


socket.socket.connect = _loopback_only  # type: ignore[method-assign]


ONE_WORKER = {"stack": "stack", "preview": "pages"}
"""Fixtures of the whole run that take many processes and much memory, and the group of the tests that use them."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that uses the one stack runs in one worker, beside the unit tests in the other; so do the tests of a
    module that share something, or each worker would make it again."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            used = [group for name, group in ONE_WORKER.items() if name in getattr(item, "fixturenames", ())]
            group = used[0] if used else _shared_in_module(item)
            if group:
                item.add_marker(pytest.mark.xdist_group(group))


def _shared_in_module(item: pytest.Item) -> str:
    """A name for what this test shares with others of its module, each parameter of that by itself; else empty."""
    found = getattr(item, "_fixtureinfo", None)
    call = getattr(item, "callspec", None)
    names = sorted(
        name
        for name, made in (found.name2fixturedefs if found else {}).items()
        if made[-1].scope == "module" and not name.startswith("_")  # the runner of a loop costs nothing
    )
    which = [str(call.indices[name]) for name in names if call is not None and name in call.indices]
    return " ".join((item.nodeid.partition("::")[0], *which)) if names else ""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> Generator[None, None, None]:
    """Tell xdist the groups, as `…::test@group`, while it asks for the ids. Its own way, up to 3.8, is to set
    `_nodeid`, which pytest does not read any more, from 9.2 on: groups would silently be spread over all workers."""
    before: list[tuple[Any, Any]] = []
    if getattr(session.config.option, "loadgroup", False):
        found: list[Any] = list(session.items)
        for item in found:
            group = "_".join(sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")}))
            if group and not item.nodeid.endswith(f"@{group}"):
                before.append((item, item._id))
                item._id = type(item._id).parse(f"{item.nodeid}@{group}")
    try:
        return (yield)
    finally:
        for item, id in before:
            item._id = id


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A program run inside a test sends the process's log to a stream that ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real provider, model server and gateway, started once."""
    with Stack(tmp_path_factory.mktemp("stack"), say=lambda _: None, settings=UNHURRIED) as running:
        yield running


@pytest.fixture(scope="session")
def screenshot_dir() -> Path:
    """Kept after the run, to be looked at by whoever changed a page."""
    path = Path("artifacts/screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path
