"""Pictures that were asked for by address: for their owner, for an hour, unreadable on disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.exchange import ActorId, Picture
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from gateway.storage.shelf import Shelf

ALICE, BOB = ActorId("c|alice"), ActorId("c|bob")
PICTURE = Picture(index=0, data=b"\x89PNG canary quokka", media_type="image/png", width=1, height=1, sha256="")


class Clock:
    now = datetime(2026, 11, 22, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def shelf(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite")
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    clock = Clock()
    made = Shelf(tmp_path / "pictures", database, clock)
    made.clock = clock  # type: ignore[attr-defined]
    yield made
    await database.aclose()


async def test_the_owner_gets_it_back_and_nobody_else(shelf):
    picture_id = await shelf.put(PICTURE, ALICE)
    assert (await shelf.get(picture_id, ALICE)).data == PICTURE.data
    assert await shelf.get(picture_id, BOB) is None
    assert await shelf.get("0" * 32, ALICE) is None


async def test_after_an_hour_it_is_gone_and_the_sweep_takes_key_and_file(shelf, tmp_path):
    picture_id = await shelf.put(PICTURE, ALICE)
    shelf.clock.now += timedelta(minutes=60)
    assert await shelf.get(picture_id, ALICE) is None
    assert await shelf.sweep() == 1
    assert list((tmp_path / "pictures").iterdir()) == []
    assert await shelf.sweep() == 0


async def test_the_file_shows_nothing_and_is_ours_alone(shelf, tmp_path):
    picture_id = await shelf.put(PICTURE, ALICE)
    path = tmp_path / "pictures" / picture_id
    assert b"quokka" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


async def test_a_file_that_was_moved_in_from_another_picture_is_not_served(shelf, tmp_path):
    one, two = await shelf.put(PICTURE, ALICE), await shelf.put(PICTURE, BOB)
    (tmp_path / "pictures" / one).write_bytes((tmp_path / "pictures" / two).read_bytes())
    with pytest.raises(Exception, match=r"^$"):  # InvalidTag says nothing
        await shelf.get(one, ALICE)
