"""Fixtures over the tiny families."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.model_server.pipelines.families import saved


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run's tiny families lie."""
    return tmp_path_factory.getbasetemp()


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies of families that a test may spoil."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(saved(name, root), tmp_path / name))

    return copy
