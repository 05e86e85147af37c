"""The shipped rules, loaded once, and a screening over them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.screening.facade import Screening
from gateway.screening.rules.ruleset import RuleSet, load

ROOT = Path(__file__).resolve().parents[3]
POLICIES = ROOT / "policies"
VECTORS = ROOT / "tests" / "vectors" / "screening"
SECRET = bytes(range(32))


@pytest.fixture(scope="session")
def shipped() -> RuleSet:
    return load(POLICIES)


@pytest.fixture(scope="session")
def policies() -> Path:
    return POLICIES


@pytest.fixture(scope="session")
def vectors() -> Path:
    return VECTORS


@pytest.fixture(scope="session")
def screening() -> Iterator[Screening]:
    made = Screening(directory=POLICIES, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=30)
    yield made
    asyncio.run(made.aclose())
