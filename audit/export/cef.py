"""Records as CEF, version 0 (ArcSight Common Event Format): one line, seven header fields, an extension of pairs.

Escaping, as the format has it: backslash and pipe in the header; backslash and equals sign in extension values. Line
breaks have an escape too, but a name with a line break in it is an attack and not a name: controls are replaced.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from audit.export.record import ExportRecord
from audit.export.text import milliseconds, one_line
from audit.record import Effect

VENDOR: Final = "Imprimatur"
PRODUCT: Final = "Audit log"
_SEVERITIES: Final = {  # 0 to 10
    "": 1,
    Effect.ALLOW: 1,
    Effect.MASK: 4,
    Effect.REVIEW: 5,
    Effect.DENY: 6,
    Effect.CANCELLED: 2,
    Effect.FAILED: 6,
    Effect.UNKNOWN: 6,
}


def product_version() -> str:
    """Version of the installed package; ``0`` where it runs without having been installed."""
    try:
        return version("imprimatur-gateway")
    except PackageNotFoundError:
        return "0"


_VERSION: Final = product_version()


def cef_line(record: ExportRecord) -> str:
    """One record as a line without its end."""
    envelope, subject = record.envelope, record.subject
    header = (
        VENDOR,
        PRODUCT,
        _VERSION,
        envelope.action,
        f"{envelope.action} {envelope.effect or 'begun'}",
        str(_SEVERITIES[envelope.effect]),
    )
    pairs = [
        ("externalId", record.uid),
        ("rt", str(milliseconds(envelope.recorded_at))),
        ("act", envelope.effect or "begun"),
        ("cat", envelope.phase.value),
        ("dvchost", envelope.node),
        ("reason", " ".join(envelope.reasons)),
        ("flexString1Label", "about"),
        ("flexString1", envelope.about),
        ("suser", subject.actor if subject else ""),
        ("suid", subject.actor if subject else ""),
        ("cs1Label", "requestId"),
        ("cs1", envelope.event_id),
        ("cs2Label", "tenant"),
        ("cs2", envelope.tenant),
        ("cs3Label", "model"),
        ("cs3", envelope.model),
        ("cs4Label", "bundleRevision"),
        ("cs4", envelope.bundle_revision),
        ("cs5Label", "leafHash"),
        ("cs5", record.leaf.hex()),
        ("cs6Label", "log"),
        ("cs6", record.origin),
        ("cn1Label", "sequence"),
        ("cn1", str(envelope.seq)),
        ("cn2Label", "checkpointSize"),
        ("cn2", str(record.covered_by_size)),
        ("cn3Label", "credits"),
        ("cn3", str(envelope.credits)),
    ]
    empty = {name for name, value in pairs if not value}  # an empty value ends some parsers' reading
    extension = " ".join(
        f"{name}={_value(value)}"
        for name, value in pairs
        if name not in empty and name.removesuffix("Label") not in empty
    )
    return "|".join(("CEF:0", *(_header(field) for field in header), extension))


def _header(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("=", "\\=")
