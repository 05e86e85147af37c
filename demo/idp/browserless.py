"""Signs a person in through the real forms, over plain HTTP and without a browser.

Used by the demo's walk and by the tests: nothing is patched, every redirect, cookie and form is the real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx
import pyotp

from demo.idp.people import Person

MAX_PAGES: Final = 12
"""A sign-in is five pages; more means that something goes in circles."""


class SignInStopped(Exception):
    """The sign-in did not come to its end. `response` is the page where it stopped."""

    def __init__(self, message: str, response: httpx.Response) -> None:
        super().__init__(f"{message} ({response.status_code} at {_place(response.url)})")
        self.response = response


@dataclass(slots=True)
class Form:
    """One HTML form: where it goes and what it holds."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


async def sign_in(
    client: httpx.AsyncClient, base_url: str, person: Person, *, provider: str = "canaille", return_to: str = "/"
) -> None:
    """Sign `person` in at the gateway under `base_url`: afterwards `client` holds the session cookie.

    Raises SignInStopped when the gateway or the provider refuses, with the page that says so.
    """
    start = str(httpx.URL(f"{base_url}/auth/sign-in", params={"provider": provider, "return_to": return_to}))
    response = await follow(client, start, base_url, person)
    if not response.is_redirect:
        raise SignInStopped(_sentence(response) or "the gateway refused the sign-in", response)


async def follow(client: httpx.AsyncClient, address: str, base_url: str, person: Person) -> httpx.Response:
    """Open `address`, answer the provider's forms as `person` would, and come back with the gateway's page."""
    home = _origin(base_url)
    response = await client.get(address, follow_redirects=False)
    for _ in range(MAX_PAGES):
        if response.is_redirect:
            there = urljoin(str(response.url), response.headers["location"])
            if _origin(there) == home and not urlsplit(there).path.startswith("/auth/"):
                # Where the gateway sends a person at the end. That page is not part of signing in: do not ask for it.
                return response
            response = await client.get(there, follow_redirects=False)
        elif _origin(str(response.url)) == home:
            return response
        else:
            form = _form_of(response)
            _fill(form, person, response)
            response = await client.post(
                urljoin(str(response.url), form.action), data=form.fields, follow_redirects=False
            )
            if response.status_code == 200 and _same_question(form, response):
                raise SignInStopped("the provider did not accept the answer", response)
    raise SignInStopped(f"no end after {MAX_PAGES} pages", response)


def _fill(form: Form, person: Person, response: httpx.Response) -> None:
    if "login" in form.fields:
        form.fields["login"] = person.name
    elif "password" in form.fields:
        form.fields["password"] = person.password
    elif "otp" in form.fields:
        if person.totp_secret is None:
            raise SignInStopped(f"{person.name} has no second factor to answer with", response)
        form.fields["otp"] = pyotp.TOTP(person.totp_secret).now()
    else:
        raise SignInStopped("the provider asks something unexpected", response)


def _same_question(form: Form, response: httpx.Response) -> bool:
    return "text/html" in response.headers.get("content-type", "") and any(
        name in _form_of(response).fields for name in ("login", "password", "otp") if name in form.fields
    )


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("method", "").lower() == "post":
            self.forms.append(Form(given.get("action", "")))
            self._open = True
        elif tag == "input" and self._open and given.get("name"):
            is_unticked = given.get("type") in {"checkbox", "radio"} and "checked" not in given
            if not is_unticked:
                self.forms[-1].fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False


def _form_of(response: httpx.Response) -> Form:
    parser = _Forms()
    parser.feed(response.text)
    if not parser.forms:
        raise SignInStopped("the provider's page has no form", response)
    return parser.forms[0]


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _sentence(response: httpx.Response) -> str:
    """What the gateway says to the person, where it said it in JSON."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _place(url: httpx.URL) -> str:
    # Without the query: it may hold a code or a state.
    return str(url.copy_with(query=None))
