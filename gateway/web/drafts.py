"""A form that met "first a fresh second factor" comes back as it was: its fields filled, nothing sent.

`keep` is called by `gateway/problems.py` when it sends the person away; `fill` by `pages.page` when they are back.
Pages and forms know nothing of it.
"""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser
from itertools import accumulate
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import Response

from gateway.api.access import credentials_of
from gateway.exchange import Actor
from gateway.identity.cookies import Cookie
from gateway.identity.drafts import Draft
from gateway.services import services_of

_TYPED: Final = frozenset({"text", "search", "email", "url", "number", "date", "datetime-local", "time", ""})
"""Kinds of input whose value is what somebody typed. Never `hidden` or `password`: those are the page's and secret."""
NOTE: Final = "You are back, and what you wrote is still here. Look at it, then send it again."


def keep(request: Request, response: Response, page: str) -> None:
    """Let `response` keep the form of `request` for when the person is back on `page`."""
    fields, actor = getattr(request.state, "form", None), getattr(request.state, "actor", None)
    if not fields or not isinstance(actor, Actor):
        return
    cookie = services_of(request).identity.drafts.keep(actor.id, page, Draft(request.url.path, fields))
    if cookie is not None:
        attach(response, cookie)


def fill(request: Request, actor: Actor | None, html: str, note: str = NOTE) -> tuple[str, Cookie | None]:
    """`html` with the draft that waits for this person and page, and the cookie by which that is then forgotten."""
    if actor is None or request.method != "GET":
        return html, None
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    drafts = services_of(request).identity.drafts
    draft = drafts.take(credentials_of(request).cookie, actor.id, here)
    return (html, None) if draft is None else (filled(html, draft, note), drafts.forget())


def filled(html: str, draft: Draft, note: str = NOTE) -> str:
    """`html` with the fields of the forms that post to the draft's action set to what it holds; all else unchanged."""
    filler = _Filler(html, draft, note)
    filler.feed(html)
    filler.close()
    for start, end, text in sorted(filler.changes, reverse=True):
        html = html[:start] + text + html[end:]
    return html


def attach(response: Response, cookie: Cookie) -> None:
    """Let `response` set `cookie`."""
    response.set_cookie(
        cookie.name,
        cookie.value,
        max_age=cookie.max_age_seconds,
        path="/",
        secure=cookie.secure,
        httponly=True,
        samesite="lax",
    )


class _Filler(HTMLParser):
    """Notes what has to change, by place; so that everything else stays byte for byte."""

    def __init__(self, html: str, draft: Draft, note: str) -> None:
        super().__init__(convert_charrefs=True)
        self.changes: list[tuple[int, int, str]] = []
        self._lines = [0, *accumulate(len(line) + 1 for line in html.split("\n"))]  # as the parser counts them
        self._draft = draft
        self._note = note
        self._is_inside = False
        self._select: str | None = None
        self._textarea: tuple[int, str] | None = None
        self._details: list[tuple[int, int, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            method = given.get("method", "get").lower()
            self._is_inside = method == "post" and urlsplit(given.get("action", "")).path == self._draft.action
            if self._is_inside and self._note:
                self._change(self._after(), self._after(), f'<p class="note" role="status">{escape(self._note)}</p>')
                self._note = ""
            if self._is_inside:
                self._unfold()
        elif tag == "details":
            self._details.append((self._before(), self._after(), given))
        elif not self._is_inside:
            return
        elif tag == "select":
            self._select = self._draft.fields.get(name)
        elif tag == "option" and self._select is not None:
            self._mark(tag, given, "selected", given.get("value") == self._select)
        elif tag == "textarea" and name in self._draft.fields:
            self._textarea = (self._after(), self._draft.fields[name])
        elif tag == "input" and given.get("type", "").lower() in ("radio", "checkbox"):
            # A box that was not ticked is not among the fields; a form without any of that name says so too.
            self._mark(tag, given, "checked", self._draft.fields.get(name) == given.get("value", "on"))
        elif tag == "input" and name in self._draft.fields and given.get("type", "").lower() in _TYPED:
            self._replace(tag, given | {"value": self._draft.fields[name]})

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._textarea is not None:
            start, text = self._textarea
            self._change(start, self._before(), escape(text))
            self._textarea = None
        elif tag == "select":
            self._select = None
        elif tag == "form":
            self._is_inside = False
        elif tag == "details" and self._details:
            self._details.pop()

    def _unfold(self) -> None:
        """Nobody finds what they wrote inside something that is closed again."""
        for start, end, given in self._details:
            self._replace("details", given | {"open": ""}, start, end)
        self._details = []

    def _mark(self, tag: str, given: dict[str, str], name: str, is_set: bool) -> None:
        if (name in given) != is_set:
            self._replace(tag, given | {name: ""} if is_set else {n: v for n, v in given.items() if n != name})

    def _replace(self, tag: str, given: dict[str, str], start: int | None = None, end: int | None = None) -> None:
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
        where = (self._before(), self._after()) if start is None or end is None else (start, end)
        self._change(*where, f"<{tag}{attributes}>")

    def _change(self, start: int, end: int, text: str) -> None:
        self.changes.append((start, end, text))

    def _before(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _after(self) -> int:
        return self._before() + len(self.get_starttag_text() or "")
