from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.identity import Identity
from gateway.identity.api_keys import ApiKeys
from gateway.settings import ClaimProfile, IdentitySettings, Provider
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from gateway.vocabulary import Role
from tests.support import forge
from tests.support.issuer import CLIENT_SECRET, Issuer, running_issuer
from tests.support.moment import Moment
from tests.support.visit import Visit

PUBLIC_URL = "https://imprimatur.example"


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'gateway.sqlite'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.aclose()


@pytest.fixture(scope="session")
def listening_issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(listening_issuer: Issuer, moment: Moment) -> Issuer:
    listening_issuer.forget()
    listening_issuer.now = lambda: moment().timestamp()
    return listening_issuer


@pytest.fixture
def settings(tmp_path: Path, issuer: Issuer) -> IdentitySettings:
    (tmp_path / "identity.key").write_bytes(b"k" * 32)
    (tmp_path / "client.secret").write_text(CLIENT_SECRET)
    provider = Provider(
        name="company",
        label="The Company",
        issuer=issuer.url,
        client_id=forge.CLIENT_ID,
        client_secret_path=tmp_path / "client.secret",
        access_token_audience=forge.RESOURCE,
        profile=ClaimProfile(mfa_amr_two_distinct_of=("pwd", "otp"), trusts_auth_time=True),
    )
    return IdentitySettings(
        providers=(provider,),
        roles={
            "staff": (Role.EMPLOYEE,),
            "compliance": (Role.AUDITOR,),
            "platform": (Role.ADMIN,),
        },
        secret_path=tmp_path / "identity.key",
    )


@pytest.fixture
async def identity(settings: IdentitySettings, database: Database, moment: Moment) -> AsyncIterator[Identity]:
    identity = Identity(settings, PUBLIC_URL, database, moment)
    yield identity
    await identity.aclose()


@pytest.fixture
def visit(identity: Identity, issuer: Issuer) -> Visit:
    return Visit(identity, issuer)


@pytest.fixture
def api_keys(database: Database, moment: Moment) -> ApiKeys:
    return ApiKeys(database, b"pepper" * 6, moment)
