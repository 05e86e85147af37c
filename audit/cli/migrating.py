"""``python -m audit migrate``: bring the schema of an audit database up to date."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from audit.cli.common import CANNOT, errors_as_exit_codes
from audit.cli.log_options import DatabaseUrlFile, LogOptions
from audit.migrations.revision import current


def migrate(
    url: Annotated[
        str | None,
        typer.Argument(help="postgresql://... or sqlite:///..., without a password.", show_default=False),
    ] = None,
    database_url_file: DatabaseUrlFile = None,
    check: Annotated[bool, typer.Option("--check", help="Only say which revision the database is at.")] = False,
) -> None:
    """Bring the schema of an audit database to this version. Safe to repeat, and beside gateways that run.

    Everybody on this machine sees a command line: a URL with a password comes from a file or the environment.

    Example: python -m audit migrate --database-url-file /run/secrets/audit-database-url
    """
    # Alembic is loaded by the one command that needs it: whoever verifies an export installs less, and waits less.
    from audit.migrations.migrate import upgrade

    with errors_as_exit_codes():
        given = LogOptions(database_url_file=database_url_file).database_url() if url is None else url
        if given is None or (url is not None and database_url_file is not None):
            raise ValueError("name the database once: by its URL, by --database-url-file, or in the environment")
        try:
            revision = current(given) if check else upgrade(given)
        except SQLAlchemyError as error:  # its message may quote the password in the URL
            typer.echo(f"error: the database cannot be migrated ({type(error).__name__})", err=True)
            raise typer.Exit(CANNOT) from None
    typer.echo(revision or "empty: no revision yet")
