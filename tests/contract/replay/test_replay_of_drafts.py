"""Where rules are managed, a draft is tried by its id and held against revisions by theirs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.authz.bed import open_bed
from tests.contract.replay.test_replay_api import LIMITS, SHIPPED, ask, call, replayed

pytestmark = [pytest.mark.xdist_group("authz"), pytest.mark.timeout(240)]


async def test_a_draft_is_replayed_against_the_revision_in_force(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "policies")
    async with open_bed(tmp_path, {"directory": tmp_path / "policies", "source": "managed"}) as bed:
        await ask(bed, "ann", 2)
        limits = yaml.safe_load((SHIPPED / LIMITS).read_text())
        limits["images_per_request"] = dict.fromkeys(limits["images_per_request"], 1)
        made = await call(bed, "POST", "/drafts", {"title": "one at a time", "files": {LIMITS: yaml.safe_dump(limits)}})
        assert made.status_code in (200, 201), made.text
        draft = made.json()["id"]
        told = await replayed(bed, {"draft": draft})
        assert told["status"] == "done", told
        assert [row["id"] for row in told["report"]["people"]] == ["company|ann"]
        assert told["report"]["newly_denied"] == 1

        revision = (await call(bed, "GET", "/revisions")).json()["data"][0]
        digest = revision.get("digest") or revision["id"]
        told = await replayed(bed, {"revision": digest, "against": {"draft": draft}})
        assert told["status"] == "done", told
        assert told["report"]["newly_allowed"] == 1
        shadow = await call(bed, "PUT", "/shadow", {"draft": draft})
        assert shadow.status_code == 200
        await ask(bed, "bob", 2)
        await bed.services.replaying.shadows.current.settle()
        assert bed.services.replaying.shadows.current.report()["changes"]["newly_denied"] >= 1
