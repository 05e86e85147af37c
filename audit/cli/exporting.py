"""``python -m audit export``: evidence for auditors, records in the formats that other systems read."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer

from audit.canonical import JSON
from audit.cli.common import Now, Store, errors_as_exit_codes, moment
from audit.cli.log_options import LogOptions, takes_log
from audit.cli.opened import OpenedLog, Reader, WithSubjects, require_reader, with_opened_log
from audit.export import (
    ExportRecord,
    FeedFormat,
    Selection,
    export_evidence,
    export_record,
    write_bundle,
    write_feed,
)
from audit.export.evidence import newest_checkpoint, selected_rows
from audit.export.record import SubjectOpener, sealed_subject
from audit.ids import parse_event_id
from audit.store.moment import open_moment
from audit.vocabulary import LogEvent
from audit.witness import newest_witnessed


class ExportFormat(StrEnum):
    """Formats by the names that the command takes."""

    EVIDENCE = "evidence"
    OCSF = "ocsf"
    JSONL = "jsonl"
    CSV = "csv"
    CEF = "cef"


@takes_log
def export(
    store: Store,
    given: LogOptions,
    export_format: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.EVIDENCE,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="stdout")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Write an evidence bundle (zip) here instead.", show_default=False)
    ] = None,
    event: Annotated[list[str] | None, typer.Option(help="Only this event; may be repeated.")] = None,
    first_day: Annotated[str | None, typer.Option("--from", help="Only from this day on (YYYY-MM-DD).")] = None,
    last_day: Annotated[str | None, typer.Option("--to", help="Only up to this day.")] = None,
    with_content: Annotated[
        bool, typer.Option("--content/--no-content", help="Evidence with its ciphertexts (unreadable without keys).")
    ] = True,
    with_subjects: WithSubjects = False,
    reader: Reader = None,
    now: Now = None,
) -> None:
    """Write records: as evidence that `verify` accepts without the store, or as a feed for other systems.

    Without a selection evidence holds the whole log; with one, each record carries its own proof. Content is never
    exported; who acted only with --with-subjects. A bundle takes the newest checkpoint of --witness along.

    Example: python -m audit export /var/lib/imprimatur/audit --format csv --from 2026-11-01 --out november.csv
    """
    at = moment(now)
    with errors_as_exit_codes():
        selection = Selection(
            event_ids=frozenset(parse_event_id(text) for text in event or ()),
            first_day=_day(first_day),
            last_day=_day(last_day),
        )
        target = given.target(store)
        if bundle is not None:
            _only_for_feeds(with_subjects, "a bundle")
            _write_bundle(target, bundle, selection, at, with_content=with_content, witness=given.witness)
            return
        if export_format is ExportFormat.EVIDENCE:
            _only_for_feeds(with_subjects, "evidence")
            with _output(out) as file:
                count = export_evidence(target, file, selection, with_content=with_content)
        else:
            feed_format = FeedFormat(export_format.value)
            by = require_reader(given, reader) if with_subjects else None
            with _output(out) as file:
                if by is None:
                    count = _write_feed(target, file, selection, feed_format, sealed_subject)
                else:
                    count = _write_opened_feed(store, given, by, file, selection, feed_format, now)
        if out is not None:
            typer.echo(f"{count:,} records in {out}", err=True)


def _only_for_feeds(with_subjects: bool, what: str) -> None:
    if with_subjects:
        raise ValueError(f"{what} keeps the subjects sealed; --with-subjects goes with ocsf, jsonl, csv and cef")


def _write_bundle(
    store: Path | str, target: Path, selection: Selection, at: datetime, *, with_content: bool, witness: Path | None
) -> None:
    notes = {}
    if witness is not None:
        with open_moment(store) as found:
            key = found.identity.verifier_key
        newest = newest_witnessed(witness, key)
        if newest is None:
            raise ValueError(f"{witness} holds no checkpoint of {key.name}")
        notes["file"] = newest.note(key)
    receipt = write_bundle(store, target, selection, taken_at=at, with_content=with_content, witness_notes=notes)
    typer.echo(
        f"{receipt.records:,} records and {receipt.proofs:,} proofs in {target}, "
        f"under a checkpoint of {receipt.checkpoint_size:,}\nsha256 {receipt.sha256}",
        err=True,
    )


def _write_feed(
    store: Path | str, out: IO[str], selection: Selection, feed_format: FeedFormat, opener: SubjectOpener
) -> int:
    with open_moment(store) as found:
        checkpoint = newest_checkpoint(found)
        records: Iterator[ExportRecord] = (
            export_record(found.identity.origin, row, checkpoint.size, opener)
            for row in selected_rows(found, selection, checkpoint.size)
        )
        return write_feed(records, out, feed_format)


def _write_opened_feed(
    store: Path,
    given: LogOptions,
    reader: str,
    out: IO[str],
    selection: Selection,
    feed_format: FeedFormat,
    now: str | None,
) -> int:
    target = given.target(store)
    content: dict[str, JSON] = {"format": feed_format.value, **selection.as_content()}

    async def work(opened: OpenedLog) -> int:
        await opened.record(LogEvent.EXPORT, content)
        return await asyncio.to_thread(_write_feed, target, out, selection, feed_format, opened.opener)

    return with_opened_log(store, given, reader, now, work)


@contextmanager
def _output(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        return
    with out.open("x", encoding="utf-8", newline="") as file:
        try:
            yield file
        except BaseException:
            out.unlink()  # half an export looks like a whole one
            raise


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
