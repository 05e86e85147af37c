"""``python -m audit verify``"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import AsJson, errors_as_exit_codes, verifier_key
from audit.note import VerifierKey
from audit.proof import HEADER, check_proof_text
from audit.store.moment import database_url_of
from audit.verify import Report, verify_evidence, verify_store

FOUND_SOMETHING = 1
_PROGRESS_SECONDS = 2.0


def verify(
    path: Annotated[
        Path,
        typer.Argument(
            help="A store directory or database URL, an evidence file (export) or a .tlog-proof.", show_default=False
        ),
    ],
    vkey: Annotated[
        str | None,
        typer.Option(
            help="Public key of the log, as a line or a file, from a source other than the store.", show_default=False
        ),
    ] = None,
    witness: Annotated[
        Path | None,
        typer.Option(help="File of checkpoints that a witness kept outside the store.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a store, an evidence file or a proof, offline, with nothing but the public key.

    Works on a store that the gateway has open. Exits 0 if all is in order, 1 if something is not (the first bad
    record is named), 2 if the path cannot be checked at all.

    Example: python -m audit verify /var/lib/imprimatur/audit --vkey audit.vkey --witness /mnt/witness/checkpoints.txt
    """
    key = verifier_key(vkey)
    with errors_as_exit_codes():
        if database_url_of(path):
            report = verify_store(path, key, witness, _Progress())
        elif not path.exists():
            raise FileNotFoundError(f"{path} does not exist; give a store directory, an evidence file or a proof")
        elif path.is_file() and _is_proof(path):
            _verify_proof(path, key, as_json=as_json)
            return
        elif path.is_dir():
            report = verify_store(path, key, witness, _Progress())
        elif witness is not None:
            raise ValueError("--witness goes with a store; an evidence file holds one checkpoint of its own")
        else:
            report = verify_evidence(path, key, _Progress())
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        _print(report)
    raise typer.Exit(0 if report.ok else FOUND_SOMETHING)


class _Progress:
    """Says how far it is, every other second, on a terminal or not: an hour of silence looks like a hang."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            print(f"verified {done:,} of {total:,} records", file=sys.stderr, flush=True)


def _is_proof(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER.encode()


def _verify_proof(path: Path, key: VerifierKey | None, *, as_json: bool) -> None:
    if key is None:
        raise ValueError("a proof is checked with the log's public key: give --vkey")
    try:
        checked = check_proof_text(path.read_text(encoding="utf-8"), key)
    except ValueError as error:
        message = {"ok": False, "detail": str(error)}
        typer.echo(json.dumps(message, indent=2) if as_json else f"NOT IN ORDER: {error}")
        raise typer.Exit(FOUND_SOMETHING) from None
    if as_json:
        message = {"ok": True, "seq": checked.seq, "tenant": checked.tenant, "day": checked.day}
        typer.echo(json.dumps(message | {"checkpoint_size": checked.checkpoint.size}, indent=2))
        return
    typer.echo(
        f"in order: record {checked.seq} of {checked.day} (tenant {checked.tenant}) is in the log {key.name}, "
        f"which signed a tree of {checked.checkpoint.size} records"
    )


def _print(report: Report) -> None:
    typer.echo(f"{report.subject}: log {report.origin}")
    typer.echo(f"  records                {report.records:,}")
    typer.echo(f"  covered by checkpoint  {report.covered_size:,}")
    typer.echo(f"  checkpoints            {report.checkpoints:,} of the log, {report.witnessed:,} of the witness")
    if report.uncovered:
        typer.echo(f"  not covered yet        {report.uncovered:,} (written since, or added by somebody)")
    if report.purged_days:
        typer.echo(f"  purged days            {len(report.purged_days)}, up to {max(report.purged_days)}")
    for note in report.notes:
        typer.echo(f"  note: {note}")
    if not report.vkey_was_given:
        typer.echo(
            "  note: the public key came with what was checked; give --vkey from elsewhere to be sure whose it is"
        )
    if report.ok:
        typer.echo("in order")
        return
    for finding in report.findings:
        where = "" if finding.seq is None else f" at record {finding.seq}"
        if finding.through is not None and finding.through != finding.seq:
            where += f" to {finding.through}"
        event = f" (event {finding.event_id})" if finding.event_id else ""
        typer.echo(f"  {finding.attack.value}{where}{event}: {finding.detail}")
    if report.suppressed:
        typer.echo(f"  and {report.suppressed} more")
    first = report.first_bad
    where = "" if first is None or first.seq is None else f", first at record {first.seq}"
    typer.echo(f"NOT IN ORDER: {len(report.findings) + report.suppressed} finding(s){where}")
