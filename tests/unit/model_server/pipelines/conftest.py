"""Fixtures over the tiny families."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run's tiny families lie."""
    return tmp_path_factory.getbasetemp()
