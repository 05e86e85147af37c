"""An auditor in front of a page of ours: fills in its form, sends it as it stands there."""

from __future__ import annotations

import re
from typing import Any

import httpx

from audit import Entry, Subject
from tests.support.idp import PUBLIC_URL

HOSTILE = '<script>alert(1)</script> " onfocus=x & \u202egnp'


class Auditor:
    """A signed-in person with a browser that keeps cookies and runs no scripts."""

    def __init__(self, browser: httpx.AsyncClient) -> None:
        self.browser = browser

    async def see(self, path: str) -> str:
        answer = await self.browser.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    async def read(self, path: str) -> Any:
        """The same as a program reads it."""
        return (await self.browser.get(path, headers={"accept": "application/json"})).raise_for_status().json()

    async def post(self, path: str, page: str, **fields: str) -> httpx.Response:
        """Send a form that stands on `page`, with the token that stands there."""
        html = (await self.browser.get(page, headers={"accept": "text/html"})).text
        found = re.search(r'name="csrf_token" value="([^"]+)"', html)
        assert found is not None, page
        return await self.browser.post(
            path,
            data={"csrf_token": found[1], **fields},
            headers={"origin": PUBLIC_URL, "referer": PUBLIC_URL + page, "accept": "text/html"},
        )


async def recorded(log: Any, actor: str = "canaille|alice", prompt: str = HOSTILE) -> str:
    """A request of somebody's that has ended, with something to open. Returns its id."""
    asked = Entry(
        action="image:generate",
        subject=Subject(actor=actor, display="Alice <b>Marsh</b>"),
        content={"request": {"prompt": prompt}},
    )
    ticket = await log.intend(asked)
    await log.conclude(ticket, Entry(action="image:generate", subject=asked.subject, effect="allow"))
    return str(ticket.event_id)
