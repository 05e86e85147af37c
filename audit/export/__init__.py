"""Taking records out of the log: evidence that proves itself, and feeds in the formats that other systems read.

``evidence.py`` and ``bundle.py`` write what an auditor verifies offline. The other formats (``formats.py`` lists them)
tell a SIEM what happened: who, only when asked for with the keys and on record; what was asked for, never.
"""

from __future__ import annotations

from audit.export.evidence import (
    FORMAT,
    Selection,
    export_evidence,
    read_lines,
    record_from_json,
    record_to_json,
)

__all__ = ["FORMAT", "Selection", "export_evidence", "read_lines", "record_from_json", "record_to_json"]
