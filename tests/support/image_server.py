"""A small OpenAI-shaped image server over plain sockets, and every way in which such a server can fail.

`async with ImageServerDouble() as server:` listens on loopback and speaks generations, edits and variations.
`server.behaviour` says what the next requests get; `server.requests` holds the fields that came, `server.files` the
files beside them, `server.gone` counts connections that the client closed in the middle.

It is a stranger's server: its list of models announces none of our own fields, unless `server.listing` is `OURS`.
"""

from __future__ import annotations

import asyncio
import base64
import email.parser
import email.policy
import io
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

from PIL import Image


@dataclass(frozen=True)
class SentFile:
    """A file of a form, as it came."""

    field: str
    name: str
    media_type: str
    data: bytes


Handler = Callable[["ImageServerDouble", dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


def png(width: int = 32, height: int = 32, colour: str = "navy") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


WIDTH, HEIGHT = 32, 32
STEMS = {
    "/v1/images/generations": "image_generation",
    "/v1/images/edits": "image_edit",
    "/v1/images/variations": "image_variation",
}
B64 = base64.b64encode(png()).decode()
LISTING = {"id": "imprimatur-embedded", "sizes": ["auto", "32x32"], "max_n": 4}
OURS = LISTING | {
    "tasks": ["generate", "edit", "vary"],
    "steps": {"default": 4, "minimum": 1, "maximum": 200},
    "guidance": {"default": 3, "minimum": 0, "maximum": 30},
    "strength": {"default": 0.6, "minimum": 0.1, "maximum": 1},
    "sketch": True,
    "max_input_images": 4,
}
"""An entry of a model server that speaks our wire."""

PROVENANCE = {"model": "double", "model_digest": "sha256:00", "seed": 1, "steps": 4, "guidance": 3.0, "scheduler": "x"}
USAGE = {"input_tokens": 3, "input_tokens_details": {"text_tokens": 3, "image_tokens": 0}, "output_tokens": 5}


class ImageServerDouble:
    """Answers like an image server, or like a broken one."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls
        self.behaviour: Handler = good
        self.listing: dict[str, Any] = LISTING
        self.requests: list[dict[str, Any]] = []
        self.files: list[list[SentFile]] = []  # of each request, in the order in which they came
        self.paths: list[str] = []
        self.cancelled: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.gone = 0
        self.reader = asyncio.StreamReader()  # of the newest connection
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.reader = reader
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if ": " in line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.headers.append(headers)
            if head[0].startswith("GET /v1/models"):
                await answer(writer, {"data": [self.listing]})
            elif head[0].startswith("GET"):
                await answer(writer, {})
            elif head[0].endswith("/cancel HTTP/1.1"):
                self.cancelled.append(head[0].split("/")[3])
                await answer(writer, {})
            else:
                asked, files = _read(headers["content-type"], body)
                self.paths.append(head[0].split(" ")[1])
                self.files.append(files)
                self.requests.append(asked)
                await self.behaviour(self, asked, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone += 1
        finally:
            self._open.discard(writer)
            writer.close()


def _read(content_type: str, body: bytes) -> tuple[dict[str, Any], list[SentFile]]:
    """Fields and files of a body: JSON, or a form as the standard library reads mail."""
    if content_type.startswith("application/json"):
        return json.loads(body), []
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    form = parser.parsebytes(f"content-type: {content_type}\r\n\r\n".encode() + body)
    asked: dict[str, Any] = {}
    files = []
    for part in form.iter_parts():
        field = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if part.get_filename() is None:
            asked[field] = data.decode()
        else:
            files.append(SentFile(field, str(part.get_filename()), part.get_content_type(), data))
    asked["n"] = int(asked.get("n", 1))
    asked["stream"] = asked.get("stream") == "true"
    return asked, files


async def answer(writer: asyncio.StreamWriter, body: Any, status: int = 200, extra: str = "") -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    writer.write(
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n"
        f"connection: close\r\n{extra}\r\n".encode()
        + raw
    )
    await writer.drain()


async def good(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Makes what was asked for: a navy square, or the picture that came with a navy hole where the mask has one."""
    offered = server.listing["sizes"]
    if asked.get("size", "auto") not in offered:
        problem = {"message": f"size: {', '.join(offered)}", "param": "size", "code": "unsupported_value"}
        await answer(writer, {"error": problem}, 400)
        return
    b64 = base64.b64encode(_picture(server.files[-1])).decode()
    size = f"{WIDTH}x{HEIGHT}" if not server.files[-1] else _size(server.files[-1][0].data)
    if asked.get("stream"):
        stem = STEMS[server.paths[-1]]
        await _stream_head(writer)
        for step in range(1, 4):
            await event(writer, f"{stem}.progress", {"step": step, "steps": 3})
        await event(
            writer, f"{stem}.partial_image", {"b64_json": b64, "partial_image_index": 0, "index": 0, "size": size}
        )
        for index in range(asked["n"]):
            finished = {"b64_json": b64, "index": index, "size": size, "usage": USAGE, "provenance": PROVENANCE}
            await event(writer, f"{stem}.completed", finished)
        return
    body = {"created": 1, "size": size, "usage": USAGE, "provenance": PROVENANCE}
    await answer(writer, body | {"data": [{"b64_json": b64} for _ in range(asked["n"])]})


def _picture(files: list[SentFile]) -> bytes:
    if not files:
        return png(WIDTH, HEIGHT)
    picture = Image.open(io.BytesIO(files[0].data)).convert("RGB")
    new = Image.new("RGB", picture.size, "navy")
    masks = [file for file in files if file.field == "mask"]
    if masks:
        new.paste(picture, mask=_alpha(masks[0].data))
    out = io.BytesIO()
    new.save(out, "PNG")
    return out.getvalue()


def _alpha(data: bytes) -> Image.Image:
    """Where the picture is to stay."""
    return Image.open(io.BytesIO(data)).convert("RGBA").getchannel("A").point(lambda a: 255 if a else 0)


def _size(data: bytes) -> str:
    width, height = Image.open(io.BytesIO(data)).size
    return f"{width}x{height}"


async def _stream_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    await writer.drain()


async def event(writer: asyncio.StreamWriter, name: str, data: dict[str, Any]) -> None:
    writer.write(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode())
    await writer.drain()


def saying(body: Any, status: int = 200, extra: str = "") -> Handler:
    """Answers this, whatever was asked."""

    async def handler(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await answer(writer, body, status, extra)

    return handler


async def reset(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def half_a_body(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{")
    await writer.drain()


async def not_http(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await writer.drain()


async def stall(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Never answers; notices when the client goes."""
    if asked.get("stream"):
        await _stream_head(writer)
        await event(writer, "image_generation.progress", {"step": 1, "steps": 100})
    while not (writer.transport.is_closing() or server.reader.at_eof()):
        await asyncio.sleep(0.02)
        if asked.get("stream"):
            writer.write(b": still here\n\n")
            await writer.drain()
    server.gone += 1


async def stream_that_ends_early(
    server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter
) -> None:
    await _stream_head(writer)
    await event(writer, "image_generation.progress", {"step": 1, "steps": 3})


async def stream_with_an_error(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await _stream_head(writer)
    await event(writer, "error", {"error": {"message": "out of memory", "code": "server_error"}})


BROKEN: dict[str, tuple[Handler, str]] = {
    "reset": (reset, "model_unavailable"),
    "half a body": (half_a_body, "model_unavailable"),
    "not HTTP": (not_http, "model_unavailable"),
    "not JSON": (saying(b"<html>proxy error</html>"), "model_broken_answer"),
    "empty 200": (saying(b""), "model_broken_answer"),
    "a list": (saying([1, 2]), "model_broken_answer"),
    "no pictures": (saying({"data": []}), "model_broken_answer"),
    "too many pictures": (saying({"data": [{"b64_json": B64}] * 9}), "model_broken_answer"),
    "broken base64": (saying({"data": [{"b64_json": "@@@"}]}), "model_broken_answer"),
    "empty picture": (saying({"data": [{"b64_json": ""}]}), "model_broken_answer"),
    "picture without a body": (saying({"data": [{"url": "http://169.254.169.254/"}]}), "model_broken_answer"),
    "500": (saying({"error": {"message": "boom"}}, 500), "model_broken_answer"),
    "401": (saying({"error": {"message": "bad token"}}, 401), "model_unavailable"),
    "404": (saying({"error": {"message": "nothing"}}, 404), "model_unavailable"),
    "429": (saying({"error": {"message": "busy"}}, 429, "retry-after: 7\r\n"), "model_overloaded"),
    "503": (saying({"error": {"message": "busy"}}, 503), "model_overloaded"),
    "504": (saying({"error": {"message": "late", "code": "deadline_exceeded"}}, 504), "model_unavailable"),
    "a redirect": (saying({}, 307, "location: http://127.0.0.1:9/\r\n"), "model_broken_answer"),
}
