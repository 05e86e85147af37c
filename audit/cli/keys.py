"""``python -m audit keys``: make, show, check, rotate and rewrap the keys of a log.

All of it works beside a running gateway: it touches the key folder and the key service, never the records.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, Store, errors_as_exit_codes, moment, print_json
from audit.errors import KeyRefused
from audit.keys.day_key_file import load
from audit.keys.destroyed import DestroyedDays
from audit.keys.folder import KeyFolder
from audit.keys.rewrap import KeyProblem, RewrapReport, living, unwrap_file
from audit.keys.rewrap import rewrap as rewrap_folder
from audit.keys.services.file import FileKeyService, key_id_of, read_key, siblings
from audit.keys.services.opening import open_key_service
from audit.keys.services.port import KeyService
from audit.keys.services.rotation import rotate_file_key
from audit.keys.services.settings import AnyKeyServiceSettings, FileServiceSettings
from audit.keys.services.settings_file import read_service_settings
from audit.keys.signing import create_signer, load_signer
from audit.store.disk import Disk
from audit.store.files.layout import Layout

app = typer.Typer(
    help="Make, show, check, rotate and rewrap the keys of a log.", no_args_is_help=True, rich_markup_mode=None
)

FOUND_SOMETHING = 1  # exit code, as of verify

SigningKey = Annotated[Path, typer.Option(help="File of the signing key.", show_default=False)]
Origin = Annotated[str, typer.Option(help="Name of the log, such as example.com/audit.", show_default=False)]
NewKek = Annotated[
    Path | None,
    typer.Option(help="File of the key-encryption key to make; none with another key service.", show_default=False),
]
FileKek = Annotated[Path, typer.Option(help="File of the key-encryption key.", show_default=False)]
Kek = Annotated[Path | None, typer.Option(help="File of the key-encryption key.", show_default=False)]
Service = Annotated[
    Path | None,
    typer.Option(
        "--service",
        help="YAML file with the settings of another key service (kind: transit, aws-kms, pkcs11 or file).",
        show_default=False,
    ),
]


@app.command()
def init(signing_key: SigningKey, origin: Origin, kek: NewKek = None) -> None:
    """Make the key files, mode 0600, and print the public key. Existing keys are never replaced.

    Keep the key-encryption key out of the backups that hold the store: whoever has both can read everything that is
    younger than the retention. Give the public key to whoever will verify.

    Example: python -m audit keys init --kek audit.kek --signing-key audit-signing.pem --origin example.com/audit
    """
    with errors_as_exit_codes():
        disk = Disk()
        for path in filter(None, (kek, signing_key)):
            if path.exists():
                raise FileExistsError(f"{path} exists; keys are never overwritten")
        signer = create_signer(signing_key, origin, disk)
        if kek is not None:
            FileKeyService.create(kek, disk)
    typer.echo(str(signer.verifier_key))


@app.command()
def public(signing_key: SigningKey, origin: Origin) -> None:
    """Print the public key of a signing key.

    Example: python -m audit keys public --signing-key audit-signing.pem --origin example.com/audit
    """
    with errors_as_exit_codes():
        signer = load_signer(signing_key, origin)
    typer.echo(str(signer.verifier_key))


@dataclass(frozen=True, slots=True, kw_only=True)
class _LivingKey:
    day: date
    tenant: str
    class_: str
    wrapped_by: str
    age_days: int


@app.command("list")
def list_keys(store: Store, now: Now = None, as_json: AsJson = False) -> None:
    """Every day key that lives: day, tenant, class, age in days, what wraps it. Then the destroyed days. Needs no key.

    Example: python -m audit keys list /var/lib/imprimatur/audit
    """
    with errors_as_exit_codes():
        today = moment(now).date()
        folder, destroyed = _folder(store)
        keys, problems = [], []
        for file in living(folder, destroyed):
            try:
                wrapped_by, age_days = load(file.path).kek_id, (today - file.day).days
            except KeyRefused as error:
                problems.append(KeyProblem(file=file.path.name, reason=str(error)))
                continue
            keys.append(
                _LivingKey(
                    day=file.day, tenant=file.tenant, class_=file.class_, wrapped_by=wrapped_by, age_days=age_days
                )
            )
        gone = [
            {"scope": str(scope), "destroyed_at": destroyed.state(scope).destroyed_at}
            for scope in destroyed.scopes()
            if destroyed.is_destroyed(scope.day, scope.class_)
        ]
    if as_json:
        print_json({"keys": keys, "destroyed": gone, "problems": problems})
        return
    for key in keys:
        age = f"{key.age_days} d"
        typer.echo(f"{key.day.isoformat()}  {key.tenant:20} {key.class_:12} {age:>6}  {key.wrapped_by}")
    for problem in problems:
        typer.echo(f"{problem.file}: {problem.reason}")
    for entry in gone:
        typer.echo(f"{entry['scope']}  destroyed {entry['destroyed_at']}")
    typer.echo(f"{len(keys)} living, {len(gone)} destroyed")


@app.command()
def check(store: Store, kek: Kek = None, service: Service = None) -> None:
    """Does the key service work, and does every living day key open? Exits 1 and names those that do not.

    Example: python -m audit keys check /var/lib/imprimatur/audit --service key-service.yaml
    """
    with errors_as_exit_codes():
        opened, _ = _open(kek, service)
        try:
            opened.check()
            folder, destroyed = _folder(store)
            problems, count = [], 0
            for file in living(folder, destroyed):
                try:
                    unwrap_file(file, load(file.path), opened)
                    count += 1
                except KeyRefused as error:
                    problems.append(KeyProblem(file=file.path.name, reason=str(error)))
        finally:
            opened.close()
    typer.echo(f"key service {opened.name} works; {count} day keys open")
    _exit_for(problems, "do not open")


@app.command()
def rewrap(
    store: Store,
    kek: Kek = None,
    service: Service = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Also what the current key wraps: after a rotation inside AWS KMS.")
    ] = False,
) -> None:
    """Wrap every living day key anew under the key that wraps now. Safe to repeat and to interrupt.

    The day keys themselves do not change, so no record is touched and the gateway may go on running.

    Example: python -m audit keys rewrap /var/lib/imprimatur/audit --service key-service.yaml
    """
    with errors_as_exit_codes():
        opened, settings = _open(kek, service)
        try:
            folder, _ = _folder(store)
            report = rewrap_folder(folder.path, opened, everything=everything)
            _tell(report, folder, settings)
        finally:
            opened.close()
    _exit_for(report.problems, "were left as they are")


@app.command()
def rotate(store: Store, kek: FileKek) -> None:
    """Make a fresh key-encryption key, keep the old one beside it, and rewrap. For a key in a file only.

    With another key service, rotate there (docs/reference/key-services.md says how) and then run rewrap. A gateway that
    runs follows by itself if the file it reads is this one.

    Example: python -m audit keys rotate /var/lib/imprimatur/audit --kek audit.kek
    """
    with errors_as_exit_codes():
        folder, _ = _folder(store)
        settings = FileServiceSettings(kind="file", path=kek)
        rotation = rotate_file_key(kek, Disk())
        typer.echo(f"{kek} now holds {rotation.new_key_id}; {rotation.old_key_id} is kept as {rotation.old_path}")
        report = rewrap_folder(folder.path, FileKeyService(kek))
        _tell(report, folder, settings)
    _exit_for(report.problems, "were left as they are")


def _folder(store: Path) -> tuple[KeyFolder, DestroyedDays]:
    path = Layout(store).keys_folder
    if not path.is_dir():
        raise ValueError(f"{store} is not an audit store: it has no folder {path.name}")
    folder = KeyFolder(path)
    return folder, DestroyedDays(folder.destroyed_list, Disk())


def _open(kek: Path | None, service: Path | None) -> tuple[KeyService, AnyKeyServiceSettings]:
    if (kek is None) == (service is None):
        raise ValueError("give either --kek FILE or --service FILE.yaml, and not both")
    settings = read_service_settings(service) if service else FileServiceSettings(kind="file", path=kek or Path())
    return open_key_service(settings, Disk()), settings


def _tell(report: RewrapReport, folder: KeyFolder, settings: AnyKeyServiceSettings) -> None:
    typer.echo(f"{len(report.rewrapped)} rewrapped, {report.already_current} already under {report.key_id}")
    if report.destroyed:
        typer.echo(f"{report.destroyed} files of destroyed days passed over: the next purge takes them away")
    if isinstance(settings, FileServiceSettings) and report.is_complete:
        in_use = {load(file.path).kek_id for file in folder.files() if file.is_whole}
        for path in siblings(settings.path):
            if key_id_of(read_key(path)) not in in_use:
                typer.echo(f"nothing is wrapped by {path} any more: erase it, and its copies")


def _exit_for(problems: list[KeyProblem], what: str) -> None:
    for problem in problems:
        typer.echo(f"{problem.file}: {problem.reason}", err=True)
    if problems:
        typer.echo(f"{len(problems)} day keys {what}", err=True)
        raise typer.Exit(FOUND_SOMETHING)
