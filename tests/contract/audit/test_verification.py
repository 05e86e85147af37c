"""Whatever a log is stored in, it is verified, published and proved in the same way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from audit.note import VerifierKey
from audit.static_tiles import write_static
from audit.store.moment import open_moment
from audit.verify import verify_store
from audit.verify.pool import quick_pass
from audit.verify.tiles import verify_tiles
from audit.verify.trust import Trust

RECORDS = 600


@pytest.fixture
async def target(open_log: Any, intent: Any, outcome: Any, store_settings: dict[str, Any], tmp_path: Path) -> str:
    """Where a closed log of 600 records over two days lies."""

    async def request(log: Any, number: int) -> None:
        ticket = await log.intend(intent(f"user-{number % 7}"))
        await log.conclude(ticket, outcome(f"user-{number % 7}"))

    async with open_log() as log:
        late = await log.intend(intent("late"))
        await asyncio.gather(*(request(log, number) for number in range(RECORDS // 2 - 1)))
        await log.conclude(late, outcome("late"))
    return str(store_settings.get("database_url", tmp_path / "log"))


def test_a_log_in_order_passes_quickly(target: str) -> None:
    with open_moment(target) as moment:
        leaves = b"".join(row.leaf for row in moment.rows())
        found = quick_pass(target, moment, leaves, 0, lambda _done, _all: None, 1)
    assert found is not None
    assert found.records == RECORDS


def test_several_processes_find_what_one_finds(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.verify.pool.CHUNK_RECORDS", 100)
    one, several = (verify_store(target, None, None, processes=count) for count in (1, 3))
    assert one.ok
    assert one.to_json() == several.to_json()


def test_it_is_published_as_tiles_that_need_no_store(target: str, tmp_path: Path) -> None:
    with open_moment(target) as moment:
        key: VerifierKey = moment.identity.verifier_key
        done = write_static(moment, tmp_path / "www")
    assert done.checkpoint.size == RECORDS
    report = verify_tiles(tmp_path / "www", Trust(key=key))
    assert (report.ok, report.records) == (True, RECORDS)
