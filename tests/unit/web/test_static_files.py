from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.web.static_files import DIRECTORY, PREFIX, StaticTree, static_tree

OURS = [name for name in static_tree().names() if not name.startswith("vendor/")]


def client(tree: StaticTree) -> httpx.AsyncClient:
    app = Starlette(routes=[Mount(PREFIX, tree)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_a_file_of_this_revision_may_be_kept_for_ever():
    tree = static_tree()
    async with client(tree) as browser:
        answer = await browser.get(tree.address("css/tokens.css"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text == (DIRECTORY / "css/tokens.css").read_text()


async def test_a_file_asked_for_by_another_revision_is_served_but_not_kept():
    async with client(static_tree()) as browser:
        answer = await browser.get("/static/0000000000000000/css/tokens.css")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


async def test_text_is_sent_compressed_to_whoever_can_read_it():
    tree = static_tree()
    async with client(tree) as browser:
        packed = await browser.get(tree.address("css/base.css"), headers={"accept-encoding": "gzip"})
        plain = await browser.get(tree.address("css/base.css"), headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content)
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content


@pytest.mark.parametrize(
    "path",
    [
        "/static/x/../static_files.py",
        "/static/x/..%2fstatic_files.py",
        "/static/x/%2e%2e/%2e%2e/settings.py",
        "/static/x//etc/passwd",
        "/static/x/css",
        "/static/x/",
        "/static/",
        "/static/x/css/tokens.css%00.js",
    ],
)
async def test_nothing_outside_the_tree_can_be_reached(path):
    async with client(static_tree()) as browser:
        assert (await browser.get(path)).status_code == 404


async def test_the_tree_can_only_be_read():
    tree = static_tree()
    async with client(tree) as browser:
        assert (await browser.post(tree.address("css/base.css"))).status_code == 405
        head = await browser.head(tree.address("css/base.css"))
    assert head.status_code == 200
    assert head.content == b""


def test_a_changed_file_changes_every_address(tmp_path: Path):
    (tmp_path / "a.js").write_text("1")
    (tmp_path / "b.js").write_text("2")
    before = StaticTree(tmp_path).address("a.js")
    (tmp_path / "b.js").write_text("3")
    assert StaticTree(tmp_path).address("a.js") != before


def test_a_file_of_a_kind_we_do_not_serve_stops_the_start(tmp_path: Path):
    (tmp_path / "page.html").write_text("<script>")
    with pytest.raises(ValueError, match=r"page\.html"):
        StaticTree(tmp_path)


def test_an_address_that_is_not_there_is_an_error_and_not_a_broken_page():
    with pytest.raises(KeyError):
        static_tree().address("css/nothing.css")


def test_every_import_and_every_font_of_our_files_is_there():
    for name in OURS:
        text = (DIRECTORY / name).read_text()
        for target in re.findall(r'(?:from|import)\s+"(\.[^"]+)"|url\("([^"]+)"\)', text):
            path = (Path(name).parent / (target[0] or target[1])).as_posix()
            parts: list[str] = []
            for part in path.split("/"):
                if part == "..":
                    parts.pop()
                elif part != ".":
                    parts.append(part)
            assert "/".join(parts) in static_tree(), f"{name} asks for {target}"


def test_the_studio_is_light_to_load():
    studio = [name for name in OURS if name.endswith((".js", ".css"))]
    together = sum(len(gzip.compress((DIRECTORY / name).read_bytes(), 9)) for name in studio)
    assert together <= 60 * 1024, f"our own scripts and styles weigh {together} bytes gzipped"


SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(\s*[\"'](?:on|style)"
    r"|createContextualFragment|srcdoc|DOMParser|setHTMLUnsafe|\.cssText"
)


@pytest.mark.parametrize("name", [name for name in OURS if name.endswith(".js")])
def test_no_script_makes_markup_out_of_text(name):
    """DOM XSS starts where a string becomes markup. Trusted Types stop it in browsers that know them; this stops it in
    review, for those that don't."""
    assert not SINKS.search((DIRECTORY / name).read_text())


@pytest.mark.parametrize("name", OURS)
def test_nothing_is_fetched_from_anywhere_else(name):
    text = (DIRECTORY / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|url\(\s*[\"']?//", text)
