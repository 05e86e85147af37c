"""The pipeline's door: what can't be marked does not leave, and what leaves is remembered first."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import ProvenanceUnavailable
from gateway.exchange import Picture
from gateway.provenance.certificates import CHAIN_NAME, KEY_NAME, load
from gateway.provenance.credentials import Signer, State, Statement, Verifier
from gateway.provenance.marking import Marking
from gateway.provenance.register import Register
from gateway.provenance.release import Releaser
from gateway.provenance.watermark import Watermark
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from tests.unit.provenance.pictures import encoded, made

STATEMENT = Statement(record_id="01a20320-a200-7213-8e45-855782a7aab8", model="m", policy_revision="r")
DATA = encoded(made("texture", 3, 128), "PNG")
MARK = Watermark(b"a secret of at least 32 bytes, for tests")


def a_picture(data: bytes = DATA, media_type: str = "image/png", index: int = 1) -> Picture:
    return Picture(index=index, data=data, media_type=media_type, width=128, height=128, sha256="of before")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'gateway.sqlite'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.aclose()


@pytest.fixture
def register(database: Database) -> Register:
    return Register(database, lambda: datetime.now(UTC))


async def test_a_picture_leaves_marked_signed_and_remembered(
    register: Register, signer: Signer, verifier: Verifier
) -> None:
    marking = Marking(Releaser(MARK, signer), register)
    one = await marking.mark(a_picture(), STATEMENT)
    assert one.sha256 == hashlib.sha256(one.data).hexdigest() != "of before"
    assert verifier.read(one.data, one.media_type).state is State.TRUSTED
    assert one.marks is not None
    assert one.marks.certificate == signer.current().fingerprint
    assert one.marks.handle is not None
    (known,) = await register.by_handle(one.marks.handle)
    assert (known.record_id, known.model) == (STATEMENT.record_id, "m")
    marking.close()


@pytest.mark.parametrize(
    "broken",
    [a_picture(b"no picture at all"), a_picture(DATA[:200]), a_picture(media_type="image/gif")],
    ids=["noise", "cut off", "another type"],
)
async def test_what_cannot_be_marked_stays(register: Register, signer: Signer, broken: Picture) -> None:
    marking = Marking(Releaser(MARK, signer), register)
    with pytest.raises(ProvenanceUnavailable, match="may not leave"):
        await marking.mark(broken, STATEMENT)
    assert await register.by_record(STATEMENT.record_id) == []
    marking.close()


async def test_an_ended_certificate_marks_nothing(register: Register, certificate_set: Path) -> None:
    now = datetime.now(UTC)
    signer = Signer([load(certificate_set / CHAIN_NAME, certificate_set / KEY_NAME)], lambda: now)
    marking = Marking(Releaser(MARK, signer), register)
    now = datetime(2199, 1, 1, tzinfo=UTC)
    with pytest.raises(ProvenanceUnavailable):
        await marking.mark(a_picture(), STATEMENT)
    marking.close()


async def test_what_cannot_be_remembered_stays(database: Database, register: Register, signer: Signer) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    marking = Marking(Releaser(MARK, signer), register)
    with pytest.raises(SQLAlchemyError):
        await marking.mark(a_picture(), STATEMENT)
    marking.close()
