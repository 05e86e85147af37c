from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError
from starlette.requests import Request

from gateway.web.templates import DIRECTORY, render

TEMPLATES = sorted(path.name for path in DIRECTORY.iterdir())


def request(path: str = "/somewhere") -> Request:
    return Request({"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "state": {}})


PROBLEM = {
    "visitor": None,
    "status": 403,
    "code": "policy_denied",
    "title": "Not allowed",
    "message": "None of your roles lets you do this.",
    "reasons": [],
    "request_id": "01a2033e-6394-7688-ae58-061aca1eafce",
}


class Inline(HTMLParser):
    """Collects what a Content-Security-Policy without `unsafe-` forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or "style" in names:
            self.found.append(f"<{tag} style>")
        if tag == "script" and "src" not in names and names.get("type") != "application/json":
            self.found.append("<script> with its text inside")
        self.found += [f"<{tag} {name}>" for name in names if name.startswith("on")]
        self.found += [f"<{tag} {n}={v}>" for n, v in attrs if (v or "").strip().lower().startswith("javascript:")]
        if tag in ("base", "iframe", "object", "embed"):
            self.found.append(f"<{tag}>")


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_holds_anything_that_our_content_security_policy_forbids(name):
    inline = Inline()
    inline.feed((DIRECTORY / name).read_text())
    assert inline.found == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_switches_escaping_off(name):
    text = (DIRECTORY / name).read_text()
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text)


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name.endswith(".html")])
def test_every_sentence_is_marked_for_translation(name):
    """Words between tags that are neither an expression nor markup would stay English for ever."""
    text = (DIRECTORY / name).read_text()
    text = re.sub(r"<pre.*?</pre>|<svg.*?</svg>|<script.*?</script>|\{#.*?#\}", " ", text, flags=re.S)
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", text, flags=re.S)
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"<[^>]*>|&\w+;", " ", text))
    allowed = {"Imprimatur", "Ctrl", "Esc", "imp", "pat", "svc"}  # the name, keys of a keyboard, what a key begins with
    assert [word for word in words if word not in allowed] == []


def test_what_people_write_is_text_and_never_markup():
    html = render("problem.html", request(), {**PROBLEM, "message": "<img src=x onerror=alert(1)>"})
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_a_name_that_is_missing_is_an_error_and_not_an_empty_space():
    context = {name: value for name, value in PROBLEM.items() if name != "message"}
    with pytest.raises(UndefinedError):
        render("problem.html", request(), context)


def test_a_problem_page_says_what_and_how_to_ask_for_help():
    html = render("problem.html", request(), PROBLEM)
    assert "<h1>Not allowed</h1>" in html
    assert PROBLEM["message"] in html
    assert PROBLEM["request_id"] in html


def test_a_reason_is_not_said_twice():
    reason = {"code": "role.not-permitted", "message": "None of your roles lets you do this.", "severity": "medium"}
    other = {"code": "network.not-permitted", "message": "You are outside.", "severity": "medium", "help": "Come in."}
    html = render("problem.html", request(), {**PROBLEM, "reasons": [reason, other]})
    assert html.count(reason["message"]) == 1
    assert "You are outside." in html
    assert "Come in." in html
