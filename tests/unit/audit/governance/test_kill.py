"""Killed at any moment, governance comes back with what it said was done, and with nothing that is not on record."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from audit.governance.cases import CaseState
from audit.vocabulary import LogEvent
from tests.support.governed import Governed

_KILLS = 6
_REPOSITORY = Path(__file__).parents[4]


async def test_killed_in_the_middle_nothing_said_is_lost_and_nothing_is_without_record(governed: Governed) -> None:
    said: dict[str, CaseState] = {}
    for _ in range(_KILLS):
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killed.py")), str(governed.folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=_REPOSITORY,
            env={"PYTHONPATH": str(_REPOSITORY)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0.02, 0.25))
        process.kill()
        output, _ = process.communicate(timeout=60)
        for line in output.splitlines():
            word, _, case_id = line.partition(" ")
            if len(case_id) == 36:
                said[case_id] = CaseState.ACTIVE if word == "approved" else CaseState.CLOSED
        async with governed.open() as governance:
            cases = {case.id: case for case in await governance.cases.list()}  # every row is checked
            recorded = await _recorded(governed)
    assert said
    for case_id, state in said.items():
        assert cases[case_id].state in (state, CaseState.CLOSED)
    for case in cases.values():
        assert (LogEvent.CASE_REQUEST, case.id) in recorded
        if case.decided is not None:
            assert (LogEvent.CASE_APPROVE, case.id) in recorded
        if case.closed is not None:
            assert (LogEvent.CASE_CLOSE, case.id) in recorded


async def _recorded(governed: Governed) -> set[tuple[str, str]]:
    def look(reader):  # type: ignore[no-untyped-def]  # a StoreReader
        return {(row.action, row.about) for day in reader.days() for row in reader.day(day).rows()}

    return await governed.store.read(look)
