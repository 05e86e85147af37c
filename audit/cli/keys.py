"""``python -m audit keys``: make, show, check, rotate and rewrap the keys of a log.

All of it works beside a running gateway: it touches the key folder and the key service, never the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from audit.cli import rewrapping
from audit.cli.common import AsJson, Now, Store, errors_as_exit_codes, moment, print_json
from audit.cli.key_options import Kek, Service, exit_for, key_folder, open_service
from audit.errors import KeyRefused
from audit.governance.hold_keys import HoldKeys
from audit.governance.keys import GovernanceKeys
from audit.governance.names import HOLDS_FOLDER, KEY_NAME
from audit.keys.day_key_file import load
from audit.keys.destroyed import DestroyedDays
from audit.keys.folder import KeyFile, KeyFolder
from audit.keys.rewrap import KeyProblem, living, unwrap_file
from audit.keys.services.file import FileKeyService
from audit.keys.services.port import KeyService
from audit.keys.signing import create_signer, load_signer
from audit.store.disk import Disk

app = typer.Typer(
    help="Make, show, check, rotate and rewrap the keys of a log.", no_args_is_help=True, rich_markup_mode=None
)

SigningKey = Annotated[Path, typer.Option(help="File of the signing key.", show_default=False)]
Origin = Annotated[str, typer.Option(help="Name of the log, such as example.com/audit.", show_default=False)]
NewKek = Annotated[
    Path | None,
    typer.Option(help="File of the key-encryption key to make; none with another key service.", show_default=False),
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
        folder, destroyed = key_folder(store)
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
    """Does the key service work, and does every living key open? Exits 1 and names those that do not.

    Example: python -m audit keys check /var/lib/imprimatur/audit --service key-service.yaml
    """
    with errors_as_exit_codes():
        folder, destroyed = key_folder(store)
        problems: list[KeyProblem] = []
        count = 0
        with closing(open_service(kek, service)) as opened:
            opened.check()
            for name, open_key in [*_day_keys(folder, destroyed, opened), *_governance_keys(folder, opened)]:
                try:
                    open_key()
                    count += 1
                except KeyRefused as error:
                    problems.append(KeyProblem(file=name, reason=str(error)))
    typer.echo(f"key service {opened.name} works; {count} keys open")
    exit_for(problems, "do not open")


_OpenKey = tuple[str, Callable[[], object]]  # name of the file, and what opens it or raises ``KeyRefused``


def _day_keys(folder: KeyFolder, destroyed: DestroyedDays, service: KeyService) -> Iterator[_OpenKey]:
    for file in living(folder, destroyed):
        yield file.path.name, partial(_open_day_key, file, service)


def _open_day_key(file: KeyFile, service: KeyService) -> None:
    unwrap_file(file, load(file.path), service)


def _governance_keys(folder: KeyFolder, service: KeyService) -> Iterator[_OpenKey]:
    if (folder.path / KEY_NAME).exists():
        keys = GovernanceKeys(folder.path, service, Disk())
        yield KEY_NAME, partial(keys.ensure, may_create=False)
    holds = HoldKeys(folder.path, service, Disk())
    for path in sorted((folder.path / HOLDS_FOLDER).glob("*.json")):
        yield f"{HOLDS_FOLDER}/{path.name}", partial(holds.get, path.stem)


app.command()(rewrapping.rewrap)
app.command()(rewrapping.rotate)
