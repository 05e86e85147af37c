"""One process signs. One that slept through the end of its lease changes nothing when it comes back."""

from __future__ import annotations

import time
from typing import Any

import pytest

from audit.store.credentials import witnessed
from audit.store.postgres import heads, integration
from audit.store.postgres.lease import Lease
from audit.store.postgres.tree_table import move_tree


async def _written(log: Any, make: Any, requests: int = 2) -> None:
    for _ in range(requests):
        await log.conclude(await log.intend(make.intent()), make.outcome())


async def test_one_leads_and_the_other_follows(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as first, place.open() as second:
        assert behind(first)._integrator.is_leading
        assert not behind(second)._integrator.is_leading
        await _written(second, make)
        behind(second)._integrator.advance()
        assert second.checkpoint_size() == 0  # it does not sign
        behind(first)._integrator.advance()
        behind(second)._integrator.advance()
        assert first.checkpoint() == second.checkpoint()
        assert second.checkpoint_size() == 4


async def test_the_next_one_leads_at_once_when_the_leader_closes(place: Any, make: Any, behind: Any) -> None:
    async with place.open() as second_behind_first:
        first = place.open()
        await first.__aenter__()
        await first.__aexit__(None, None, None)
        await _written(second_behind_first, make)
        behind(second_behind_first)._integrator.advance()
        assert second_behind_first.checkpoint_size() == 4


async def test_a_leader_that_slept_beyond_its_lease_is_refused_by_the_fence(
    place: Any, make: Any, behind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read, checked and signed, and stands still just before it stores: the worst moment."""
    async with place.open(database_lease_seconds=0.3) as sleeper, place.open(database_lease_seconds=0.3) as other:
        await _written(other, make)
        woken: list[int] = []

        def slowly(*arguments: Any) -> None:
            if not woken:
                woken.append(1)
                time.sleep(0.4)  # the lease runs out
                behind(other)._integrator.advance()  # somebody else takes it, signs and stores
                assert other.checkpoint_size() == 4
            move_tree(*arguments)

        monkeypatch.setattr(integration, "move_tree", slowly)
        integrator = behind(sleeper)._integrator
        assert integrator.is_leading
        integrator.advance()
        assert woken
        assert not integrator.is_leading
        assert sleeper.checkpoint() == other.checkpoint()
        with place.dba() as dba:
            assert dba.execute("select count(*), max(size) from audit.checkpoint").fetchone() == (2, 4)
            assert dba.execute("select epoch from audit.tree").fetchone() == (2,)
        await _written(sleeper, make)
        behind(other)._integrator.advance()
        assert other.checkpoint_size() == 8


async def test_the_fence_holds_even_before_the_successor_has_written(
    place: Any, make: Any, behind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size and root are still those that the sleeper knew: only the lease's epoch tells it that its time is over."""
    async with place.open() as log:
        await _written(log, make)

        def slowly(*arguments: Any) -> None:
            monkeypatch.undo()
            with place.dba() as dba:
                dba.execute("update audit.lease set expires_at = '-infinity'")
                assert Lease("integrator", "another", 60).hold(dba) == 2
            move_tree(*arguments)

        monkeypatch.setattr(integration, "move_tree", slowly)
        behind(log)._integrator.advance()
        assert not behind(log)._integrator.is_leading
        with place.dba() as dba:
            assert dba.execute("select size from audit.tree").fetchone() == (0,)
            dba.execute("update audit.lease set expires_at = '-infinity'")


async def test_opening_beside_somebody_who_signs_is_no_rollback(
    place: Any, make: Any, behind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the storm: the witness held a checkpoint that the opening process had not read yet."""
    witness = place.folder / "witness" / "checkpoints"
    async with place.open(witness_path=witness) as leader:
        await _written(leader, make)
        signed: list[int] = []

        def just_then(*arguments: Any) -> Any:
            if not signed:
                signed.append(1)
                behind(leader)._integrator.advance()
            return witnessed(*arguments)

        monkeypatch.setattr(heads, "witnessed", just_then)
        async with place.open(witness_path=witness) as other:
            assert signed
            assert other.checkpoint_size() == 4


async def test_a_lease_is_held_by_one(place: Any, behind: Any) -> None:
    async with place.open() as first, place.open() as second:
        one, other = behind(first), behind(second)
        assert one.lease("retention", 0.3)
        assert not other.lease("retention", 0.3)
        assert one.lease("retention", 0.3)  # renewed
        time.sleep(0.35)
        assert other.lease("retention", 30)
        assert not one.lease("retention", 30)


async def test_a_proof_on_a_follower_waits_for_the_leader(place: Any, make: Any) -> None:
    async with place.open(checkpoint_interval_seconds=0.05), place.open() as follower:
        ticket = await follower.intend(make.intent())
        await follower.conclude(ticket, make.outcome())
        proofs = await follower.proof(ticket.event_id)
        assert all(proof.verify(follower.verifier_key) for proof in proofs)
