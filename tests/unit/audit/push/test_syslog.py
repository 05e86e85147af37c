"""Syslog against a real receiver over TLS on this machine."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from audit.errors import SinkUnavailable
from audit.export import FeedFormat
from audit.push.syslog import Recent, SyslogSink, SyslogTarget, frame, syslog_message
from audit.record import Subject

# RFC 5424, section 6, as far as these messages use it.
RFC5424 = re.compile(
    rb"<(?P<priority>[0-9]{1,3})>1 (?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{1,6}Z) "
    rb"(?P<host>[\x21-\x7e]{1,255}) (?P<app>[\x21-\x7e]{1,48}) (?P<process>[\x21-\x7e]{1,128}) "
    rb"(?P<id>[\x21-\x7e]{1,32}) "
    rb"(?P<data>(?:\[[\x21-\x7e]{1,32}(?: [\x21-\x7e]{1,32}=\"[^\"\\\]]*\")*\])+) (?P<text>.*)",
    re.DOTALL,
)


@asynccontextmanager
async def syslog(
    server: Any,
    scheme: str = "syslog+tls",
    host: str = "127.0.0.1",
    feed_format: FeedFormat = FeedFormat.OCSF,
    **options: Any,
) -> AsyncIterator[SyslogSink]:
    names = ("connect_seconds", "send_seconds", "settle_seconds")
    limits = {"settle_seconds": 0.1, **{name: options.pop(name) for name in names if name in options}}
    target = SyslogTarget.parse(f"{scheme}://127.0.0.1:{server.port}", **options)
    sink = SyslogSink(target, feed_format, **limits)
    try:
        yield sink
    finally:
        await sink.aclose()


async def arrived(server: Any, count: int) -> list[bytes]:
    async with asyncio.timeout(5):
        while len(server.messages) < count:
            await asyncio.sleep(0.005)
    return list(server.messages)


@pytest.mark.parametrize("feed_format", list(FeedFormat))
async def test_messages_arrive_framed_and_well_formed(
    syslog_server: Any, authority: Any, records: Any, feed_format: FeedFormat
) -> None:
    async with (
        syslog_server.running(authority.server_context("127.0.0.1")),
        syslog(syslog_server, ca_file=authority.file, feed_format=feed_format) as sink,
    ):
        await sink.send(records(3, subject=Subject(actor="Zoë\nroot")))
        await sink.send(records(1, first=3))
        messages = await arrived(syslog_server, 4)
    assert syslog_server.connections == 1
    for seq, message in enumerate(messages):
        match = RFC5424.fullmatch(message)
        assert match is not None
        assert match["priority"] == b"110"  # 13 * 8 + 6
        assert match["app"] == b"imprimatur"
        assert match["host"] == b"gateway-1"
        assert match["id"] == b"admin"
        assert f'sequenceId="{seq + 1}"'.encode() in match["data"]
        assert b"\n" not in match["text"]
    if feed_format is FeedFormat.OCSF:
        match = RFC5424.fullmatch(messages[0])
        assert match is not None
        assert json.loads(match["text"])["metadata"]["sequence"] == 0


def test_severity_follows_the_effect_and_the_sequence_begins_again(records: Any) -> None:
    from dataclasses import replace

    (record,) = records(1)
    for effect, priority in (("deny", b"<108>"), ("review", b"<109>"), ("allow", b"<110>"), ("", b"<110>")):
        changed = replace(record, envelope=replace(record.envelope, effect=effect))
        assert syslog_message(changed, "x").startswith(priority)
    changed = replace(record, envelope=replace(record.envelope, seq=2**31 - 1, node="a b\n", boot=""))
    message = syslog_message(changed, "x")
    assert b'sequenceId="1"' in message
    assert RFC5424.fullmatch(message)
    assert b" a_b_ imprimatur - " in message


def test_a_frame_counts_bytes_and_not_characters() -> None:
    assert frame("Ä".encode()) == b"2 \xc3\x84"


async def test_tls_is_checked_authority_name_and_age(
    syslog_server: Any, authority: Any, other_authority: Any, records: Any
) -> None:
    for context, says in (
        (other_authority.server_context("127.0.0.1"), "unable to get local issuer"),
        (authority.server_context("siem.example.com"), "IP address mismatch"),
        (authority.server_context("127.0.0.1", days=-1), "expired"),
    ):
        async with syslog_server.running(context), syslog(syslog_server, ca_file=authority.file) as sink:
            with pytest.raises(SinkUnavailable, match=says):
                await sink.send(records(1))
    assert syslog_server.messages == []


async def test_the_system_s_authorities_do_not_vouch_for_ours(syslog_server: Any, authority: Any, records: Any) -> None:
    async with syslog_server.running(authority.server_context("127.0.0.1")), syslog(syslog_server) as sink:
        with pytest.raises(SinkUnavailable, match="not trusted"):
            await sink.send(records(1))


async def test_a_client_certificate_is_shown_where_it_is_asked_for(
    syslog_server: Any, authority: Any, records: Any
) -> None:
    certificate, key = authority.issue("gateway-1.example.com")
    context = authority.server_context("127.0.0.1", clients_of=authority)
    async with syslog_server.running(context):
        options = {"ca_file": authority.file, "certificate_file": certificate, "key_file": key}
        async with syslog(syslog_server, **options) as sink:
            await sink.send(records(1))
            await arrived(syslog_server, 1)
        assert "gateway-1.example.com" in str(syslog_server.peers[0])
        async with syslog(syslog_server, ca_file=authority.file) as sink:
            with pytest.raises(SinkUnavailable):  # TLS 1.3: the server's refusal comes after the handshake
                await sink.send(records(1))
    assert len(syslog_server.messages) == 1


async def test_a_receiver_that_hung_up_is_noticed_before_the_next_batch(
    syslog_server: Any, authority: Any, records: Any
) -> None:
    context = authority.server_context("127.0.0.1")
    async with syslog_server.running(context), syslog(syslog_server, ca_file=authority.file) as sink:
        await sink.send(records(1))
        await arrived(syslog_server, 1)
        syslog_server.hang_up()
        await asyncio.sleep(0.05)
        await sink.send(records(1, first=1))
        await arrived(syslog_server, 3)
    assert syslog_server.connections == 2


async def test_a_receiver_that_comes_back_gets_what_it_missed(syslog_server: Any, authority: Any, records: Any) -> None:
    context = authority.server_context("127.0.0.1")
    async with syslog_server.running(context):
        port = syslog_server.port
        sink = SyslogSink(
            SyslogTarget.parse(f"syslog+tls://127.0.0.1:{port}", ca_file=authority.file),
            FeedFormat.JSONL,
            settle_seconds=0.05,
        )
        await sink.send(records(1))
        await arrived(syslog_server, 1)
    with pytest.raises(SinkUnavailable, match="cannot be reached"):
        await sink.send(records(1, first=1))
    async with syslog_server.running(context, port):
        await sink.send(records(1, first=1))
        messages = await arrived(syslog_server, 3)
        await sink.aclose()
    # The first may have been lost with the server that went away, so it comes again, and before the second.
    assert [b'sequenceId="1"' in message for message in messages] == [True, True, False]


async def test_a_receiver_that_stops_reading_is_given_up_after_a_while(
    syslog_server: Any, authority: Any, records: Any
) -> None:
    syslog_server.reads.clear()
    many = records(20_000)  # more than the buffers of both sides hold
    async with (
        syslog_server.running(authority.server_context("127.0.0.1")),
        syslog(syslog_server, ca_file=authority.file, connect_seconds=0.3, send_seconds=0.3) as sink,
    ):
        began = time.monotonic()
        with pytest.raises(SinkUnavailable, match="in time"):
            await sink.send(many)
        assert time.monotonic() - began < 10


def test_what_is_kept_to_be_sent_again_is_bounded_in_time_and_size() -> None:
    recent = Recent(5.0, 10)
    recent.add(b"aaaa", 0.0)
    recent.add(b"bbbb", 1.0)
    assert recent.frames() == [b"aaaa", b"bbbb"]
    recent.add(b"cccc", 2.0)
    assert recent.frames() == [b"bbbb", b"cccc"]
    recent.add(b"dd", 6.5)
    assert recent.frames() == [b"cccc", b"dd"]
    recent.add(b"x" * 11, 7.0)
    assert recent.frames() == []


async def test_nobody_there_is_tried_again(authority: Any, records: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    target = SyslogTarget.parse(f"syslog+tls://127.0.0.1:{port}", ca_file=authority.file)
    with pytest.raises(SinkUnavailable, match="cannot be reached: ConnectionRefusedError"):
        await SyslogSink(target, FeedFormat.CEF).send(records(1))


async def test_plain_tcp_reaches_this_machine_only_and_only_when_allowed(syslog_server: Any, records: Any) -> None:
    async with (
        syslog_server.running(None),
        syslog(syslog_server, scheme="syslog+tcp", allow_plain_loopback=True) as sink,
    ):
        await sink.send(records(2))
        await arrived(syslog_server, 2)


@pytest.mark.parametrize(
    ("url", "allow", "says"),
    [
        ("syslog+tcp://127.0.0.1:514", False, "over TLS only"),
        ("syslog+tcp://siem.example.com:514", True, "over TLS only"),
        ("syslog+tcp://10.1.2.3:514", True, "over TLS only"),
        ("syslog+tcp://127.0.0.1", True, "needs a port"),
        ("syslog+udp://siem.example.com", False, "expected syslog"),
        ("syslog://siem.example.com", False, "expected syslog"),
        ("syslog+tls://", False, "expected syslog"),
        ("syslog+tls://siem.example.com/path", False, "expected syslog"),
        ("syslog+tls://user@siem.example.com", False, "nothing else"),
        ("syslog+tls://siem.example.com:6514?verify=no", False, "nothing else"),
        ("syslog+tls://siem.example.com:99999", False, "Port out of range"),
    ],
)
def test_addresses_that_would_let_records_out_in_the_clear_are_refused(url: str, allow: bool, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SyslogTarget.parse(url, allow_plain_loopback=allow)


def test_the_port_of_the_standard_is_the_default() -> None:
    assert SyslogTarget.parse("syslog+tls://siem.example.com").port == 6514


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs its key"):
        SyslogTarget.parse("syslog+tls://siem.example.com", certificate_file=tmp_path / "x")
