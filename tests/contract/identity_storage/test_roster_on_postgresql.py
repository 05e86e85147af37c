"""Shutting people out, on the other database: the same tests as in `tests/unit/identity`."""

from __future__ import annotations

import pytest

from tests.unit.identity.test_roster import *  # noqa: F403

pytestmark = pytest.mark.xdist_group("identity-storage")
