"""A copy of a store knows its cases, opens no erased record, and brings the lists that excuse what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.errors import ContentDestroyed
from audit.governance.coverage import FileErasureLists, covered_seqs
from audit.governance.erased import ErasedEvents
from audit.governance.facade import Governance
from audit.governance.holds import HoldKind
from audit.governance.scope import HoldScope, Scope
from audit.record import Subject
from audit.snapshot import take_snapshot
from audit.store.disk import Disk
from tests.support.governed import Governed


async def _fill(governed: Governed, governance: Governance) -> tuple[str, str, str]:
    held, mine = await governed.request("bob", "evidence"), await governed.request("alice", "wish")
    hold = await governance.holds.request(
        HoldKind.LEGAL, HoldScope(event_ids=(held.event_id,)), "court", governed.officer("dana")
    )
    await governance.holds.place(hold.id, governed.officer("erin"))
    case_id = await governed.active_case(Scope(actors=("bob",)))
    request = await governance.erasures.requests.request("alice", "letter", governed.officer("dana"))
    await governance.erasures.requests.approve(request.id, governed.officer("erin"))
    receipt = await governance.erasures.execute(request.id, Subject(actor="system:erasure"))
    return case_id, mine.event_id, receipt.record.event_id


async def test_a_snapshot_keeps_cases_and_erasures(governed: Governed, tmp_path: Path) -> None:
    async with governed.open() as governance:
        case_id, erased_event, record = await _fill(governed, governance)
        take_snapshot(governed.directory, tmp_path / "copy" / "log", governed.now)
        (row, _) = await governed.rows(erased_event)
        about = governed.events[-1][2]
    lists = FileErasureLists(tmp_path / "copy" / "log" / "erasures")
    assert row.seq in covered_seqs(record, about, lists)
    assert row.event_id in ErasedEvents(tmp_path / "copy" / "log" / "keys" / "erased", Disk())
    governed.directory = tmp_path / "copy" / "log"
    governed.settings = governed.settings.model_copy(update={"directory": governed.directory, "signing_key_path": None})
    async with governed.open(read_snapshot=True) as governance:
        assert (await governance.cases.get(case_id)).openings == 0
        assert len(governance.holds.keeping()) == 1
        with pytest.raises(ContentDestroyed, match="erased"):
            governance.opener.open(row)
    ours = [*(governed.directory / "keys").rglob("*"), governed.directory / "governance.sqlite"]
    assert len(ours) > 5
    assert all(path.stat().st_mode & 0o077 == 0 for path in [*ours, *(governed.directory / "erasures").rglob("*")])


async def test_a_backup_leaves_the_guards_with_the_keys(governed: Governed, tmp_path: Path) -> None:
    async with governed.open() as governance:
        await _fill(governed, governance)
        take_snapshot(governed.directory, tmp_path / "backup", governed.now, with_keys=False)
    assert list((tmp_path / "backup" / "keys").iterdir()) == []
    assert (tmp_path / "backup" / "governance.sqlite").exists()
    assert len(list((tmp_path / "backup" / "erasures").iterdir())) == 1
