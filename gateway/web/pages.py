"""What every page route does last: find the visitor, draw the template, answer in the form that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from gateway.exchange import Actor
from gateway.web import drafts
from gateway.web.templates import render
from gateway.web.visitors import visitor_of


def page(
    request: Request, actor: Actor | None, name: str, context: Mapping[str, Any], status: int = 200
) -> HTMLResponse:
    """The template `name` for `actor`. Private to them: kept by no cache, theirs or a proxy's."""
    visitor = None if actor is None else visitor_of(request, actor)
    html, spent = drafts.fill(request, actor, render(name, request, {**context, "visitor": visitor}))
    response = HTMLResponse(html, status, headers={"cache-control": "no-store", "vary": "accept, cookie"})
    if spent is not None:
        drafts.attach(response, spent)
    return response


def problem_page(request: Request, status: int, context: Mapping[str, Any]) -> Response:
    """The page of a refusal or a failure (`gateway/problems.py` says what goes into `context`)."""
    actor = getattr(request.state, "actor", None)
    visitor = getattr(request.state, "visitor", None) or (None if actor is None else visitor_of(request, actor))
    html = render("problem.html", request, {**context, "visitor": visitor})
    return HTMLResponse(html, status, headers={"cache-control": "no-store"})


def wants_json(request: Request) -> bool:
    """Whether a program asked: JSON named and HTML not. A browser names HTML, and `*/*` gets the page."""
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept
