"""Callers that misbehave: raw connections that stall, leave or read nothing."""

from __future__ import annotations

import io
import json
import socket
import time

from PIL import Image

from tests.unit.model_server.support import PATIENCE_SECONDS, Running, token

CALLS = ("generations", "edits", "variations")
BOUNDARY = "b0undary"


def png(width: int = 24, height: int = 24) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (9, 99, 199)).save(buffer, "PNG")
    return buffer.getvalue()


def part(name: str, data: bytes, filename: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def request(call: str, *, work_id: str = "", length: int | None = None, **fields: object) -> bytes:
    """A whole HTTP request of one of the three calls; with `length`, its head announces another length."""
    if call == "generations":
        body, kind = json.dumps({"prompt": "x", **fields}).encode(), "application/json"
    else:
        texts = {} if call == "variations" else {"prompt": "x"}
        texts |= {name: json.dumps(value).strip('"') for name, value in fields.items()}
        body = form(part("image", png(), "a.png"), *[part(name, str(text).encode()) for name, text in texts.items()])
        kind = f"multipart/form-data; boundary={BOUNDARY}"
    return head(f"/v1/images/{call}", kind, len(body) if length is None else length, work_id) + body


def head(path: str, content_type: str, length: int, work_id: str = "") -> bytes:
    named = f"x-request-id: {work_id}\r\n" if work_id else ""
    return (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token()}\r\n{named}"
        f"content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


def connect(server: Running, receive_buffer_bytes: int | None = None) -> socket.socket:
    caller = socket.socket()
    if receive_buffer_bytes is not None:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    caller.settimeout(PATIENCE_SECONDS)
    caller.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    return caller


def answer(caller: socket.socket) -> tuple[int, str]:
    """Status and text of the answer; reads until the connection ends or the body announced is there."""
    data = b""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        headers, found, body = data.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in headers.split(b"\r\n") if line.startswith(b"content-length")]
        if found and lengths and len(body) >= int(lengths[0]):
            break
        more = caller.recv(65536)
        if not more:
            break
        data += more
    headers, _, body = data.partition(b"\r\n\r\n")
    return int(headers.split(b" ")[1]), body.decode("utf-8", "replace")
