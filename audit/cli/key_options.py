"""What the commands about keys share: which key service, which key folder, problems as an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audit.keys.destroyed import DestroyedDays
from audit.keys.folder import KeyFolder
from audit.keys.rewrap import KeyProblem
from audit.keys.services.opening import open_key_service
from audit.keys.services.port import KeyService
from audit.keys.services.settings import AnyKeyServiceSettings, FileServiceSettings
from audit.keys.services.settings_file import read_service_settings
from audit.store.disk import Disk
from audit.store.files.layout import Layout

FOUND_SOMETHING = 1  # exit code, as of verify

Kek = Annotated[Path | None, typer.Option(help="File of the key-encryption key.", show_default=False)]
Service = Annotated[
    Path | None,
    typer.Option(
        "--service",
        help="YAML file with the settings of another key service (kind: transit, aws-kms, pkcs11 or file).",
        show_default=False,
    ),
]


def service_settings(kek: Path | None, service: Path | None) -> AnyKeyServiceSettings:
    """Raises ``ValueError`` unless exactly one of the two is given."""
    if service is not None and kek is None:
        return read_service_settings(service)
    if kek is not None and service is None:
        return FileServiceSettings(kind="file", path=kek)
    raise ValueError("give either --kek FILE or --service FILE.yaml, and not both")


def open_service(kek: Path | None, service: Path | None) -> KeyService:
    """Raises ``ValueError`` for settings that make no sense, ``KeyRefused`` for a key that must not be used."""
    return open_key_service(service_settings(kek, service), Disk())


def key_folder(store: Path) -> tuple[KeyFolder, DestroyedDays]:
    """The key folder of a store, and the destroyed days beside it. Raises ``ValueError``."""
    path = Layout(store).keys_folder
    if not path.is_dir():
        raise ValueError(f"{store} is not an audit store: it has no folder {path.name}")
    folder = KeyFolder(path)
    return folder, DestroyedDays(folder.destroyed_list, Disk())


def exit_for(problems: list[KeyProblem], what: str) -> None:
    """Tell each problem and exit with 1; nothing if there are none."""
    for problem in problems:
        typer.echo(f"{problem.file}: {problem.reason}", err=True)
    if problems:
        typer.echo(f"{len(problems)} keys {what}", err=True)
        raise typer.Exit(FOUND_SOMETHING)
