"""No secret that is sent in is found where it does not belong; and the search sees a leak at each place it looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.authz.table import WAYS
from tests.canary.allowed import ALLOWED
from tests.canary.launch import LEAKS
from tests.canary.walk import PLACES, Findings, report, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("canary")]

WRITING = ["POST /v1/images/generations", "POST /v1/keys", "GET /audit", "POST /holds"]


def assert_clean(found: Findings) -> None:
    assert found.hits == [], "\n".join(report(found))
    assert found.unanswered == []
    assert found.server_errors == []
    assert all(found.searched[place] > 0 for place in PLACES), found.searched


def test_nothing_that_is_sent_in_is_found_anywhere(tmp_path: Path) -> None:
    found = run(tmp_path / "state")
    assert_clean(found)
    assert found.routes == len([key for key in WAYS if key[0] != "*"])
    assert found.requests > 10 * found.routes
    assert found.statuses["2xx"] > 300, "hardly anything succeeds, so hardly anything was tried"
    assert set(found.allowed) == {allowed.why for allowed in ALLOWED}, "an exception that nothing needs any more"


def test_nor_in_postgresql(tmp_path: Path) -> None:
    found = run(tmp_path / "state", with_postgres=True, only=WRITING)
    assert_clean(found)
    assert found.searched["database"] > 10_000_000


def test_a_leak_at_each_place_is_seen(tmp_path: Path) -> None:
    found = run(tmp_path / "state", leaks=LEAKS, only=["POST /v1/images/generations"], with_stories=False)
    red = {hit.place for hit in found.hits}
    assert red >= {"answers", "logs", "metrics", "database", "audit", "policy", "files"}
    in_logs = {hit.form for hit in found.hits if hit.place == "logs"}
    assert in_logs >= {"plain", "hex"}, "a body that is logged, and a query that is printed in hex"
    prompts = {hit.place for hit in found.hits if hit.seed is not None and hit.seed.position == "json prompt"}
    assert prompts >= {"policy", "database", "audit", "logs"}
