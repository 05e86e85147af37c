"""``python -m audit keys rewrap`` and ``rotate``."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from audit.canonical import JSON
from audit.cli.common import errors_as_exit_codes
from audit.cli.key_options import exit_for, key_folder, open_service, service_settings
from audit.cli.log_options import LogFolder, LogOptions, takes_log
from audit.cli.opened import with_log
from audit.errors import StoreInUse
from audit.governance.rewrap import NotedRewraps, Rewrapped, rewrap_on_record
from audit.keys.day_key_file import load
from audit.keys.folder import KeyFolder
from audit.keys.rewrap import RewrapReport
from audit.keys.services.file import key_id_of, read_key, siblings
from audit.keys.services.port import KeyService
from audit.keys.services.rotation import rotate_file_key
from audit.keys.services.settings import FileServiceSettings
from audit.keys.services.succession import Succession
from audit.record import Subject
from audit.store.disk import Disk

By = Annotated[str, typer.Option("--by", help="Who rewraps; goes on record.", show_default=False)]
Everything = Annotated[
    bool, typer.Option("--everything", help="Also what the current key wraps: after a rotation inside AWS KMS.")
]
FromKek = Annotated[
    Path | None,
    typer.Option(help="To move to another key service: the key file that wrapped before.", show_default=False),
]
FromService = Annotated[
    Path | None, typer.Option(help="The same, if it was no key file: its settings.", show_default=False)
]


@takes_log
def rewrap(
    store: LogFolder,
    given: LogOptions,
    by: By,
    everything: Everything = False,
    from_kek: FromKek = None,
    from_service: FromService = None,
) -> None:
    """Wrap every living day key, and the keys of cases and holds, under the key that wraps now.

    Safe to repeat and to interrupt. The keys themselves do not change, so no record is touched and the gateway may go
    on running. To move to another key service, stop the gateway, rewrap with --from-kek or --from-service, and start
    it with the new settings.

    It goes on record before and after. With --signing-key the command writes the records itself; without, or while a
    gateway has the log's files to itself, they are noted beside the keys first, and the gateway records them within a
    minute, or whoever opens the log next.

    Example: python -m audit keys rewrap /var/lib/imprimatur/audit --service key-service.yaml --by dana
    """
    with errors_as_exit_codes():
        move_from = open_service(from_kek, from_service) if from_kek or from_service else None
        report = _rewrap(store, given, by, everything=everything, move_from=move_from)
    exit_for(report.problems, "were left as they are")


@takes_log
def rotate(store: LogFolder, given: LogOptions, by: By) -> None:
    """Make a fresh key-encryption key, keep the old one beside it, and rewrap. For a key in a file only.

    With another key service, rotate there (docs/reference/key-services.md says how) and then run rewrap. A gateway that
    runs follows by itself if the file it reads is this one. It goes on record as a rewrap does.

    Example: python -m audit keys rotate /var/lib/imprimatur/audit --kek audit.kek --by dana
    """
    with errors_as_exit_codes():
        if given.kek is None or given.service is not None:
            raise ValueError("rotate makes a key in a file: give --kek FILE; with another key service, rotate there")
        key_folder(store)
        rotation = rotate_file_key(given.kek, Disk())
        typer.echo(f"{given.kek} now holds {rotation.new_key_id}; {rotation.old_key_id} is kept as {rotation.old_path}")
        report = _rewrap(store, given, by)
    exit_for(report.problems, "were left as they are")


def _rewrap(
    store: Path, given: LogOptions, by: str, *, everything: bool = False, move_from: KeyService | None = None
) -> RewrapReport:
    folder, _ = key_folder(store)
    settings = service_settings(given.kek, given.service)
    done = None
    if given.signing_key is not None and move_from is None:
        with suppress(StoreInUse):  # by a gateway, which records what is noted
            done = with_log(store, given, None, lambda log: log.rewrap_keys(Subject(actor=by), everything=everything))
    if done is None:
        service = open_service(given.kek, given.service)
        with closing(service if move_from is None else Succession(service, move_from)) as opened:
            done = _rewrap_noted(folder, opened, by, everything=everything)
        typer.echo("noted beside the keys; the gateway records it within a minute, or whoever opens the log next")
    report = done.days
    typer.echo(f"{len(report.rewrapped)} rewrapped, {report.already_current} already under {report.key_id}")
    if done.governed:
        typer.echo(f"{done.governed} keys of cases and holds rewrapped")
    if report.destroyed:
        typer.echo(f"{report.destroyed} files of destroyed days passed over: the next purge takes them away")
    if isinstance(settings, FileServiceSettings) and report.is_complete:
        in_use = {load(file.path).kek_id for file in folder.files() if file.is_whole}
        for path in siblings(settings.path):
            if key_id_of(read_key(path)) not in in_use:
                typer.echo(f"nothing is wrapped by {path} any more: erase it, and its copies")
    return report


def _rewrap_noted(folder: KeyFolder, service: KeyService, by: str, *, everything: bool) -> Rewrapped:
    noted = NotedRewraps(folder.path, Disk())

    async def note(content: dict[str, JSON]) -> None:
        await asyncio.to_thread(noted.note, by, datetime.now(UTC), content)

    return asyncio.run(rewrap_on_record(folder.path, service, Disk(), note, everything=everything))
