"""A real Chromium for the pages, and what no page may do: log an error, break its policy, throw."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from tests.browser.preview import COOKIE, Preview, Running
from tests.support.requirements import chromium

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = next(Path(__file__).parent.glob("vendor/axe-core-*/axe.min.js"))
DESK, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}

Scheme = Literal["light", "dark"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Preview(tmp_path_factory.mktemp("preview")) as serving:
        yield serving.running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = chromium()
    assert path, "no Chromium: run `python -m tests.support.requirements`"
    async with async_playwright() as playwright:
        # `launch` gives every run an empty profile of its own and removes it afterwards.
        running = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        await running.close()


@dataclass
class Visit:
    """A tab, and everything it complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    allowed: tuple[str, ...] = ()
    """Texts of complaints that this test provokes on purpose."""

    async def go(self, path: str) -> Page:
        await self.page.goto(self.url + path)
        return self.page

    async def axe(self) -> list[str]:
        """What axe-core finds wrong, a line each."""
        await self.page.evaluate(AXE.read_text("utf-8"))
        found: dict[str, Any] = await self.page.evaluate(
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
        )
        return [
            f"{violation['id']}: {violation['help']} at {[n['target'] for n in violation['nodes']]}: "
            f"{violation['nodes'][0].get('failureSummary')}"
            for violation in found["violations"]
        ]

    async def unexpected(self) -> list[str]:
        self.complaints += await self.page.evaluate("window.cspViolations ?? []")
        return [text for text in self.complaints if not any(allowed in text for allowed in self.allowed)]


class Visits:
    """Opens tabs as one person or another."""

    def __init__(self, browser: Browser, preview: Running) -> None:
        self._browser = browser
        self._preview = preview
        self._url = preview.url
        self.open: list[Visit] = []

    async def __call__(
        self,
        person: str | None = "alice",
        *,
        scheme: Scheme = "light",
        size: Any = None,
        allowed: tuple[str, ...] = (),
        **options: Any,
    ) -> Visit:
        context = await self._browser.new_context(
            color_scheme=scheme, viewport=size or DESK, accept_downloads=True, **options
        )
        if person is not None:
            await context.add_cookies([{"name": COOKIE, "value": self._preview.session(person), "url": self._url}])
        visit = Visit(await context.new_page(), self._url, allowed=allowed)
        await listen(visit)
        self.open.append(visit)
        return visit


async def listen(visit: Visit) -> None:
    """Write down whatever the tab complains about from now on."""

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    visit.page.on("console", heard)
    visit.page.on("pageerror", lambda error: visit.complaints.append(f"thrown: {error} at {visit.page.url}"))
    await visit.page.add_init_script(
        "window.cspViolations = [];"
        "addEventListener('securitypolicyviolation',"
        " (e) => window.cspViolations.push(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.documentURI}`));"
    )


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, preview: Running) -> AsyncIterator[Visits]:
    """Opens a page of the preview; afterwards it must not have complained about anything."""
    visits = Visits(browser, preview)
    yield visits
    unexpected = []
    for one in visits.open:
        unexpected += await one.unexpected()
        await one.page.context.close()
    assert unexpected == []
