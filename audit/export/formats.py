"""The feed formats by name, and writing a stream of records in one of them, a record at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any, Final

from audit.export.cef import cef_line
from audit.export.csv import csv_header, csv_row
from audit.export.jsonl import json_line, json_object
from audit.export.ocsf import ocsf_event
from audit.export.record import ExportRecord


class FeedFormat(StrEnum):
    """What a feed is written in. Evidence is no feed: see ``evidence.py``."""

    OCSF = "ocsf"
    JSONL = "jsonl"
    CSV = "csv"
    CEF = "cef"


@dataclass(frozen=True, slots=True)
class Rendering:
    """How one format writes."""

    line: Callable[[ExportRecord], str]  # with its line end
    header: str = ""  # with its line end; "" for formats that have none
    to_object: Callable[[ExportRecord], dict[str, Any]] | None = None  # None where a record is no JSON object

    def message(self, record: ExportRecord) -> str:
        """A record for a transport that has its own framing: the line without its end."""
        return self.line(record).rstrip("\r\n")


RENDERINGS: Final[dict[FeedFormat, Rendering]] = {
    FeedFormat.OCSF: Rendering(line=lambda record: json_line(ocsf_event(record)) + "\n", to_object=ocsf_event),
    FeedFormat.JSONL: Rendering(line=lambda record: json_line(json_object(record)) + "\n", to_object=json_object),
    FeedFormat.CSV: Rendering(line=csv_row, header=csv_header()),
    FeedFormat.CEF: Rendering(line=lambda record: cef_line(record) + "\n"),
}


def write_feed(records: Iterable[ExportRecord], out: IO[str], feed_format: FeedFormat) -> int:
    """Write records as they come, holding one at a time; returns how many there were."""
    rendering = RENDERINGS[feed_format]
    out.write(rendering.header)
    count = 0
    for record in records:
        out.write(rendering.line(record))
        count += 1
    return count
