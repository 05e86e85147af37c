"""All commands of ``python -m audit``."""

from __future__ import annotations

import typer

from audit.cli import (
    cases,
    exporting,
    following,
    holds,
    keys,
    migrating,
    pruning,
    reading,
    retaining,
    searching,
    subjects,
    tiles,
    verifying,
    witness,
    working,
)

app = typer.Typer(
    help="The audit log, without the gateway. Reading commands work beside a running gateway; "
    "commands that write a record do so on a log in a database, and need a log in files for themselves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks print local variables, which may hold keys and content
    rich_markup_mode=None,
)
app.command()(verifying.verify)
app.command()(reading.status)
app.command()(reading.show)
app.command()(reading.proof)
app.command()(tiles.consistency)
app.command()(tiles.tiles)
app.command()(exporting.export)
app.command()(following.follow)
app.command()(reading.snapshot)
app.command()(searching.search)
app.command("open")(working.open_content)
app.command()(retaining.purge)
app.command()(retaining.retention)
app.command()(retaining.drill)
app.command()(pruning.prune)
app.add_typer(keys.app, name="keys")
app.add_typer(witness.app, name="witness")
app.add_typer(cases.app, name="case")
app.add_typer(holds.app, name="hold")
app.add_typer(subjects.app, name="subject")
app.command()(migrating.migrate)

__all__ = ["app"]
