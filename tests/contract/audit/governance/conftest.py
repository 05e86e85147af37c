"""The same tests over both databases that the governance tables live in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.migrations.migrate import upgrade
from tests.support.governed import Governed
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def governance_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def governed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Governed]:
    if request.param == "sqlite":
        yield Governed(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("governance_server")
    name = server.create_database(server.template("governance_template", _upgrade))
    try:
        yield Governed(tmp_path, server.url(name))
    finally:
        server.drop_database(name)


def _upgrade(url: str) -> None:
    upgrade(url)
