"""From the folder to a signed bundle: tried out, recorded, handed out; and nothing that missed one of these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.policy.bundle import BundleRefused
from gateway.policy.publisher import MAX_WAITING, Published, Publisher
from gateway.policy.revisions import Revisions, Standing
from gateway.policy.signing import SigningKey, make_key, verify
from gateway.policy.tarball import unpack
from tests.support.policy import NOW, UNHURRIED_SECONDS, Told, change, copy_of_shipped, replaced

KEY = SigningKey(make_key(), "policy-1")
LIMITS = "gateway/config/limits/data.yaml"


class Heard:
    """An `on_publish` that remembers, and fails when asked to."""

    def __init__(self) -> None:
        self.bundles: list[Published] = []
        self.error: Exception | None = None

    async def __call__(self, bundle: Published) -> None:
        if self.error is not None:
            raise self.error
        self.bundles.append(bundle)


class Desk:
    def __init__(self, folder: Path, key: SigningKey | None = KEY) -> None:
        self.folder = folder
        self.heard, self.told = Heard(), Told()
        self.revisions = Revisions(lambda: NOW, timedelta(minutes=10))
        self.publisher = Publisher(
            folder,
            clock=lambda: NOW,
            revisions=self.revisions,
            key=key,
            decision_seconds=UNHURRIED_SECONDS,
            reload_seconds=3600,
            trial_seconds=60,
            on_reload=self.told,
            on_publish=self.heard,
        )

    @property
    def current(self) -> Published:
        assert self.publisher.current is not None
        return self.publisher.current

    async def edit(self) -> None:
        """A change of one limit."""
        path = self.folder / LIMITS
        path.write_text(path.read_text() + "# changed\n")
        await self.publisher.reloader.check()


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(copy_of_shipped(tmp_path))
    await made.publisher.start()
    yield made
    await made.publisher.aclose()


async def test_before_it_has_read_the_folder_there_is_nothing_to_hand_out(tmp_path: Path) -> None:
    publisher = Desk(copy_of_shipped(tmp_path)).publisher
    assert await publisher.other_than('"any"', 0) is None
    assert await publisher.other_than("", 1) is None


async def test_the_folder_becomes_a_signed_bundle(desk: Desk) -> None:
    found = verify(unpack(desk.current.body), {"policy-1": KEY.public_pem}, now=NOW)
    assert found.revision == desk.current.revision == desk.publisher.reloader.revision
    assert found.revision.startswith("2026.11.1+")
    assert desk.heard.bundles == [desk.current]
    assert desk.revisions.standing(found.revision) is Standing.CURRENT


async def test_a_change_makes_another_bundle_under_another_tag(desk: Desk) -> None:
    before = desk.current
    await desk.edit()
    assert desk.current.revision != before.revision
    assert desk.current.etag != before.etag
    assert desk.revisions.standing(before.revision) is Standing.PASSING


async def test_replicas_give_the_same_tag_to_the_same_rules(desk: Desk, tmp_path: Path) -> None:
    """Behind one address a server asks another replica each time; it must not load the same rules over and over."""
    other = Desk(copy_of_shipped(tmp_path / "other"))
    await other.publisher.start()
    try:
        assert other.current.etag == desk.current.etag
    finally:
        await other.publisher.aclose()


async def test_rules_that_do_not_pass_their_trial_are_not_handed_out(desk: Desk) -> None:
    before = desk.current
    change(desk.folder, {"gateway/lib/bad.rego": "package gateway.lib\nx := http.send({})\n"})
    await desk.publisher.reloader.check()
    assert desk.current is before
    assert "http.send must not be used" in desk.publisher.reloader.error
    assert [reload.ok for reload in desk.told.reloads] == [True, False]


@pytest.mark.parametrize("who", ["told", "heard"])
async def test_rules_that_can_not_be_recorded_are_not_handed_out(desk: Desk, who: str) -> None:
    before = desk.current
    getattr(desk, who).error = OSError("the disk is full")
    await desk.edit()
    assert desk.current is before
    assert desk.revisions.standing(before.revision) is Standing.CURRENT
    getattr(desk, who).error = None
    await desk.publisher.reloader.check()
    assert desk.current is not before


async def test_without_good_rules_it_does_not_start(tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path)
    change(folder, {".manifest": "{}"})
    with pytest.raises(BundleRefused):
        await Desk(folder).publisher.start()


async def test_without_a_key_it_hands_out_nothing_and_knows_both_names_of_the_folder(tmp_path: Path) -> None:
    desk = Desk(copy_of_shipped(tmp_path), key=None)
    await desk.publisher.start()
    try:
        assert desk.publisher.current is None
        assert desk.heard.bundles == []
        for name in ("2026.11.1", desk.publisher.reloader.revision):
            assert desk.revisions.standing(name) is Standing.CURRENT
        change(desk.folder, replaced(desk.folder, ".manifest", "2026.11.1", "2026.11.2"))
        await desk.publisher.reloader.check()
        assert desk.revisions.standing("2026.11.1") is Standing.PASSING
        assert desk.revisions.standing("2026.11.2") is Standing.CURRENT
    finally:
        await desk.publisher.aclose()


async def test_who_has_another_bundle_gets_this_one_at_once(desk: Desk) -> None:
    assert await desk.publisher.other_than("", 60) is desk.current
    assert await desk.publisher.other_than(desk.current.etag, 0) is None


async def test_a_long_poll_ends_with_the_change_or_with_its_time(desk: Desk) -> None:
    assert await desk.publisher.other_than(desk.current.etag, 0.05) is None
    waiting = [asyncio.create_task(desk.publisher.other_than(desk.current.etag, 60)) for _ in range(3)]
    await asyncio.sleep(0)
    await desk.edit()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 30) == [desk.current] * 3


async def test_more_waiting_than_there_is_room_for_are_answered_at_once(desk: Desk) -> None:
    waiting: list[asyncio.Task[Any]] = [
        asyncio.create_task(desk.publisher.other_than(desk.current.etag, 60)) for _ in range(MAX_WAITING)
    ]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(desk.publisher.other_than(desk.current.etag, 60), 5) is None
    await desk.publisher.aclose()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [None] * MAX_WAITING


async def test_a_waiting_server_that_goes_away_leaves_its_place(desk: Desk) -> None:
    waiting = [asyncio.create_task(desk.publisher.other_than(desk.current.etag, 60)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    one = asyncio.create_task(desk.publisher.other_than(desk.current.etag, 60))
    await asyncio.sleep(0.05)
    assert not one.done()
    one.cancel()
