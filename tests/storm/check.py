"""After a storm: every acknowledged record is there, the sequence has no hole, every proof holds."""

from __future__ import annotations

import uuid
from pathlib import Path

from audit.store.moment import open_moment
from audit.verify import verify_store
from tests.storm.loop import Told


def check(target: Path | str, witness: Path | None, told: Told) -> int:
    """Raises AssertionError with what is wrong; returns the number of records."""
    report = verify_store(target, None, witness)
    assert report.ok, report.findings[:5]
    records: set[str] = set()
    expected = 0
    with open_moment(target) as moment:
        for row in moment.rows():
            assert row.seq == expected, f"record {expected} is missing, the next one is {row.seq}"
            expected += 1
            records.add(f"{row.phase} {uuid.UUID(bytes=row.event_id)}")
    lost = told.records - records
    assert not lost, f"{len(lost)} acknowledged records are gone, one of them: {min(lost)}"
    return expected
