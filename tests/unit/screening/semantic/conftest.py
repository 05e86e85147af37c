"""The reader that ships, loaded once for the process."""

from __future__ import annotations

import pytest

from gateway.screening.semantic.reader import Reader, shared_reader


@pytest.fixture(scope="session")
def reader() -> Reader:
    return shared_reader()
