"""What somebody with the database's password does before the tree covers it: found, named, and never signed."""

from __future__ import annotations

from typing import Any

import pytest

from audit import AuditUnavailable, StoreDamaged

TODAY = "20261122"
_COLUMNS = "seq, head_seq, event_id, phase, tenant, day, class_, recorded_at, action, effect, reasons, about"


async def _written(log: Any, make: Any, requests: int = 3) -> None:
    for _ in range(requests):
        await log.conclude(await log.intend(make.intent()), make.outcome())


_DEEDS = {
    "an envelope is changed": (
        f"update audit.record_{TODAY} set effect = 'deny' where seq = 3",
        "record 3 was added or changed",
    ),
    "a ciphertext is changed": (
        f"update audit.sealed_{TODAY}_standard set content = content || '\\x00' where seq = 2",
        "record 2 was added or changed",
    ),
    "a token is changed": (
        f"update audit.sealed_{TODAY}_standard set terms[1] = gen_random_uuid() where seq = 4",
        "record 4 was added or changed",
    ),
    "sealed parts are gone": (f"delete from audit.sealed_{TODAY}_standard where seq = 1", "record 1 is incomplete"),
    "a record is gone": (f"delete from audit.record_{TODAY} where seq = 2", "record 2 is missing"),
    "the last record is gone": (f"delete from audit.record_{TODAY} where seq = 5", "record 5 is missing"),
    "the day is gone": (f"update audit.day set end_seq = 0; truncate audit.record_{TODAY}", "record 0 is missing"),
    "two records are swapped": (
        f"update audit.record_{TODAY} set seq = -1 where seq = 1;"
        f" update audit.record_{TODAY} set seq = 1 where seq = 3;"
        f" update audit.record_{TODAY} set seq = 3 where seq = -1",
        "record 1 was added or changed",
    ),
    "a record is added": (
        f"insert into audit.record_{TODAY} select (jsonb_populate_record(r, jsonb_build_object('seq', 6, 'head_seq', 6,"
        f" 'event_id', '\\x00'))).* from audit.record_{TODAY} r where seq = 0;"
        " update audit.seqcoord set next = 7; update audit.day set end_seq = 7",
        "record 6 is incomplete",
    ),
}


@pytest.mark.parametrize("deed", _DEEDS)
async def test_nothing_is_signed_and_everybody_stops(place: Any, make: Any, behind: Any, deed: str) -> None:
    statements, named = _DEEDS[deed]
    async with place.open() as leader, place.open() as follower:
        await _written(leader, make)
        with place.dba() as dba:
            dba.execute(statements.encode())
            behind(leader)._integrator.advance()
            behind(follower)._integrator.advance()
            for log in (leader, follower):
                assert not log.health().writable
                with pytest.raises(AuditUnavailable, match=named):
                    await log.intend(make.intent())
            assert leader.checkpoint_size() == follower.checkpoint_size() == 0
            assert dba.execute("select max(size) from audit.checkpoint").fetchone() == (0,)
            assert dba.execute("select size from audit.tree").fetchone() == (0,)
    with pytest.raises(StoreDamaged, match=named):
        async with place.open():
            pass


async def test_what_is_put_right_is_gone_on_with(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as leader, place.open() as follower:
        await _written(leader, make)
        with place.dba() as dba:
            dba.execute(f"update audit.record_{TODAY} set effect = 'deny' where seq = 3".encode())
            behind(leader)._integrator.advance()
            assert not leader.health().writable
            dba.execute(f"update audit.record_{TODAY} set effect = 'allow' where seq = 3".encode())
        behind(leader)._integrator.advance()
        behind(follower)._integrator.advance()
        assert leader.checkpoint_size() == follower.checkpoint_size() == 6
        await _written(follower, make)


async def test_a_tree_that_was_changed_is_not_gone_on_with(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as log:
        await _written(log, make)
    with place.dba() as dba:
        dba.execute("update audit.tile set hashes = overlay(hashes placing '\\x00' from 40) where level = 0")
    with pytest.raises(StoreDamaged, match="root of its checkpoint of 6"):
        async with place.open():
            pass


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (
            "update audit.checkpoint set root = sha256('x'), size = size + 1 where size = 6",
            "not signed by the log's key",
        ),
        ("delete from audit.checkpoint where size = 6", "its newest checkpoint 0"),
        ("update audit.tree set size = 5", "the tree ends at 5"),
    ],
)
async def test_a_head_that_was_changed_is_refused(place: Any, make: Any, deed: str, named: str) -> None:
    async with place.open() as log:
        await _written(log, make)
    with place.dba() as dba:
        dba.execute(deed.encode())
    with pytest.raises(StoreDamaged, match=named):
        async with place.open():
            pass


async def test_a_follower_believes_no_checkpoint_that_the_log_did_not_sign(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as leader, place.open() as follower:
        await _written(leader, make)
        behind(leader)._integrator.advance()
        with place.dba() as dba:
            dba.execute("update audit.tree set size = 7, root = sha256('x')")
            dba.execute(
                "insert into audit.checkpoint"
                " select 7, sha256('x'), signature, signed_at from audit.checkpoint where size = 6"
            )
        behind(follower)._integrator.advance()
        assert not follower.health().writable
        assert follower.checkpoint_size() < 7
