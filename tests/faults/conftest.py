"""One gateway for all tests of failures; each has its own image server to break."""

from __future__ import annotations

import pytest

from demo.stack import Stack
from tests.support.image_server import OURS, ImageServerDouble
from tests.support.patience import UNHURRIED


@pytest.fixture(scope="session")
def crew(tmp_path_factory):
    """The real provider and gateway; the image server's place is left to a double."""
    with Stack(tmp_path_factory.mktemp("faults"), say=lambda _: None, with_model=False, settings=UNHURRIED) as running:
        yield running


@pytest.fixture
async def server(crew):
    async with ImageServerDouble(crew.model_port) as running:
        # Always the same list: the gateway remembers it for a while, from one test to the next.
        running.listing = OURS
        yield running
