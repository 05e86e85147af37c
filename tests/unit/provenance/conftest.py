"""A certificate set of its own for each test run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.provenance.certificates import CHAIN_NAME, KEY_NAME, ROOT_NAME, load, make_demonstration_set, read_anchors
from gateway.provenance.credentials import Signer, Verifier


@pytest.fixture(scope="session")
def certificate_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates") / "set"
    make_demonstration_set(folder, datetime.now(UTC))
    return folder


@pytest.fixture(scope="session")
def signer(certificate_set: Path) -> Signer:
    return Signer([load(certificate_set / CHAIN_NAME, certificate_set / KEY_NAME)], lambda: datetime.now(UTC))


@pytest.fixture(scope="session")
def anchors(certificate_set: Path) -> bytes:
    return read_anchors([certificate_set / ROOT_NAME])


@pytest.fixture(scope="session")
def verifier(anchors: bytes) -> Verifier:
    return Verifier(anchors)
