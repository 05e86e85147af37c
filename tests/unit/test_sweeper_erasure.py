"""An erasure that two people agreed on is carried out by the sweeper, once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit import AuditLog, AuditSettings, ContentDestroyed, Entry, Subject
from gateway.settings import AuditSection
from gateway.sweeper import Sweeper
from tests.support.cases import officer, open_content


async def test_an_approved_erasure_is_carried_out_and_only_once(tmp_path: Path) -> None:
    settings = AuditSettings(
        directory=tmp_path / "log",
        kek_path=tmp_path / "kek",
        signing_key_path=tmp_path / "signing.pem",
        origin="example.com/audit",
        create_keys=True,
        disk_refuse_fraction=0.0,
    )
    log = await AuditLog.open(settings, clock=lambda: datetime.now(UTC))
    try:
        who = Subject(actor="alice", display="Alice")
        ticket = await log.intend(Entry(action="image:generate", subject=who, content={"prompt": "a fox"}))
        await log.conclude(ticket, Entry(action="image:generate", subject=who, effect="allow"))
        requests = log.governance.erasures.requests
        asked = await requests.request("alice", "she left and asked for it", officer(log, "dana"))
        sweeper = Sweeper(log, None, None, None, AuditSection())  # type: ignore[arg-type]
        assert await sweeper.erase() == 0, "one person alone erases nothing"
        await requests.approve(asked.id, officer(log, "erin"))
        assert await sweeper.erase() == 1
        with pytest.raises(ContentDestroyed):
            await open_content(log, ticket.event_id)
        assert (await log.get(ticket.event_id, looked_by=Subject(actor="bob"))).subject is None
        assert await sweeper.erase() == 0
    finally:
        await log.aclose()
