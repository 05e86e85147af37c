"""``python -m audit tiles`` and ``python -m audit consistency``: what other people's tools take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audit.checkpoint import Checkpoint
from audit.cli.common import errors_as_exit_codes
from audit.consistency import ConsistencyProof
from audit.errors import StoreError
from audit.static_tiles import write_static
from audit.store.moment import MomentPort, open_moment
from audit.tiles import TileTree

Target = Annotated[Path, typer.Argument(metavar="STORE", help="Store directory or database URL.", show_default=False)]


def tiles(
    store: Target,
    folder: Annotated[Path, typer.Argument(help="Folder to publish in; made if it is missing.", show_default=False)],
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Publish this signed checkpoint, cosignatures included.", show_default="the newest"),
    ] = None,
) -> None:
    """Publish the log as static files (C2SP tlog-tiles) that any web server can serve and any client can check.

    They hold digests and commitments: no person, no content. Run it again to go on; what was published stays.

    Example: python -m audit tiles /var/lib/imprimatur/audit /srv/www/audit
    """
    with errors_as_exit_codes(), open_moment(store) as moment:
        note = None if checkpoint is None else checkpoint.read_text(encoding="utf-8")
        done = write_static(moment, folder, note=note)
    typer.echo(
        f"{done.checkpoint.size:,} records in {folder}: {done.files_written:,} files written, {done.files_kept:,} kept"
    )


def consistency(
    store: Target,
    old_size: Annotated[int, typer.Option("--from", help="Size of the checkpoint that somebody kept.", min=0)],
    new_size: Annotated[
        int | None, typer.Option("--to", help="Size of a later checkpoint.", min=0, show_default="the newest")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.", show_default="stdout")] = None,
) -> None:
    """Prove that a later checkpoint continues an earlier one: nothing was changed or removed in between.

    `verify` checks it against the earlier checkpoint; C2SP witnesses take it as an add-checkpoint request.

    Example: python -m audit consistency /var/lib/imprimatur/audit --from 20852014 --out today.consistency
    """
    with errors_as_exit_codes(), open_moment(store) as moment:
        checkpoint = _checkpoint(moment, new_size)
        tree = TileTree(moment.tree.read_tile, moment.tree.size)
        path = tree.consistency_path(old_size, checkpoint.size)
        text = ConsistencyProof(
            old_size=old_size, path=tuple(path), note=checkpoint.note(moment.identity.verifier_key)
        ).text
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


def _checkpoint(moment: MomentPort, size: int | None) -> Checkpoint:
    """The checkpoint of a size, or the newest. Raises ``StoreError`` naming those around it."""
    found = [checkpoint for checkpoint, _ in moment.tree.checkpoints(moment.identity.origin)]
    if not found:
        raise StoreError("the log has no checkpoint yet; it is signed within a second, or at the next start")
    if size is None:
        return found[-1]
    for checkpoint in found:
        if checkpoint.size == size:
            return checkpoint
    below = max((checkpoint.size for checkpoint in found if checkpoint.size < size), default=None)
    above = min((checkpoint.size for checkpoint in found if checkpoint.size > size), default=None)
    near = " and ".join(str(number) for number in (below, above) if number is not None)
    raise StoreError(f"the log keeps no checkpoint of size {size}; the nearest are of {near}")
