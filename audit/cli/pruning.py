"""``python -m audit prune``: let the log begin later."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, Store, clock, errors_as_exit_codes, print_json
from audit.log import AuditLog
from audit.pruning import PruneReceipt
from audit.pruning import prune as prune_log
from audit.record import Subject
from audit.settings import AuditSettings
from audit.store.files.layout import Identity, Layout


def prune(
    store: Store,
    before: Annotated[str, typer.Option(help="First day that stays (YYYY-MM-DD).", show_default=False)],
    kek: Annotated[Path, typer.Option(help="File of the key-encryption key.", show_default=False)],
    signing_key: Annotated[Path, typer.Option(help="File of the signing key.", show_default=False)],
    reader: Annotated[str, typer.Option("--by", help="Who prunes; goes on record.", show_default=False)],
    witness: Annotated[Path | None, typer.Option(help="Witness file of the log.", show_default=False)] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Remove envelopes and leaves of days that were purged long ago. What is left is proven as before.

    Nobody can ever prove a removed record again: keep an export of what you may have to show.

    Example: python -m audit prune STORE --before 2026-01-01 --kek audit.kek --signing-key audit-signing.pem --by dana
    """
    with errors_as_exit_codes():
        day = date.fromisoformat(before)
        settings = AuditSettings(
            directory=store,
            kek_path=kek,
            signing_key_path=signing_key,
            origin=Identity.read(Layout(store).identity).origin,
            witness_path=witness,
            node="command",
        )

        async def run() -> PruneReceipt:
            log = await AuditLog.open(settings, clock=clock(now))
            try:
                return await prune_log(log, day, Subject(actor=reader))
            finally:
                await log.aclose()

        receipt = asyncio.run(run())
    if as_json:
        print_json(receipt)
    elif receipt.record is None:
        typer.echo("nothing to prune")
    else:
        typer.echo(f"{len(receipt.days)} day(s) pruned; the log begins at record {receipt.minimum_index:,}")
