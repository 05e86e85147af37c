"""E-mail addresses (RFC 5321, section 4.1.2, as people write them)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate

_FILE_ENDINGS: Final = frozenset(
    {
        "png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "tif", "tiff", "ico", "psd", "pdf", "mp4", "mov", "avi",
        "mp3", "wav", "txt", "md", "css", "js", "ts", "json", "xml", "yaml", "yml", "html", "safetensors", "ckpt",
        "pt", "onnx",
    }
)  # fmt: skip
"""`logo@2x.png` is a file."""
MAX_LOCAL_CHARS: Final = 64
MAX_DOMAIN_CHARS: Final = 253


def email(candidate: Candidate) -> Sequence[Accepted]:
    """An address whose last label could be a top-level domain."""
    value = candidate.value.rstrip(".-_'")
    local, at, domain = value.rpartition("@")
    lead = len(local) - len(local.lstrip(".-_'"))
    local = local[lead:]
    if not at or not local or len(local) > MAX_LOCAL_CHARS or len(domain) > MAX_DOMAIN_CHARS:
        return ()
    labels = domain.lower().split(".")
    last = labels[-1]
    if len(labels) < 2 or not all(labels) or len(last) < 2 or last in _FILE_ENDINGS:
        return ()
    if not (last.isalpha() or last.startswith("xn--")):
        return ()
    start = candidate.start + lead
    return (Accepted(start, start + len(local) + 1 + len(domain), f"{local}@{domain}".lower()),)
