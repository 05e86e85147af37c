"""The webhook against a real receiver that fails in every way a receiver can."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from audit.errors import KeyRefused, SinkRefused, SinkUnavailable
from audit.export import FeedFormat
from audit.push.signature import is_signed, read_secrets, sign
from audit.push.webhook import WebhookSink, WebhookTarget

SECRET = b"0123456789abcdef0123456789abcdef"
OTHER = b"fedcba9876543210fedcba9876543210"


@asynccontextmanager
async def webhook(
    url: str, secret_file: Path, feed_format: FeedFormat = FeedFormat.JSONL, **options: Any
) -> AsyncIterator[WebhookSink]:
    target = {name: options.pop(name) for name in ("ca_file", "authorization_file") if name in options}
    sink = WebhookSink(WebhookTarget(url=url, secret_file=secret_file, **target), feed_format, **options)
    try:
        yield sink
    finally:
        await sink.aclose()


def url_of(server: Any, host: str = "127.0.0.1", scheme: str = "http") -> str:
    return f"{scheme}://{host}:{server.port}/hook/very-secret-path"


async def test_a_delivery_is_signed_and_says_what_it_holds(
    webhook_server: Any, secret_file: Path, records: Any
) -> None:
    async with webhook(url_of(webhook_server), secret_file) as sink:
        await sink.send(records(3))
        await sink.send(records(2, first=3))
    first, second = webhook_server.deliveries
    assert [record["seq"] for record in first.records + second.records] == [0, 1, 2, 3, 4]
    header = first.headers["Imprimatur-Signature"]
    assert is_signed(header, first.body, [SECRET], time.time())
    assert not is_signed(header, first.body + b" ", [SECRET], time.time())
    assert not is_signed(header, second.body, [SECRET], time.time())
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Imprimatur-Delivery"].endswith("/3")
    assert webhook_server.connections == 1  # kept open between batches


@pytest.mark.parametrize("feed_format", list(FeedFormat))
async def test_every_format_goes_through(
    webhook_server: Any, secret_file: Path, records: Any, feed_format: FeedFormat
) -> None:
    async with webhook(url_of(webhook_server), secret_file, feed_format) as sink:
        await sink.send(records(2))
    body = json.loads(webhook_server.deliveries[0].body)
    assert body["format"] == "imprimatur-audit-push/1"
    assert body["records_format"] == feed_format.value
    assert len(body["records"]) == 2
    assert isinstance(body["records"][0], dict) is (feed_format in (FeedFormat.OCSF, FeedFormat.JSONL))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_pass_is_tried_again(
    webhook_server: Any, secret_file: Path, records: Any, answer: Any, status: int
) -> None:
    webhook_server.script = [answer(status=status)]
    async with webhook(url_of(webhook_server), secret_file) as sink:
        with pytest.raises(SinkUnavailable, match=f"answered {status}"):
            await sink.send(records(1))
        await sink.send(records(1))
    assert len(webhook_server.accepted) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 415, 422, 431])
async def test_what_will_not_pass_is_refused(
    webhook_server: Any, secret_file: Path, records: Any, answer: Any, status: int
) -> None:
    webhook_server.script = [answer(status=status, body=b"token=hunter2")]
    async with webhook(url_of(webhook_server), secret_file) as sink:
        with pytest.raises(SinkRefused, match=f"answered {status}") as refused:
            await sink.send(records(1))
    assert refused.value.is_too_large is (status == 413)
    assert "hunter2" not in str(refused.value)
    assert "very-secret-path" not in str(refused.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(
    webhook_server: Any, secret_file: Path, records: Any, answer: Any, status: int
) -> None:
    webhook_server.script = [answer(status=status, headers={"Location": url_of(webhook_server) + "/elsewhere"})]
    async with webhook(url_of(webhook_server), secret_file) as sink:
        with pytest.raises(SinkRefused, match="redirects are not followed"):
            await sink.send(records(1))
    assert len(webhook_server.deliveries) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (format_datetime(datetime(2026, 11, 22, 12, 0, 9, tzinfo=UTC), usegmt=True), 9.0),
        (format_datetime(datetime(2026, 11, 22, 11, 0, tzinfo=UTC), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("９", None),
        ("", None),
    ],
)
async def test_retry_after_is_honoured_as_seconds_or_as_a_date(
    webhook_server: Any, secret_file: Path, records: Any, answer: Any, header: str, seconds: float | None
) -> None:
    if not header.isascii():
        header = header.encode().decode("latin-1")
    webhook_server.script = [answer(status=429, headers={"Retry-After": header})]
    at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()
    async with webhook(url_of(webhook_server), secret_file, clock=lambda: at) as sink:
        with pytest.raises(SinkUnavailable) as caught:
            await sink.send(records(1))
    assert caught.value.retry_after_seconds == seconds


async def test_a_receiver_that_stalls_drips_or_hangs_up_is_tried_again(
    webhook_server: Any, secret_file: Path, records: Any, answer: Any
) -> None:
    webhook_server.script = [answer(stall_seconds=5), answer(drip=True), answer(hang_up=True)]
    async with webhook(url_of(webhook_server), secret_file, total_seconds=0.4, idle_seconds=0.2) as sink:
        began = time.monotonic()
        with pytest.raises(SinkUnavailable, match="did not answer in time"):
            await sink.send(records(1))
        with pytest.raises(SinkUnavailable, match="did not answer in time"):
            await sink.send(records(1))  # each drop comes within the idle limit: only the total one ends it
        assert time.monotonic() - began < 2
        with pytest.raises(SinkUnavailable, match="cannot be reached"):
            await sink.send(records(1))
        await sink.send(records(1))


async def test_an_endless_answer_is_dropped_and_counts_by_its_status(
    webhook_server: Any, secret_file: Path, records: Any, answer: Any
) -> None:
    webhook_server.script = [answer(endless=True)]
    async with webhook(url_of(webhook_server), secret_file, total_seconds=5) as sink:
        began = time.monotonic()
        await sink.send(records(1))
        assert time.monotonic() - began < 2
        await sink.send(records(1, first=1))
    assert webhook_server.connections == 2


async def test_nobody_there_is_tried_again(secret_file: Path, records: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with webhook(f"http://127.0.0.1:{port}/", secret_file) as sink:
        with pytest.raises(SinkUnavailable, match="cannot be reached: ConnectError"):
            await sink.send(records(1))


async def test_tls_is_checked_authority_name_and_age(
    tls_webhook_server: Callable[..., Any], authority: Any, other_authority: Any, secret_file: Path, records: Any
) -> None:
    good = tls_webhook_server(authority.server_context("127.0.0.1"))
    async with webhook(url_of(good, scheme="https"), secret_file, ca_file=authority.file) as sink:
        await sink.send(records(1))
    assert len(good.accepted) == 1
    foreign = tls_webhook_server(other_authority.server_context("127.0.0.1"))
    misnamed = tls_webhook_server(authority.server_context("siem.example.com"))
    expired = tls_webhook_server(authority.server_context("127.0.0.1", days=-1))
    for server, says in (
        (foreign, "unable to get local issuer"),
        (misnamed, "IP address mismatch"),
        (expired, "expired"),
    ):
        async with webhook(url_of(server, scheme="https"), secret_file, ca_file=authority.file) as sink:
            with pytest.raises(SinkUnavailable, match=says):
                await sink.send(records(1))
        assert server.deliveries == []


@pytest.mark.parametrize(
    "url",
    [
        "http://siem.example.com/",
        "http://10.0.0.1/",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "ftp://127.0.0.1/",
        "https:///path",
        "https://user:password@siem.example.com/",
        "https://siem.example.com/#x",
        "siem.example.com",
    ],
)
def test_addresses_that_would_let_records_out_in_the_clear_are_refused(url: str, secret_file: Path) -> None:
    with pytest.raises(ValueError, match=r"expected https|over TLS only|no user"):
        WebhookTarget(url=url, secret_file=secret_file)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/", "https://siem.example/"]
)
def test_loopback_may_be_plain(url: str, secret_file: Path) -> None:
    WebhookTarget(url=url, secret_file=secret_file)


async def test_proxies_of_the_environment_are_not_used(
    webhook_server: Any, secret_file: Path, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with webhook(url_of(webhook_server), secret_file) as sink:
        await sink.send(records(1))
    assert len(webhook_server.accepted) == 1


# -- secrets


async def test_a_secret_is_replaced_without_a_restart(webhook_server: Any, secret_file: Path, records: Any) -> None:
    async with webhook(url_of(webhook_server), secret_file) as sink:
        await sink.send(records(1))
        secret_file.write_bytes(OTHER + b"\n" + SECRET + b"\n")
        await sink.send(records(1))
        secret_file.write_bytes(OTHER + b"\n")
        await sink.send(records(1))
        secret_file.write_bytes(b"short\n")
        with pytest.raises(SinkUnavailable, match="at least 32"):
            await sink.send(records(1))
    held = [
        tuple(is_signed(d.headers["Imprimatur-Signature"], d.body, [secret], time.time()) for secret in (SECRET, OTHER))
        for d in webhook_server.deliveries
    ]
    assert held == [(True, False), (True, True), (False, True)]


@pytest.mark.parametrize(
    ("data", "mode", "says"),
    [
        (b"short", 0o600, "at least 32"),
        (b"", 0o600, "expected one secret"),
        (b"\n".join([SECRET] * 3), 0o600, "got 3"),
        (SECRET, 0o644, "open to group or others"),
    ],
)
def test_secrets_that_are_weak_or_open_are_refused(tmp_path: Path, data: bytes, mode: int, says: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(data)
    path.chmod(mode)
    with pytest.raises(KeyRefused, match=says):
        read_secrets(path)
    with pytest.raises(KeyRefused, match="does not exist"):
        read_secrets(tmp_path / "missing")


async def test_an_authorization_header_comes_from_a_private_file(
    webhook_server: Any, secret_file: Path, records: Any, tmp_path: Path
) -> None:
    path = tmp_path / "authorization"
    path.touch(mode=0o600)
    path.write_text("Splunk 11111111-2222\n")
    async with webhook(url_of(webhook_server), secret_file, authorization_file=path) as sink:
        await sink.send(records(1))
    assert webhook_server.deliveries[0].headers["Authorization"] == "Splunk 11111111-2222"
    path.write_text("one\r\nInjected: header\n")
    target = WebhookTarget(url="https://siem.example/", secret_file=secret_file, authorization_file=path)
    with pytest.raises(KeyRefused, match="not one line of ASCII"):
        WebhookSink(target, FeedFormat.OCSF)


def test_a_signature_holds_for_minutes_and_for_one_body() -> None:
    body, now = b'{"records":[]}', 1_764_115_200
    header = sign(body, [OTHER, SECRET], now)
    assert header.startswith("t=1764115200,v1=")
    # printf '1764115200.{"records":[]}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    assert header.endswith(",v1=c8cdf877da9d49e4cfe2329018d0869ea3565b36fe5b8635237ee4a21aee7682")
    assert is_signed(header, body, [SECRET], now + 299)
    assert not is_signed(header, body, [SECRET], now + 301)
    assert not is_signed(header, body, [SECRET], now - 301)
    assert not is_signed(header.replace("t=1764115200", "t=1764115201"), body, [SECRET], now)
    assert not is_signed(header, body, [os.urandom(32)], now)


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=00", "t=x,v1=00", "t=1,t=1,v1=00", "t=１,v1=00", "=,=,=", "t=1," + "v1=00," * 1000]
)
def test_a_malformed_signature_is_none(header: str) -> None:
    assert not is_signed(header, b"", [SECRET], 1)
