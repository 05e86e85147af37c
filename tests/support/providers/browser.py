"""A person with a browser, over plain HTTP: follows every redirect and answers every form as they would."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from demo.idp.browserless import SignInStopped, _fill, _form_of, _same_question
from demo.idp.people import Person
from tests.support.providers.base import RunningProvider

MAX_PAGES: Final = 25


async def sign_in(
    browser: httpx.AsyncClient, idp: RunningProvider, base_url: str, person: Person, *, return_to: str = "/"
) -> httpx.Response:
    """Sign `person` in at the gateway under `base_url`; afterwards `browser` holds the session cookie. Raises
    SignInStopped with the page where it ended when the provider or the gateway refuses."""
    start = str(httpx.URL(f"{base_url}/auth/sign-in", params={"provider": idp.name, "return_to": return_to}))
    response = await follow(browser, idp, base_url, start, person)
    if not response.is_redirect:
        raise SignInStopped("the gateway refused the sign-in", response)
    return response


async def follow(
    browser: httpx.AsyncClient, idp: RunningProvider, base_url: str, address: str, person: Person
) -> httpx.Response:
    """Open `address` and go on until the gateway under `base_url` answers; that answer. A redirect to a page of it
    outside /auth is not followed: it is where the person ends up. Nor is one to anybody else, so that with another
    `base_url` the person stops in front of the callback."""
    provider, home = _origin(idp.issuer), _origin(base_url)
    response = await browser.get(address, follow_redirects=False)
    for _ in range(MAX_PAGES):
        if response.is_redirect:
            there = urljoin(str(response.url), response.headers["location"])
            is_ours = _origin(there) == home and urlsplit(there).path.startswith("/auth/")
            if _origin(there) != provider and not is_ours:
                return response
            response = await browser.get(there, follow_redirects=False)
        elif _origin(str(response.url)) != provider or response.is_error or idp.is_end(response):
            return response
        elif (special := await idp.answer(browser, response, person)) is not None:
            response = special
        else:
            response = await _answer_form(browser, response, person)
    raise SignInStopped(f"no end after {MAX_PAGES} pages", response)


async def _answer_form(browser: httpx.AsyncClient, page: httpx.Response, person: Person) -> httpx.Response:
    form = _form_of(page)
    is_question = bool(form.fields.keys() & {"login", "password", "otp"})
    if is_question:
        _fill(form, person, page)  # else a form that its page sends by itself, or a button to press
    answer = await browser.post(urljoin(str(page.url), form.action), data=form.fields, follow_redirects=False)
    if is_question and answer.status_code == 200 and "<form" in answer.text and _same_question(form, answer):
        raise SignInStopped("the provider did not accept the answer", answer)
    return answer


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
