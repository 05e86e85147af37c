"""When the audit log can't be written, or its disk is nearly full: what stops, what goes on, and what people read.

One gateway in this process, whose log has a disk that can be told to fail. docs/explanation/failures.md has the table.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from audit import Entry, Subject
from audit.store.disk import Disk
from demo.idp.browserless import SignInStopped, sign_in
from tests.contract.identity.conftest import House, open_house
from tests.support.idp import PUBLIC_URL

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]

KEY = {"name": "script", "scopes": ["image:generate"], "days": 1}


class FillingDisk(Disk):
    """A disk of the log's that somebody else fills."""

    def __init__(self) -> None:
        self.free = 0.5
        self.is_full = False

    def commit(self, connection: sqlite3.Connection) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().commit(connection)

    def free_fraction(self, folder: Path) -> float:
        return self.free


@asynccontextmanager
async def open_filling(demo_idp: Any, state: Path) -> AsyncIterator[tuple[Any, FillingDisk]]:
    disk = FillingDisk()
    with pytest.MonkeyPatch.context() as patch:
        # The log makes its own disk when it is given none, which is what the gateway does.
        patch.setattr("audit.log.Disk", lambda: disk)
        async with open_house(demo_idp, state) as app:
            yield app, disk


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filling(demo_idp: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Any, FillingDisk]]:
    async with open_filling(demo_idp, tmp_path_factory.mktemp("filling")) as opened:
        yield opened


@pytest.fixture
def disk(filling: tuple[Any, FillingDisk]) -> Iterator[FillingDisk]:
    """As good as new before each test."""
    filling[1].free, filling[1].is_full = 0.5, False
    yield filling[1]
    filling[1].free, filling[1].is_full = 0.5, False


@pytest.fixture
def house(filling: tuple[Any, FillingDisk], demo_idp: Any, disk: FillingDisk) -> House:
    return House(filling[0], demo_idp, datetime.now(UTC))


async def signed_in(house: House, browser: httpx.AsyncClient, name: str) -> dict[str, str]:
    """Headers of an unsafe request of this person's pages."""
    await sign_in(browser, PUBLIC_URL, house.idp.people[name])
    token = (await browser.get("/v1/session")).json()["csrf_token"]
    return {"x-csrf-token": token, "origin": PUBLIC_URL}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def shown(browser: httpx.AsyncClient) -> dict[str, float]:
    lines = (await browser.get("/metrics")).text.splitlines()
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if line.startswith("imprimatur_audit")}


async def test_a_full_disk_stops_pictures_before_anything_happens(house: House, disk: FillingDisk) -> None:
    async with house.browser() as alice:
        unsafe = await signed_in(house, alice, "alice")
        before = (await alice.get("/v1/credits")).json()
        disk.is_full = True
        answer = await alice.post("/v1/images/generations", json={"prompt": "a fox"}, headers=unsafe)
        assert code_of(answer) == (503, "audit_unavailable")
        assert answer.headers["retry-after"]
        assert answer.headers["x-should-retry"] == "true"
        assert (await alice.get("/v1/credits")).json() == before


async def test_a_full_disk_lets_nobody_in_and_says_so_in_words(house: House, disk: FillingDisk) -> None:
    disk.is_full = True
    async with house.browser() as browser:
        with pytest.raises(SignInStopped) as stopped:
            await sign_in(browser, PUBLIC_URL, house.idp.people["alice"])
        assert "503" in str(stopped.value)
        assert (await browser.get("/v1/session")).status_code == 401
    disk.is_full = False
    async with house.browser() as browser:
        await signed_in(house, browser, "alice")


async def test_a_page_says_in_words_what_a_program_reads_as_a_code(house: House, disk: FillingDisk) -> None:
    async with house.browser() as bob:
        await signed_in(house, bob, "bob")
        disk.is_full = True
        page = await bob.get("/audit", headers={"accept": "text/html"})
        assert page.status_code == 503
        assert "Looking at records is itself recorded" in page.text
        assert "Nothing was shown" in page.text


async def test_a_full_disk_makes_no_key_and_ends_one_all_the_same(house: House, disk: FillingDisk) -> None:
    async with house.browser() as alice:
        unsafe = await signed_in(house, alice, "alice")
        key = (await alice.post("/v1/keys", json=KEY, headers=unsafe)).json()
        number = len((await alice.get("/v1/keys")).json()["data"])
        disk.is_full = True
        assert code_of(await alice.post("/v1/keys", json=KEY, headers=unsafe)) == (503, "audit_unavailable")
        assert len((await alice.get("/v1/keys")).json()["data"]) == number
        assert (await alice.delete(f"/v1/keys/{key['id']}", headers=unsafe)).status_code == 503
        disk.is_full = False
    async with house.browser() as program:
        dead = await program.get("/v1/models", headers={"authorization": f"Bearer {key['key']}"})
        assert dead.status_code == 401


async def test_a_full_disk_keeps_nobody_signed_in_who_wants_out(house: House, disk: FillingDisk) -> None:
    async with house.browser() as alice:
        unsafe = await signed_in(house, alice, "alice")
        disk.is_full = True
        await alice.post("/auth/sign-out", headers=unsafe)
        disk.is_full = False
        assert (await alice.get("/v1/session")).status_code == 401


async def test_a_full_disk_is_told_to_probes_and_alarms_and_passes(house: House, disk: FillingDisk) -> None:
    async with house.browser() as alice:
        unsafe = await signed_in(house, alice, "alice")
        before = (await shown(alice))["imprimatur_audit_write_failures"]
        disk.is_full = True
        await alice.post("/v1/images/generations", json={"prompt": "a fox"}, headers=unsafe)
        assert (await shown(alice))["imprimatur_audit_write_failures"] > before
        disk.is_full = False
        answer = await alice.post("/v1/images/generations", json={"prompt": "a fox"}, headers=unsafe)
        assert code_of(answer) == (503, "model_unavailable"), "the log is asked first, then the model that is not there"


async def test_below_five_per_cent_no_picture_is_begun(house: House, disk: FillingDisk) -> None:
    async with house.browser() as alice:
        unsafe = await signed_in(house, alice, "alice")
        disk.free = 0.049
        answer = await alice.post("/v1/images/generations", json={"prompt": "a fox"}, headers=unsafe)
        assert code_of(answer) == (503, "audit_unavailable")
        ready = await alice.get("/readyz")
        assert (ready.status_code, ready.json()["parts"]["audit"]) == (503, "refusing intents")
        figures = await shown(alice)
        assert figures["imprimatur_audit_disk_free_ratio"] == 0.049
        assert figures["imprimatur_audit_writable"] == 0


@pytest.mark.parametrize(("free", "writable"), [(0.25, 1), (0.19, 1), (0.09, 1), (0.051, 1), (0.0499, 0)])
async def test_alarms_see_the_free_share_and_only_the_last_threshold_stops_anything(
    house: House, disk: FillingDisk, free: float, writable: float
) -> None:
    disk.free = free
    async with house.browser() as probe:
        figures = await shown(probe)
        assert figures["imprimatur_audit_disk_free_ratio"] == free
        assert figures["imprimatur_audit_writable"] == writable
        assert (await probe.get("/readyz")).status_code == (200 if writable else 503)


async def test_below_five_per_cent_people_get_in_auditors_read_outcomes_are_written_and_purge_goes_on(
    demo_idp: Any, tmp_path: Path
) -> None:
    """What is small and stands in the way of putting things right goes on while there is any room at all."""
    begun = Entry(action="image:generate", subject=Subject(actor="canaille|alice"), content={"prompt": "a fox"})
    async with open_filling(demo_idp, tmp_path) as (app, disk):
        house = House(app, demo_idp, datetime.now(UTC))
        log = house.services.audit
        ticket = await log.intend(begun)
        disk.free = 0.01
        async with house.browser() as bob:
            await signed_in(house, bob, "bob")
            asked = {"event_id": ticket.event_id}
            found = await bob.get("/audit", params=asked, headers={"accept": "application/json"})
            assert [row["event_id"] for row in found.json()["rows"]] == [ticket.event_id]
        await log.conclude(ticket, replace(begun, effect="failed", reasons=("model.unavailable",)))
        receipts = await log.purge(datetime.now(UTC) + timedelta(days=40))
        assert receipts
        assert all(receipt.keys_destroyed for receipt in receipts)
