from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.web.pages import wants_json


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", True),
        ("application/json, text/plain, */*", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("text/html, application/json", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_a_program_names_json_and_a_browser_names_html(accept, expected):
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    assert wants_json(request) is expected
