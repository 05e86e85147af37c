"""``python -m audit keys``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import errors_as_exit_codes
from audit.keys.kek import FileKek
from audit.keys.signing import create_signer, load_signer
from audit.store.disk import Disk

app = typer.Typer(help="Make and show the keys of a log.", no_args_is_help=True, rich_markup_mode=None)

Kek = Annotated[Path, typer.Option(help="File of the key-encryption key.", show_default=False)]
SigningKey = Annotated[Path, typer.Option(help="File of the signing key.", show_default=False)]
Origin = Annotated[str, typer.Option(help="Name of the log, such as example.com/audit.", show_default=False)]


@app.command()
def init(kek: Kek, signing_key: SigningKey, origin: Origin) -> None:
    """Make both key files, mode 0600, and print the public key. Existing keys are never replaced.

    Keep the key-encryption key out of the backups that hold the store: whoever has both can read everything that is
    younger than the retention. Give the public key to whoever will verify.

    Example: python -m audit keys init --kek audit.kek --signing-key audit-signing.pem --origin example.com/audit
    """
    with errors_as_exit_codes():
        disk = Disk()
        for path in (kek, signing_key):
            if path.exists():
                raise FileExistsError(f"{path} exists; keys are never overwritten")
        signer = create_signer(signing_key, origin, disk)
        FileKek.create(kek, disk)
    typer.echo(str(signer.verifier_key))


@app.command()
def public(signing_key: SigningKey, origin: Origin) -> None:
    """Print the public key of a signing key.

    Example: python -m audit keys public --signing-key audit-signing.pem --origin example.com/audit
    """
    with errors_as_exit_codes():
        signer = load_signer(signing_key, origin)
    typer.echo(str(signer.verifier_key))
