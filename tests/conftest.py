"""What all tests share: no network beyond this machine, and one running stack for the journeys."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

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


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that uses the one stack runs in one worker, beside the unit tests in the other."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("stack"))


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
