"""The room as the settings describe it: certificates, anchors, watermarks and the list of blocked pictures."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.prints.block_list import BlockList
from gateway.prints.window_list import WindowList
from gateway.provenance.certificates import (
    CHAIN_NAME,
    KEY_NAME,
    ROOT_NAME,
    CertificateRefused,
    SigningCertificate,
    load,
    make_demonstration_set,
    read_anchors,
    read_file,
)
from gateway.provenance.check import Checker, Lookups
from gateway.provenance.credentials import Signer
from gateway.provenance.release import Releaser
from gateway.provenance.watermark import Watermark
from gateway.settings import ProvenanceSettings

SECRET_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything that was opened."""

    releaser: Releaser
    signer: Signer
    certificates: tuple[SigningCertificate, ...]
    anchors: bytes
    marks: tuple[Watermark, ...]
    """The one that marks now, then those that only read."""
    blocked: BlockList
    check_timeout_seconds: float

    def checker(self, lookups: Lookups) -> Checker:
        """Checks files against the records that `lookups` finds."""
        return Checker(self.anchors, self.marks, lookups, self.check_timeout_seconds)


def open_provenance(settings: ProvenanceSettings, clock: Callable[[], datetime]) -> Provenance:
    """Raises CertificateRefused, which names the file and what to do: a gateway that can't mark doesn't start."""
    pairs = [(c.chain_path, c.key_path) for c in settings.certificates]
    own_root = settings.directory / ROOT_NAME
    if not pairs:
        pairs = [(settings.directory / CHAIN_NAME, settings.directory / KEY_NAME)]
    certificates = tuple(load(chain, key) for chain, key in pairs)
    signer = Signer(certificates, clock)
    # A first set's root stays an anchor after the company's own certificates took over: its pictures are still about.
    roots = [*settings.trust_anchor_paths, *([own_root] if own_root.exists() else [])]
    paths = [settings.watermark_secret_path, *settings.older_watermark_secret_paths]
    marks = tuple(_watermark(path) for path in paths)
    return Provenance(
        releaser=Releaser(marks[0], signer),
        signer=signer,
        certificates=certificates,
        anchors=read_anchors(roots),
        marks=marks,
        blocked=_blocked(settings.block_list_path),
        check_timeout_seconds=settings.check_timeout_seconds,
    )


def make_missing(settings: ProvenanceSettings, now: datetime) -> list[Path]:
    """A first certificate set (where the settings name none) and a watermark secret; returns what was made. What is
    there is never touched. Raises CertificateRefused when half a set is there."""
    made = [] if settings.certificates else make_demonstration_set(settings.directory, now)
    path = settings.watermark_secret_path
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(SECRET_BYTES))
        made.append(path)
    return made


def _watermark(path: Path) -> Watermark:
    try:
        return Watermark(read_file(path, is_private=True).rstrip(b"\n"))
    except ValueError as error:
        raise CertificateRefused(f"{path}: {error}") from None


def _blocked(path: Path | None) -> BlockList:
    if path is None:
        return BlockList()
    try:
        text = path.read_text("utf-8")
        WindowList.read(text)  # a line of it that a gateway can't read would block nothing
        return BlockList.read(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CertificateRefused(f"{path}: the list of blocked pictures can't be read: {error}") from None
