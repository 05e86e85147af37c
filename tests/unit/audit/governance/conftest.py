"""What the tests of governance share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.governed import Governed


@pytest.fixture
def governed(tmp_path: Path) -> Governed:
    return Governed(tmp_path)
