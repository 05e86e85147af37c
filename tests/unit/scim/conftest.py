from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.identity import Identity
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from tests.support.directory import Directory, with_scim
from tests.support.moment import Moment
from tests.support.visit import Visit
from tests.unit.identity.conftest import PUBLIC_URL, database, issuer, listening_issuer, moment
from tests.unit.identity.conftest import settings as plain_settings

__all__ = ["database", "issuer", "listening_issuer", "moment", "plain_settings"]


@pytest.fixture
def scim() -> dict[str, Any]:
    """The provider's `scim` settings; a test that wants others overrides it."""
    return {}


@pytest.fixture
def settings(plain_settings: IdentitySettings, tmp_path: Path, scim: dict[str, Any]) -> IdentitySettings:
    return with_scim(plain_settings, tmp_path, **scim)


@pytest.fixture
async def identity(settings: IdentitySettings, database: Database, moment: Moment) -> AsyncIterator[Identity]:
    identity = Identity(settings, PUBLIC_URL, database, moment)
    yield identity
    await identity.aclose()


@pytest.fixture
def directory(settings: IdentitySettings, identity: Identity, database: Database, moment: Moment) -> Directory:
    return Directory(settings, identity, database, moment)


@pytest.fixture
def visit(identity: Identity, issuer: Any) -> Visit:
    return Visit(identity, issuer)
