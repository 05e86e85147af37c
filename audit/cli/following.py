"""``python -m audit follow``: send records on as they are covered, until stopped."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from audit.canonical import JSON
from audit.cli.common import Now, Store, clock, errors_as_exit_codes
from audit.cli.log_options import LogOptions, takes_log
from audit.cli.opened import OpenedLog, Reader, WithSubjects, require_reader, with_opened_log
from audit.export.cursor import Cursor
from audit.export.follow import Follow, RecordAccess
from audit.export.formats import FeedFormat
from audit.export.positions import ConsumerPosition
from audit.export.source import FolderSource, FollowSource, StoreSource
from audit.push.choosing import SinkOptions, open_sink
from audit.push.pusher import BATCH_LIMIT, Pusher
from audit.store.disk import Disk
from audit.vocabulary import LogEvent

PARKED = 1  # exit code: the receiver refused, a person must look
_POSITIONS_FOLDER = "consumers"


@takes_log
def follow(
    store: Store,
    given: LogOptions,
    consumer: Annotated[str, typer.Option(help="Name that the position is kept under.", show_default=False)],
    to: Annotated[str, typer.Option(help="syslog+tls://HOST:PORT, https://HOST/PATH or stdout.", show_default=False)],
    feed_format: Annotated[FeedFormat, typer.Option("--format", help="What to write.")] = FeedFormat.OCSF,
    positions: Annotated[
        Path | None, typer.Option(help="Folder of positions.", show_default=f"STORE/{_POSITIONS_FOLDER}")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option("--ca", help="Authorities to trust, PEM.")] = None,
    certificate: Annotated[Path | None, typer.Option("--cert", help="Our certificate, PEM (syslog).")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Its private key, PEM.")] = None,
    secret: Annotated[Path | None, typer.Option(help="File of the webhook's secret.")] = None,
    authorization: Annotated[Path | None, typer.Option(help="File of the webhook's Authorization header.")] = None,
    allow_plain_loopback: Annotated[
        bool, typer.Option("--allow-plain-loopback", help="Let syslog+tcp:// reach this machine itself.")
    ] = False,
    tenant: Annotated[
        list[str] | None,
        typer.Option(help="Only records of this tenant; may be repeated.", show_default="all tenants"),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=5000, help="Records sent at once, at most.")] = BATCH_LIMIT,
    once: Annotated[bool, typer.Option("--once", help="End when everything covered was sent.")] = False,
    with_subjects: WithSubjects = False,
    reader: Reader = None,
    now: Now = None,
) -> None:
    """Send records, in order and at least once each, to a SIEM; going on where the consumer was before.

    Works beside a running gateway, unless --with-subjects asks for persons. Exits 1 if the receiver refused: nothing
    is sent before somebody has looked and starts it again.

    Example: python -m audit follow /var/lib/imprimatur/audit --consumer siem --to syslog+tls://siem.example.com:6514
    """
    options = SinkOptions(
        ca_file=ca_file,
        certificate_file=certificate,
        key_file=key,
        secret_file=secret,
        authorization_file=authorization,
        allow_plain_loopback=allow_plain_loopback,
    )
    with errors_as_exit_codes():
        by = require_reader(given, reader) if with_subjects else None
        folder = positions or store / _POSITIONS_FOLDER

        async def serve(source: FollowSource, record_access: RecordAccess | None) -> str:
            return await _serve(
                source,
                folder,
                consumer,
                to,
                feed_format,
                options,
                record_access,
                now,
                tenants=tuple(tenant or ()),
                batch=batch,
                once=once,
            )

        async def serve_opened(opened: OpenedLog) -> str:
            async def record_access(cursor: Cursor) -> object:
                taken: dict[str, JSON] = {"consumer": consumer, "cursor": str(cursor), "tenants": tuple(tenant or ())}
                return await opened.record(LogEvent.FOLLOW, taken)

            return await serve(StoreSource(opened.log.store, opened.opener), record_access)

        if by is None:
            parked_reason = asyncio.run(serve(FolderSource(given.target(store)), None))
        else:
            parked_reason = with_opened_log(store, given, by, now, serve_opened)
    if parked_reason:
        typer.echo(f"parked: {parked_reason}", err=True)
        raise typer.Exit(PARKED)


async def _serve(
    source: FollowSource,
    folder: Path,
    consumer: str,
    to: str,
    feed_format: FeedFormat,
    options: SinkOptions,
    record_access: RecordAccess | None,
    now: str | None,
    *,
    tenants: tuple[str, ...],
    batch: int,
    once: bool,
) -> str:
    """Send until stopped; returns why it was parked, or nothing."""
    with ConsumerPosition(folder, consumer, source.origin, Disk()) as place:
        stored = place.load()
        follower = Follow(
            source,
            stored.cursor,
            clock=clock(now),
            last_leaf=stored.last_leaf,
            record_access=record_access,
            tenants=tenants,
        )
        sink = open_sink(to, feed_format, options, sys.stdout)
        pusher = Pusher(follower, sink, place, clock=clock(now), batch_limit=batch, report=_report)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, pusher.stop)
            except (ValueError, RuntimeError):  # not the main thread: whoever runs us there stops us themselves
                break
        await pusher.run(until_caught_up=once)
        figures = await pusher.figures()
    typer.echo(f"{figures.sent:,} records sent, {figures.lag_records:,} waiting", err=True)
    return figures.parked_reason


def _report(message: str) -> None:
    typer.echo(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {message}", err=True)
