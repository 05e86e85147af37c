"""A gateway with managed rules, and people who change them: authors, approvers, and the requests they send."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from audit import Query, RequestRow, Subject
from tests.authz.bed import Bed, open_bed
from tests.support.cases import open_content
from tests.support.policy import SHIPPED

LIMITS = "gateway/config/limits/data.yaml"


class RuleDesk:
    """Authors and approvers in front of one gateway."""

    def __init__(self, bed: Bed, client: httpx.AsyncClient) -> None:
        self.bed = bed
        self.client = client
        self._people: dict[str, dict[str, str]] = {}

    @property
    def services(self) -> Any:
        return self.bed.services

    @property
    def follower(self) -> Any:
        return self.services.policy_desk.follower

    async def person(self, name: str, role: str) -> dict[str, str]:
        """Their headers: one fresh session for the test."""
        if name not in self._people:
            self._people[name] = await self.bed.sign_in(name, role)
        return self._people[name]

    async def ask(
        self, method: str, path: str, body: object | None = None, *, by: str = "ann", role: str = "policy-author"
    ) -> httpx.Response:
        """What somebody sends to `/v1/policy/…`, or to another path from the root."""
        headers = {"accept": "application/json", **await self.person(by, role)}
        path = path if path.startswith("/") else f"/v1/policy/{path}"
        return await self.client.request(method, path, json=body, headers=headers)

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object | None = None, **who: str) -> Any:
        answer = await self.ask("POST", path, body, **who)
        assert answer.is_success, answer.text
        return answer.json()

    async def draft(self, files: Mapping[str, str | None], title: str = "a change", by: str = "ann") -> Any:
        return await self.post("drafts", {"title": title, "files": files}, by=by)

    async def proposed(self, files: Mapping[str, str | None], by: str = "ann", **more: Any) -> Any:
        """A checked draft's proposal."""
        draft = await self.draft(files, by=by)
        report = await self.post(f"drafts/{draft['id']}/check", by=by)
        assert report["passed"], report["problems"]
        asked = {"version": 1, "note": "because it is time", **more}
        return await self.post(f"drafts/{draft['id']}/propose", asked, by=by)

    async def decide(self, proposal: Any, by: str = "bea", act: str = "approve", digest: str = "") -> httpx.Response:
        path = f"/v1/organization/proposals/{proposal['id']}/{act}"
        return await self.ask("POST", path, {"digest": digest or proposal["digest"]}, by=by, role="policy-approver")

    async def change(self, files: Mapping[str, str | None]) -> str:
        """A change in force everywhere; its revision."""
        proposal = await self.proposed(files)
        answer = await self.decide(proposal)
        assert answer.status_code == 200, answer.text
        revision: str = proposal["payload"]["revision"]
        await self.until(revision)
        return revision

    async def until(self, revision: str, seconds: float = 20) -> float:
        """Wait until this process runs a revision; how long that took."""
        began = time.monotonic()
        while self.follower.digest != revision:
            assert time.monotonic() - began < seconds, self.follower.error
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    def text(self, path: str) -> str:
        """A file of the rules that the gateway began with."""
        return (SHIPPED / path).read_text("utf-8")

    async def rows(self, action: str) -> tuple[RequestRow, ...]:
        """What the audit log holds of an event, the newest first."""
        who = Subject(actor="-", display="a test")
        found = await self.services.audit.search(Query(action=action), searched_by=who)
        return tuple(found.rows)

    async def content_of(self, row: RequestRow) -> Mapping[str, Any]:
        """The sealed content of one event, opened."""
        return dict((await open_content(self.services.audit, row.event_id, by="-")).contents[0])


@asynccontextmanager
async def open_rule_desk(state: Path, **policy: Any) -> AsyncIterator[RuleDesk]:
    """A gateway whose folder of rules is a copy of the shipped ones, under `state`."""
    folder = state / "folder"
    if not folder.exists():
        shutil.copytree(SHIPPED, folder)
    async with (
        open_bed(state, {"source": "managed", "directory": folder, "poll_seconds": 0.1, **policy}) as bed,
        bed.client() as client,
    ):
        yield RuleDesk(bed, client)
