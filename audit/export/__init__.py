"""Taking records out of the log: evidence that proves itself, and feeds in the formats that other systems read.

``evidence.py`` and ``bundle.py`` write what an auditor verifies offline. The other formats (``formats.py`` lists them)
tell a SIEM what happened: who, only when asked for with the keys and on record; what was asked for, never.
"""

from __future__ import annotations

from audit.export.bundle import BundleReceipt, write_bundle
from audit.export.bundle_reader import Bundle, BundleRefused, is_bundle, open_bundle
from audit.export.evidence import Selection, export_evidence, write_evidence
from audit.export.evidence_lines import FORMAT, Header, LineRefused, parse_record, read_lines, record_line
from audit.export.formats import RENDERINGS, FeedFormat, write_feed
from audit.export.record import ExportRecord, export_record

__all__ = [
    "FORMAT",
    "RENDERINGS",
    "Bundle",
    "BundleReceipt",
    "BundleRefused",
    "ExportRecord",
    "FeedFormat",
    "Header",
    "LineRefused",
    "Selection",
    "export_evidence",
    "export_record",
    "is_bundle",
    "open_bundle",
    "parse_record",
    "read_lines",
    "record_line",
    "write_bundle",
    "write_evidence",
    "write_feed",
]
