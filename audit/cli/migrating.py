"""``python -m audit migrate``: bring the schema of an audit database up to date."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from audit.cli.common import CANNOT, errors_as_exit_codes
from audit.migrations.revision import current


def migrate(
    url: Annotated[str, typer.Argument(help="postgresql://... or sqlite:///...", show_default=False)],
    check: Annotated[bool, typer.Option("--check", help="Only say which revision the database is at.")] = False,
) -> None:
    """Bring the schema of an audit database to this version. Safe to repeat, and beside gateways that run.

    Example: python -m audit migrate postgresql://audit@db.example.com/audit
    """
    # Alembic is loaded by the one command that needs it: whoever verifies an export installs less, and waits less.
    from audit.migrations.migrate import upgrade

    with errors_as_exit_codes():
        try:
            revision = current(url) if check else upgrade(url)
        except SQLAlchemyError as error:  # its message may quote the password in the URL
            typer.echo(f"error: the database cannot be migrated ({type(error).__name__})", err=True)
            raise typer.Exit(CANNOT) from None
    typer.echo(revision or "empty: no revision yet")
