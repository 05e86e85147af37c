"""``python -m audit verify``"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import AsJson, errors_as_exit_codes, verifier_key
from audit.cosignature import WitnessKey, WitnessPolicy
from audit.note import NoteRefused
from audit.store.moment import database_url_of
from audit.verify import Report, verify_evidence, verify_store
from audit.verify.papers import Paper, check_paper, paper_check
from audit.verify.tiles import is_static, verify_tiles
from audit.verify.trust import Trust

FOUND_SOMETHING = 1
_PROGRESS_SECONDS = 2.0


def verify(
    path: Annotated[
        Path,
        typer.Argument(
            help="A store directory or database URL, a folder of static tiles, an evidence file or bundle (export), a "
            ".tlog-proof, a consistency proof, or a checkpoint.",
            show_default=False,
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
        typer.Option(
            help="File of checkpoints kept outside the log: a witness file, or a checkpoint you kept.",
            show_default=False,
        ),
    ] = None,
    witness_key: Annotated[
        list[str] | None,
        typer.Option(
            help="Public key of a witness, as a line or a file; may be given several times.", show_default=False
        ),
    ] = None,
    require: Annotated[
        int | None,
        typer.Option(
            help="How many of these witnesses must have cosigned.", min=0, show_default="all of the keys given"
        ),
    ] = None,
    receipts: Annotated[
        Path | None,
        typer.Option(
            help="Folder of what witnesses gave to the log.", show_default="witnesses/ in the store directory"
        ),
    ] = None,
    timestamp_root: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of a time stamping authority: also check the time stamp of a checkpoint.",
            show_default=False,
        ),
    ] = None,
    timestamp: Annotated[
        Path | None, typer.Option(help="The time stamp (RFC 3161).", show_default="the checkpoint's name with .tsr")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="How many processes check records.", min=1, show_default="one for each CPU")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a log, or what was taken out of one, offline, with nothing but public keys.

    Works on a store that the gateway has open. Exits 0 if all is in order, 1 if something is not (the first bad
    record is named), 2 if the path cannot be checked at all.

    Example: python -m audit verify /var/lib/imprimatur/audit --vkey audit.vkey --witness /mnt/witness/checkpoints.txt
    """
    with errors_as_exit_codes():
        trust = Trust(
            key=verifier_key(vkey),
            witness=witness,
            policy=_policy(witness_key or [], require),
            receipts=receipts,
            timestamp=timestamp,
            timestamp_roots=timestamp_root,
        )
        result = _check(path, trust, processes)
    if isinstance(result, Report):
        typer.echo(json.dumps(result.to_json(), indent=2)) if as_json else _print(result)
        raise typer.Exit(0 if result.ok else FOUND_SOMETHING)
    _print_paper(result, as_json=as_json)


def _check(path: Path, trust: Trust, processes: int | None) -> Report | Paper | NoteRefused:
    if database_url_of(path) or (path.is_dir() and not is_static(path)):
        return verify_store(
            path,
            trust.key,
            trust.witness,
            _Progress(),
            policy=trust.policy,
            receipts=trust.receipts,
            processes=processes,
        )
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give a store directory, an evidence file or a proof")
    if path.is_dir():
        return verify_tiles(path, trust, _Progress())
    check = paper_check(path)
    if check is not None:
        try:
            return check_paper(path, check, trust)
        except NoteRefused as error:
            return error
    if trust.witness is not None:
        raise ValueError("--witness goes with a store; an evidence file holds one checkpoint of its own")
    return verify_evidence(path, trust.key, _Progress(), trust.policy)


def _policy(keys: list[str], required: int | None) -> WitnessPolicy:
    parsed = []
    for text in keys:
        try:
            parsed.append(WitnessKey.parse(Path(text).read_text(encoding="utf-8") if "+" not in text else text))
        except (NoteRefused, OSError):
            raise typer.BadParameter(
                "expected a witness's public key like witness.example/w1+1a2b3c4d+Base64, or a file that holds one"
            ) from None
    return WitnessPolicy(keys=parsed, required=len(parsed) if required is None else required)


class _Progress:
    """Says how far it is, every other second, on a terminal or not: an hour of silence looks like a hang."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            print(f"verified {done:,} of {total:,} records", file=sys.stderr, flush=True)


def _print_paper(result: Paper | NoteRefused, *, as_json: bool) -> None:
    if isinstance(result, NoteRefused):
        typer.echo(json.dumps({"ok": False, "detail": str(result)}, indent=2) if as_json else f"NOT IN ORDER: {result}")
        raise typer.Exit(FOUND_SOMETHING)
    cosigned = {name: at.isoformat() for name, at in result.cosigned.items()}
    stamped = None if result.stamped_at is None else result.stamped_at.isoformat()
    if as_json:
        typer.echo(json.dumps({"ok": True, **result.facts, "cosigned": cosigned, "stamped_at": stamped}, indent=2))
        return
    for name, at in cosigned.items():
        typer.echo(f"  cosigned by {name} at {at}")
    if stamped is not None:
        typer.echo(f"  stamped at {stamped}")
    typer.echo(f"in order: {result.says}")


def _print(report: Report) -> None:
    typer.echo(f"{report.subject}: log {report.origin}")
    typer.echo(f"  records                {report.records:,}")
    typer.echo(f"  covered by checkpoint  {report.covered_size:,}")
    typer.echo(f"  checkpoints            {report.checkpoints:,} of the log, {report.witnessed:,} of the witness")
    if report.first_record:
        typer.echo(f"  begins at record       {report.first_record:,} (pruned before)")
    for name, at in report.cosigned.items():
        typer.echo(f"  cosigned               by {name} at {at}")
    if report.erased:
        typer.echo(f"  erased on request      {report.erased:,}")
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


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(verify)
app.callback()(lambda: None)  # else the one command would have no name, and take "verify" for a path
