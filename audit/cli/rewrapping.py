"""``python -m audit keys rewrap`` and ``rotate``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import Store, errors_as_exit_codes
from audit.cli.key_options import Kek, Service, exit_for, key_folder, open_service, service_settings
from audit.governance.rewrap import rewrap_governance
from audit.keys.day_key_file import load
from audit.keys.folder import KeyFolder
from audit.keys.rewrap import RewrapReport
from audit.keys.rewrap import rewrap as rewrap_folder
from audit.keys.services.file import FileKeyService, key_id_of, read_key, siblings
from audit.keys.services.port import KeyService
from audit.keys.services.rotation import rotate_file_key
from audit.keys.services.settings import AnyKeyServiceSettings, FileServiceSettings
from audit.keys.services.succession import Succession
from audit.store.disk import Disk

FileKek = Annotated[Path, typer.Option(help="File of the key-encryption key.", show_default=False)]
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


def rewrap(
    store: Store,
    kek: Kek = None,
    service: Service = None,
    everything: Everything = False,
    from_kek: FromKek = None,
    from_service: FromService = None,
) -> None:
    """Wrap every living day key, and the keys of cases and holds, under the key that wraps now.

    Safe to repeat and to interrupt. The keys themselves do not change, so no record is touched and the gateway may go
    on running. To move to another key service, stop the gateway, rewrap with --from-kek or --from-service, and start
    it with the new settings.

    Example: python -m audit keys rewrap /var/lib/imprimatur/audit --service key-service.yaml
    """
    with errors_as_exit_codes():
        folder, _ = key_folder(store)
        opened = open_service(kek, service)
        if from_kek or from_service:
            opened = Succession(opened, open_service(from_kek, from_service))
        with closing(opened):
            report = _rewrap(folder, opened, service_settings(kek, service), everything=everything)
    exit_for(report.problems, "were left as they are")


def rotate(store: Store, kek: FileKek) -> None:
    """Make a fresh key-encryption key, keep the old one beside it, and rewrap. For a key in a file only.

    With another key service, rotate there (docs/reference/key-services.md says how) and then run rewrap. A gateway that
    runs follows by itself if the file it reads is this one.

    Example: python -m audit keys rotate /var/lib/imprimatur/audit --kek audit.kek
    """
    with errors_as_exit_codes():
        folder, _ = key_folder(store)
        rotation = rotate_file_key(kek, Disk())
        typer.echo(f"{kek} now holds {rotation.new_key_id}; {rotation.old_key_id} is kept as {rotation.old_path}")
        report = _rewrap(folder, FileKeyService(kek), FileServiceSettings(kind="file", path=kek))
    exit_for(report.problems, "were left as they are")


def _rewrap(
    folder: KeyFolder, service: KeyService, settings: AnyKeyServiceSettings, *, everything: bool = False
) -> RewrapReport:
    report = rewrap_folder(folder.path, service, everything=everything)
    typer.echo(f"{len(report.rewrapped)} rewrapped, {report.already_current} already under {report.key_id}")
    # The keys of approvals and holds, before anybody is told that an old key may go.
    governed = rewrap_governance(folder.path, service, Disk(), everything=everything)
    if governed:
        typer.echo(f"{governed} keys of cases and holds rewrapped")
    if report.destroyed:
        typer.echo(f"{report.destroyed} files of destroyed days passed over: the next purge takes them away")
    if isinstance(settings, FileServiceSettings) and report.is_complete:
        in_use = {load(file.path).kek_id for file in folder.files() if file.is_whole}
        for path in siblings(settings.path):
            if key_id_of(read_key(path)) not in in_use:
                typer.echo(f"nothing is wrapped by {path} any more: erase it, and its copies")
    return report
