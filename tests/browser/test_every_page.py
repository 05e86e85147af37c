"""What holds for every page, in every state, in light and in dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Route

from tests.browser.conftest import PHONE, Visit, Visits
from tests.browser.preview import Running

MISSING = "Failed to load resource: the server responded with a status of"

PAGES = {
    "welcome": (None, "/welcome"),
    "signed-out": (None, "/signed-out"),
    "no-role": ("dave", "/"),
    "studio": ("alice", "/studio"),
    "check": ("alice", "/check"),
    "check-no-role": ("dave", "/check"),
    "keys": ("alice", "/keys"),
    "account": ("alice", "/account"),
    "account-quiet": ("bob", "/account"),
    "records": ("bob", "/audit"),
    "records-none": ("bob", "/audit?who=nobody&action="),
    "records-unreadable": ("bob", "/audit?effect=perhaps"),
    "record": ("bob", "/audit/records/{0}"),
    "record-open": ("bob", "/audit/records/{open}"),
    "cases": ("bob", "/cases"),
    "case-requested": ("gail", "{case-requested}"),
    "case-own": ("bob", "{case-requested}"),
    "case-active": ("bob", "{case-active}"),
    "accesses": ("bob", "/audit/records/{0}/accesses"),
    "holds": ("bob", "/holds"),
    "hold-new": ("bob", "/holds/new"),
    "hold-requested": ("gail", "{hold-requested}"),
    "hold-active": ("bob", "{hold-active}"),
    "hold-ending": ("bob", "{hold-release-requested}"),
    "subjects": ("bob", "/subjects"),
    "subject-new": ("bob", "/subjects/new"),
    "export-requested": ("gail", "{export-requested}"),
    "export-approved": ("bob", "{export-approved}"),
    "erasure-requested": ("gail", "{erasure-requested}"),
    "erasure-done": ("bob", "{erasure-done}"),
    "retention": ("bob", "/retention"),
    "services": ("carol", "/services"),
    "service": ("carol", "/services/newsletter"),
    "service-orphan": ("dan", "/services/orphan"),
    "service-off": ("dan", "/services/retired"),
    "people": ("carol", "/people"),
    "people-none": ("carol", "/people?q=nobody"),
    "person": ("carol", "/people/preview%7Calice"),
    "person-hostile": ("carol", "/people/preview%7Chostile"),
    "person-torn": ("carol", "/people/preview%7Ctorn"),
    "person-suspended": ("carol", "/people/preview%7Cowen"),
    "person-self": ("carol", "/people/preview%7Ccarol"),
    "mapping": ("carol", "/mapping"),
    "proposals": ("dan", "/proposals"),
    "proposal-open": ("dan", "{proposal-open}"),
    "proposal-own": ("carol", "{proposal-open}"),
    "proposal-done": ("dan", "{proposal-done}"),
    "access-review": ("bob", "/access-review"),
    "conflict": ("torn", "/"),
    "emergency": (None, "/auth/emergency"),
    "emergency-drilled": (None, "/auth/emergency?drilled=north"),
    "not-found": ("alice", "/nowhere"),
    "not-allowed": ("alice", "/audit"),
    "hostile-names": ("hostile", "/audit"),
}


async def opened(visit: Visits, preview: Running, name: str, **options: object) -> Visit:
    person, path = PAGES[name]
    one = await visit(person, allowed=(MISSING,), **options)  # type: ignore[arg-type]
    page = await one.go(path.format(*preview.requests, open=preview.requests[-1], **preview.governed))
    if name == "studio":
        await page.locator("#models .chip").first.wait_for()
    return one


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_accessible_and_says_what_it_is(visit, preview, screenshot_dir: Path, name, scheme):
    one = await opened(visit, preview, name, scheme=scheme)
    await one.page.screenshot(path=screenshot_dir / f"{name}-{scheme}.png", full_page=True)
    assert await one.axe() == []
    assert await one.page.locator("h1").count() == 1
    assert await one.page.locator("html").get_attribute("lang") == "en"
    assert await one.page.title() not in ("", "Imprimatur", " · Imprimatur")


@pytest.mark.parametrize(
    "name",
    [
        *("welcome", "no-role", "studio", "check", "keys", "account", "records", "record", "not-found"),
        *("cases", "case-requested", "holds", "hold-new", "hold-ending", "subjects", "erasure-done", "retention"),
        *("people", "person", "mapping", "proposals", "proposal-open", "access-review", "emergency"),
        *("services", "service"),
    ],
)
async def test_nothing_hangs_over_the_edge_of_a_phone(visit, preview, screenshot_dir: Path, name):
    """Also at 320 pixels, which is 1280 at 400 % (WCAG 1.4.10)."""
    one = await opened(visit, preview, name, size=PHONE)
    await one.page.screenshot(path=screenshot_dir / f"{name}-phone.png", full_page=True)
    assert await one.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    await one.page.set_viewport_size({"width": 320, "height": 640})
    assert await one.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_everything_comes_from_our_own_server(visit, preview):
    one = await visit("alice")
    asked: list[str] = []
    one.page.on("request", lambda request: asked.append(request.url))
    await one.go("/studio")
    await one.page.wait_for_load_state("networkidle")
    assert asked
    assert [url for url in asked if not url.startswith((preview.url, "blob:", "data:"))] == []


async def test_script_that_somebody_smuggled_into_a_page_does_not_run(visit):
    """Not the header's text but its effect (CSP Level 3): the page arrives with foreign markup in it."""
    one = await visit("alice", allowed=("policy:", "Content Security Policy", "ERR_INVALID_URL"))

    async def smuggle(route: Route) -> None:
        answer = await route.fetch()
        markup = (
            "<script>document.title='pwned'</script><img src=data:x onerror=\"document.title='pwned'\">"
            "<p id=painted style='color: rgb(255, 0, 0)'>x</p><style>#painted { color: rgb(255, 0, 0) }</style>"
            "<img src=https://attacker.example/x><base href=https://attacker.example/>"
            "<form action=https://attacker.example/ id=foreign></form>"
        )
        await route.fulfill(response=answer, body=(await answer.text()).replace("<main", markup + "<main"))

    await one.page.route("**/studio", smuggle)
    page = await one.go("/studio")
    await page.wait_for_timeout(200)
    assert await page.title() == "Studio · Imprimatur"
    assert page.url == f"{one.url}/studio"
    colour = await page.evaluate("getComputedStyle(document.querySelector('#painted')).color")
    assert colour != "rgb(255, 0, 0)"
    violated = {text.split()[1] for text in await page.evaluate("window.cspViolations")}
    assert violated >= {"script-src-elem", "script-src-attr", "style-src-attr", "style-src-elem", "img-src", "base-uri"}
    await page.evaluate("document.querySelector('#foreign').requestSubmit()")
    await page.wait_for_timeout(200)
    assert any("form-action" in text for text in one.complaints)


async def test_our_own_scripts_could_not_turn_text_into_markup_if_they_tried(visit):
    """Trusted Types: the sinks of DOM XSS refuse strings."""
    one = await visit("alice", allowed=("policy:", "Content Security", "requires 'Trusted"))
    page = await one.go("/studio")
    sinks = (
        "document.body.insertAdjacentHTML('beforeend', '<p>x</p>')",
        "document.body.innerHTML = '<p>x</p>'",
        "document.createElement('script').text = '1'",
        "new DOMParser().parseFromString('<p>x</p>', 'text/html')",
        "trustedTypes.createPolicy('ours', {})",
    )
    for sink in sinks:
        outcome = await page.evaluate(f"() => {{ try {{ {sink}; return 'done'; }} catch (e) {{ return e.name; }} }}")
        assert outcome == "TypeError", sink


async def test_a_person_can_sign_out_from_every_page(visit, preview):
    one = await visit("leaver")
    page = await one.go("/keys")
    await page.get_by_role("button", name="Lea Verne").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/signed-out")
    assert await page.get_by_text("You are signed out").is_visible()
    await page.goto(preview.url + "/studio")
    assert page.url == f"{preview.url}/welcome?return_to=%2Fstudio"


async def test_the_front_door_leads_each_person_to_their_place(visit):
    for person, place in (("alice", "/studio"), ("bob", "/audit"), ("dave", "/"), (None, "/welcome")):
        one = await visit(person)
        page = await one.go("/")
        assert page.url == one.url + place


async def test_the_way_in_remembers_where_a_person_wanted_to_go(visit):
    one = await visit(None)
    page = await one.go("/studio")
    door = page.get_by_role("link", name="Sign in with Acme ID")
    assert await door.get_attribute("href") == "/auth/sign-in?provider=preview&return_to=%2Fstudio"


async def test_somebody_without_a_role_is_told_what_to_do(visit):
    one = await visit("dave")
    page = await one.go("/")
    assert await page.get_by_text("none of your groups opens a door here yet").is_visible()
    assert await page.get_by_text("Ask whoever looks after Imprimatur").is_visible()


async def test_a_page_that_is_not_there_is_a_page(visit):
    one = await visit("alice", allowed=(MISSING,))
    page = await one.go("/nowhere")
    assert await page.get_by_role("heading", name="Nothing here").is_visible()
    assert await page.get_by_role("link", name="To the front door").is_visible()
