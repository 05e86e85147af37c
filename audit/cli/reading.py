"""Commands that only read, and work beside a running gateway: status, show, proof, snapshot."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, Store, errors_as_exit_codes, moment, print_json
from audit.errors import RecordNotFound, StoreError
from audit.ids import parse_event_id
from audit.proof import Proof
from audit.row import Row, leaf_data
from audit.snapshot import take_snapshot
from audit.store.disk import Disk
from audit.store.moment import MomentPort, database_url_of, open_moment
from audit.tiles import TileTree

Event = Annotated[str, typer.Argument(help="Event id: the request id that people see.", show_default=False)]


def status(store: Store, as_json: AsJson = False) -> None:
    """How large a store is, how it is signed, what is due.

    Example: python -m audit status /var/lib/imprimatur/audit
    """
    with errors_as_exit_codes(), open_moment(store) as found:
        checkpoints = found.tree.checkpoints(found.identity.origin)
        figures = {
            "origin": found.identity.origin,
            "vkey": str(found.identity.verifier_key),
            "is_snapshot": found.identity.snapshot_taken_at is not None,
            "in_use": found.is_live,
            "records": found.count(),
            "in_tree": found.tree.size,
            "checkpoint_size": checkpoints[-1][0].size if checkpoints else None,
            "checkpoint_signed_at": checkpoints[-1][1].isoformat() if checkpoints else None,
            "days": {
                reader.day.isoformat(): {"records": reader.count(), "purged": reader.purged_at() is not None}
                for reader in found.days
            },
            "disk_free_fraction": None if database_url_of(store) else round(Disk().free_fraction(store), 4),
        }
    if as_json:
        print_json(figures)
        return
    days = figures.pop("days")
    for name, value in figures.items():
        typer.echo(f"{name:22} {value}")
    for day, state in days.items() if isinstance(days, dict) else ():
        typer.echo(f"{day:22} {state['records']:,} records{', purged' if state['purged'] else ''}")


def show(store: Store, event: Event) -> None:
    """The plain envelope of a record's halves and how they are proven: no person, no content, no key needed.

    Example: python -m audit show /var/lib/imprimatur/audit 0195c7a0-0000-7000-8000-000000000000
    """
    with errors_as_exit_codes(), open_moment(store) as found:
        rows = _event_rows(found, event)
        proofs = _proofs(found, rows)
        print_json(
            {
                "event_id": event,
                "content_destroyed": any(row.content is None for row in rows),
                "halves": [row.envelope() for row in rows],
                "covered_by_size": proofs[0].checkpoint.size if proofs else None,
                "proof_holds": bool(proofs) and all(proof.verify(found.identity.verifier_key) for proof in proofs),
            }
        )


def proof(
    store: Store,
    event: Event,
    folder: Annotated[
        Path | None, typer.Option("--into", help="Write one .tlog-proof file a half here.", show_default="stdout")
    ] = None,
) -> None:
    """Inclusion proofs of a record as C2SP tlog-proof text, which `verify` and other tools check.

    Example: python -m audit proof /var/lib/imprimatur/audit 0195c7a0-0000-7000-8000-000000000000 --into proofs/
    """
    with errors_as_exit_codes(), open_moment(store) as found:
        proofs = _proofs(found, _event_rows(found, event))
        if not proofs:
            raise StoreError("no checkpoint covers the record yet; it is signed within a second, or at the next start")
        for item in proofs:
            if folder is None:
                typer.echo(item.text)
                continue
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{event}.{item.phase}.tlog-proof"
            path.write_text(item.text, encoding="utf-8")
            typer.echo(str(path))


def snapshot(
    store: Store,
    target: Annotated[
        Path, typer.Argument(metavar="DEST", help="Folder to make; absent or empty.", show_default=False)
    ],
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Leave the wrapped keys out, as a backup must.")
    ] = False,
    now: Now = None,
) -> None:
    """Copy a store consistently, wrapped keys included, while the gateway goes on writing.

    The copy can be verified, searched and opened (with the key-encryption key), never written on as the log. A backup
    is taken without keys, or it would outlive their destruction: put the log's own `keys` folder beside it to read it.
    A log in a database is copied by pg_dump; see the how-to "Rehearse a restore".

    Example: python -m audit snapshot /var/lib/imprimatur/audit /tmp/audit-copy
    """
    at = moment(now)
    with errors_as_exit_codes():
        count = take_snapshot(store, target, at, with_keys=not without_keys)
    typer.echo(f"{count:,} records in {target}")


def _event_rows(found: MomentPort, event: str) -> list[Row]:
    identifier: uuid.UUID = parse_event_id(event)
    for reader in reversed(found.days):
        rows = reader.event(identifier.bytes)
        if rows:
            return rows
    raise RecordNotFound(f"no record {event}")


def _proofs(found: MomentPort, rows: list[Row]) -> list[Proof]:
    """Proofs against the newest checkpoint; none if it does not cover all of the rows yet."""
    checkpoints = found.tree.checkpoints(found.identity.origin)
    if not checkpoints or rows[-1].seq >= checkpoints[-1][0].size:
        return []
    checkpoint = checkpoints[-1][0]
    tree = TileTree(found.tree.read_tile, found.tree.size)
    return [
        Proof(
            event_id=row.envelope().event_id,
            phase=row.phase,
            seq=row.seq,
            leaf_data=leaf_data(row),
            path=tuple(tree.inclusion_path(row.seq, checkpoint.size)),
            checkpoint=checkpoint,
            note=checkpoint.note(found.identity.verifier_key),
        )
        for row in rows
    ]
