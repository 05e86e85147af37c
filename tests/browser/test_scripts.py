"""The small modules of the studio, one by one, in the browser that runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_asyncio

from gateway.web.static_files import static_tree


async def run(page: Any, name: str, body: str) -> Any:
    """What an expression over module `m` gives."""
    return await page.evaluate(
        f"async () => {{ const m = await import({static_tree().address(f'js/{name}.js')!r}); return await ({body}); }}"
    )


@pytest_asyncio.fixture(loop_scope="session")
async def page(visit):
    """A page of ours without scripts of its own."""
    return await (await visit(None)).go("/welcome")


SSE = """(async () => {
  const chunks = %s;
  const body = new ReadableStream({ start(c) {
    const encoder = new TextEncoder();
    for (const chunk of chunks) c.enqueue(encoder.encode(chunk));
    c.close();
  } });
  const seen = [];
  try { for await (const e of m.events(body)) seen.push([e.event, e.data]); } catch (e) { seen.push(String(e)); }
  return seen;
})()"""


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (["event: a\ndata: 1\n\nevent: b\ndata: 2\n\n"], [["a", "1"], ["b", "2"]]),
        (["event: a\nda", "ta: 1\n", "\nevent: b\ndata: 2\n\n"], [["a", "1"], ["b", "2"]]),
        (["event: a\r\ndata: 1\r\n\r", "\nevent: b\r\ndata: 2\r\n\r\n"], [["a", "1"], ["b", "2"]]),
        (["data: one\ndata: two\n\n"], [["message", "one\ntwo"]]),
        ([": a comment\n\ndata:1\n\n"], [["message", "1"]]),
        (["data:  two spaces\n\n"], [["message", " two spaces"]]),
        (["data\n\n"], [["message", ""]]),
        (["id: 7\nretry: 5\n\n"], []),
        (["data: 🦊\n\n"], [["message", "🦊"]]),
        ([], []),
        (["data: cut off"], ["Error: the stream ended inside an event"]),
    ],
)
async def test_a_stream_is_read_as_the_standard_says(page, chunks, expected):
    assert await run(page, "sse", SSE % json.dumps(chunks)) == expected


async def test_a_stream_cut_at_every_byte_reads_the_same(page):
    text = 'event: p\ndata: {"b": "🦊é"}\n\n: x\n\ndata: 2\r\n\r\n'
    raw = list(text.encode())
    body = f"""(async () => {{
      const bytes = new Uint8Array({raw});
      const all = new Set();
      for (let cut = 0; cut <= bytes.length; cut++) {{
        const parts = [bytes.slice(0, cut), bytes.slice(cut)];
        const stream = new ReadableStream({{ start(c) {{ parts.forEach((p) => c.enqueue(p)); c.close(); }} }});
        const seen = [];
        for await (const e of m.events(stream)) seen.push([e.event, e.data]);
        all.add(JSON.stringify(seen));
      }}
      return [...all];
    }})()"""
    assert [json.loads(one) for one in await run(page, "sse", body)] == [[["p", '{"b": "🦊é"}'], ["message", "2"]]]


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("abc", [], [["abc", None]]),
        ("abc", [[1, 2, "x"]], [["a", None], ["b", "x"], ["c", None]]),
        ("🦊 a@b.c!", [[2, 7, "mail"]], [["🦊 ", None], ["a@b.c", "mail"], ["!", None]]),
        ("abcdef", [[0, 4, "x"], [2, 6, "y"]], [["abcd", "x"], ["ef", "y"]]),
        ("abcdef", [[0, 6, "x"], [1, 2, "y"]], [["abcdef", "x"]]),
        ("abc", [[3, 9, "x"], [2, 1, "y"], [2, 99, "z"]], [["ab", None], ["c", "z"]]),
        ("", [[0, 1, "x"]], []),
    ],
)
async def test_spans_counted_in_code_points_are_found_in_utf_16(page, text, spans, expected):
    asked = [{"start": s, "end": e, "value": v} for s, e, v in spans]
    found = await run(page, "spans", f"m.pieces({json.dumps(text)}, {json.dumps(asked)})")
    assert [[piece["text"], piece["mark"]] for piece in found] == expected


async def test_what_ranks_higher_is_marked_within_what_is_wider(page):
    spans = '[{start: 0, end: 6, value: "review"}, {start: 2, end: 4, value: "deny"}]'
    found = await run(page, "spans", f'm.pieces("abcdef", {spans}, (v) => Number(v === "deny"))')
    assert [(piece["text"], piece["mark"]) for piece in found] == [("ab", "review"), ("cd", "deny"), ("ef", "review")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("4111 1111 1111 1111", "4111 •••• •••• 1111"),
        ("078-05-1120", "07•-••-••20"),
        ("dana@example.com", "dana@•••••••.com"),
        ("abc", "a•c"),
    ],
)
async def test_what_was_found_is_shown_no_more_than_it_takes_to_recognise_it(page, value, expected):
    assert await run(page, "spans", f"m.conceal({json.dumps(value)})") == expected


@pytest.mark.parametrize(
    ("words", "format", "expected"),
    [
        ("A fox on a blue background", "png", "a-fox-on-a-blue-background-1eafce00-1.png"),
        ("../../etc/passwd", "webp", "etc-passwd-1eafce00-1.webp"),
        ("Über Größe: 100 %", "jpeg", "uber-große-100-1eafce00-1.jpg"),
        ("红色蘑菇", "png", "红色蘑菇-1eafce00-1.png"),
        ("???", "png", "picture-1eafce00-1.png"),
        ("CON", "png", "con-1eafce00-1.png"),
        ("word " * 30, "png", "word-word-word-word-word-word-word-word-word-1eafce00-1.png"),
        ("a\u202egnp.exe", "png", "a-gnp-exe-1eafce00-1.png"),
    ],
)
async def test_a_file_name_is_made_of_words_and_nothing_else(page, words, format, expected):
    body = f"m.fileName({json.dumps(words)}, '01a2033e-6394-7688-ae58-06ac1eafce00', 0, {format!r})"
    assert await run(page, "pictures", body) == expected


@pytest.mark.parametrize("format", ["svg", "html", "png\\u0000", "image/svg+xml", "__proto__", "constructor"])
async def test_bytes_of_any_other_kind_never_become_an_address(page, format):
    body = f"(() => {{ try {{ return m.pictureAddress('AAAA', '{format}'); }} catch (e) {{ return 'refused'; }} }})()"
    assert await run(page, "pictures", body) == "refused"
