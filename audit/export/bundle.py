"""Evidence bundles: one zip file that an auditor takes home, with the one command that verifies it.

===========================  ==========================================================================================
``README.txt``               what this is, for whom, and the command
``manifest.json``            format, origin, what was selected, size and SHA-256 of each other file
``evidence.jsonl``           the records (see ``evidence.py``)
``checkpoint``               the signed checkpoint that the evidence is made under
``witness/NAME.txt``         the newest checkpoint that each witness holds, as it holds it
``proofs/EVENT.PHASE.tlog-proof``  one proof a record, if the bundle holds at most ``MAX_PROOFS`` records
===========================  ==========================================================================================

The zip ends with a sum over all of its bytes (``bundle_seal.py``), the manifest holds one of each file: they find what
was damaged on its way. What finds a changed record is the log's signature: whoever changes one can compute new sums,
too. So what nobody signs is marked where it is shown: when the bundle was taken, and what was selected. Entries carry
the time of the export and are in a fixed order, so the same export gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from typing_extensions import Buffer

from audit.checkpoint import Checkpoint
from audit.export.bundle_seal import UNSEALED, seal
from audit.export.bundle_text import manifest_text, readme
from audit.export.evidence import EVERYTHING, Selection, newest_checkpoint, selected_rows, write_evidence
from audit.proof import Proof
from audit.record import NAME_PATTERN
from audit.row import Row, leaf_data
from audit.store.moment import MomentPort, open_moment
from audit.tiles import TileTree

BUNDLE_FORMAT: Final = "imprimatur-audit-bundle/2"
README: Final = "README.txt"
MANIFEST: Final = "manifest.json"
EVIDENCE: Final = "evidence.jsonl"
CHECKPOINT: Final = "checkpoint"
WITNESS_FOLDER: Final = "witness/"
PROOF_FOLDER: Final = "proofs/"
# Beyond this the evidence file proves its records by itself, and a folder of files helps nobody.
MAX_PROOFS: Final = 1000
_EARLIEST_ZIP_YEAR: Final = 1980
_OWNER_ONLY: Final = 0o100600 << 16
_UNIX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReceipt:
    """What was written."""

    records: int
    checkpoint_size: int
    proofs: int
    sha256: str  # of the whole zip file: write it down beside whoever took it


def write_bundle(
    directory: Path | str,
    target: Path,
    selection: Selection = EVERYTHING,
    *,
    taken_at: datetime,
    with_content: bool = True,
    witness_notes: Mapping[str, str] | None = None,
) -> BundleReceipt:
    """Write a bundle of a store's directory to ``target``, which must not exist.

    A failure leaves no file behind. Raises ``FileExistsError`` and what ``write_evidence`` raises.
    """
    with open_moment(directory) as moment, target.open("x+b") as file:
        try:
            receipt = _write(moment, file, selection, taken_at, with_content, witness_notes or {})
            seal(file)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    with target.open("rb") as file:
        return BundleReceipt(**receipt, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _write(
    moment: MomentPort,
    file: IO[bytes],
    selection: Selection,
    taken_at: datetime,
    with_content: bool,
    witness_notes: Mapping[str, str],
) -> dict[str, Any]:
    checkpoint = newest_checkpoint(moment)
    key = moment.identity.verifier_key
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        archive.comment = UNSEALED
        writer = _Writer(archive, taken_at)
        with writer.entry(EVIDENCE) as out, io.TextIOWrapper(out, encoding="utf-8", newline="\n") as text:
            records = write_evidence(moment, text, selection, with_content=with_content)
        writer.add(CHECKPOINT, checkpoint.note(key).encode())
        for name, note in sorted(witness_notes.items()):
            writer.add(f"{WITNESS_FOLDER}{_witness_name(name)}.txt", note.encode())
        proofs = 0
        if records <= MAX_PROOFS:
            for row in selected_rows(moment, selection, checkpoint.size):
                proof = _proof(moment, row, checkpoint)
                writer.add(PROOF_FOLDER + proof_name(row), proof.text.encode())
                proofs += 1
        manifest = {
            "format": BUNDLE_FORMAT,
            "origin": key.name,
            "vkey": str(key),
            "taken_at": taken_at.astimezone(UTC).isoformat(),
            "complete": not selection,
            "events": sorted(str(event_id) for event_id in selection.event_ids),
            "first_day": selection.first_day.isoformat() if selection.first_day else None,
            "last_day": selection.last_day.isoformat() if selection.last_day else None,
            "records": records,
            "checkpoint_size": checkpoint.size,
            "with_content": with_content,
            "files": writer.files,
        }
        writer.add(README, readme(manifest).encode())
        writer.add(MANIFEST, manifest_text(manifest).encode())
    return {"records": records, "checkpoint_size": checkpoint.size, "proofs": proofs}


def proof_name(row: Row) -> str:
    """Name of the file with a record's proof."""
    return f"{uuid.UUID(bytes=row.event_id)}.{row.phase}.tlog-proof"


def _proof(moment: MomentPort, row: Row, checkpoint: Checkpoint) -> Proof:
    tree = TileTree(moment.tree.read_tile, moment.tree.size)
    return Proof(
        event_id=row.envelope().event_id,
        phase=row.phase,
        seq=row.seq,
        leaf_data=leaf_data(row),
        path=tuple(tree.inclusion_path(row.seq, checkpoint.size)),
        checkpoint=checkpoint,
        note=checkpoint.note(moment.identity.verifier_key),
    )


def _witness_name(name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, name):  # it becomes a path in the archive
        raise ValueError("a witness in a bundle needs a short name of lower-case letters, digits and hyphens")
    return name


class _Writer:
    """Adds entries, and remembers the size and sum of each."""

    def __init__(self, archive: zipfile.ZipFile, at: datetime) -> None:
        self._archive = archive
        at = at.astimezone(UTC)
        self._time = (max(at.year, _EARLIEST_ZIP_YEAR), at.month, at.day, at.hour, at.minute, at.second)
        self.files: list[dict[str, Any]] = []

    @contextmanager
    def entry(self, name: str) -> Iterator[_Summing]:
        info = zipfile.ZipInfo(name, self._time)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = _UNIX  # the same bytes on every system
        info.external_attr = _OWNER_ONLY
        # force_zip64: how long a streamed entry gets is not known when its header is written.
        with self._archive.open(info, "w", force_zip64=True) as out:
            summing = _Summing(name, out)
            yield summing
        self.files.append({"path": name, "size_bytes": summing.size_bytes, "sha256": summing.hash.hexdigest()})

    def add(self, name: str, data: bytes) -> None:
        with self.entry(name) as out:
            out.write(data)


class _Summing(io.BufferedIOBase):
    """A file for writing that sums what passes. Closing it leaves the entry to whoever opened it."""

    def __init__(self, name: str, out: IO[bytes]) -> None:
        self.name = name
        self._out = out
        self.hash = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        view = bytes(data)
        self.hash.update(view)
        self.size_bytes += len(view)
        return self._out.write(view)
