"""``python -m audit prune``: let the log begin later."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, errors_as_exit_codes, print_json
from audit.cli.log_options import LogFolder, LogOptions, takes_log
from audit.cli.opened import with_log
from audit.pruning import prune as prune_log
from audit.record import Subject


@takes_log
def prune(
    store: LogFolder,
    given: LogOptions,
    before: Annotated[str, typer.Option(help="First day that stays (YYYY-MM-DD).", show_default=False)],
    reader: Annotated[str, typer.Option("--by", help="Who prunes; goes on record.", show_default=False)],
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Remove envelopes and leaves of days that were purged long ago. What is left is proven as before.

    Nobody can ever prove a removed record again: keep an export of what you may have to show.

    Example: python -m audit prune STORE --before 2026-01-01 --kek audit.kek --signing-key audit-signing.pem --by dana
    """
    with errors_as_exit_codes():
        day = date.fromisoformat(before)
        receipt = with_log(store, given, now, lambda log: prune_log(log, day, Subject(actor=reader)))
    if as_json:
        print_json(receipt)
    elif receipt.record is None:
        typer.echo("nothing to prune")
    else:
        typer.echo(f"{len(receipt.days)} day(s) pruned; the log begins at record {receipt.minimum_index:,}")
