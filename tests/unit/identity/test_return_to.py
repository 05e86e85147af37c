from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.return_to import local_path

HOSTILE = [
    None,
    "",
    "https://evil.example",
    "http:evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example/a",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "@evil.example",
    "/%2f/evil.example",
    "/%2F%2Fevil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "/%09/evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/a//evil.example",
    "/./evil",
    "/..//evil.example",
    "/.//evil.example",
    "/a\r\nSet-Cookie: x=1",
    "/a#//evil.example",
    "/\u2028/evil",
    "/ünïcode",
    "//[::1]/",
    "/\x00",
    "/auth/sign-in",
    "/auth/callback/company?code=1",
    "/" + "a" * 1024,
    "?next=//evil.example",
    "#",
]
GOOD = [
    "/",
    "/studio",
    "/studio?draft=1&n=2",
    "/audit/records/0198-a?q=bob%20smith",
    "/keys?name=%C3%A9",
    "/a-b_c~d.e/f",
]


@pytest.mark.parametrize("asked", HOSTILE)
def test_place_that_is_not_a_path_of_ours_becomes_the_front_page(asked: str | None) -> None:
    assert local_path(asked) == "/"


@pytest.mark.parametrize("asked", GOOD)
def test_path_of_ours_is_kept(asked: str) -> None:
    assert local_path(asked) == asked


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from(list("/\\.%2f5c0aA@:?#[] \t\nevil&=")), max_size=24) | st.text(max_size=24))
def test_no_text_whatever_leads_to_another_host(asked: str) -> None:
    there = urlsplit(urljoin("https://imprimatur.example/auth/callback", local_path(asked).replace("\\", "/")))
    assert (there.scheme, there.netloc) == ("https", "imprimatur.example")
