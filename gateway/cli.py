"""`imprimatur`: run and look after a gateway."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from gateway import __version__
from gateway.cli_on_demand import on_demand
from gateway.settings import CONFIG_VARIABLE, Settings


def _access() -> typer.Typer:
    from gateway import cli_access

    made = typer.Typer()
    cli_access.add_to(made, _settings)
    return made


def _login() -> typer.Typer:
    from gateway import cli_login

    made = typer.Typer()
    cli_login.add_to(made)
    return made


def _policy() -> typer.Typer:
    from gateway import cli_policy

    made = typer.Typer()
    cli_policy.add_to(made, lambda config: _settings(config).policy)
    return made


def _provenance() -> typer.Typer:
    from gateway import cli_provenance

    made = typer.Typer()
    cli_provenance.add_to(made, lambda config: _settings(config).provenance)
    return made


def _dlp() -> typer.Typer:
    from gateway.screening import cli

    made = typer.Typer()
    made.add_typer(cli.make_app(_screening_places), name="dlp")
    return made


def _idp() -> typer.Typer:
    from gateway import doctor_idp

    made = typer.Typer()
    made.command("idp")(doctor_idp.command)
    return made


MAKERS = {
    "dlp": _dlp,
    "emergency": _access,
    "policy": _policy,
    "provenance": _provenance,
    "login": _login,
    "token": _login,
    "logout": _login,
    "access-review": _access,
}
ORDER = (
    *("keys", "doctor", "dlp", "emergency", "policy", "provenance"),
    *("login", "token", "logout", "serve", "migrate", "version", "access-review"),
)

app = typer.Typer(
    cls=on_demand(MAKERS, ORDER),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local variables would show secrets
    help="The gate that every AI picture inside a company passes.",
)
keys_app = typer.Typer(no_args_is_help=True, help="The gateway's own secrets.")
app.add_typer(keys_app, name="keys")
doctor_app = typer.Typer(cls=on_demand({"idp": _idp}), invoke_without_command=True)
app.add_typer(doctor_app, name="doctor")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file with settings; the environment (IMPRIMATUR_…) wins over it."),
]


@app.command()
def serve(
    config: Config = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the gateway until it is told to stop; running requests may finish first."""
    import uvicorn

    from gateway.app import create_app
    from gateway.observe import logs

    settings = _settings(config)
    logs.set_up(log_level.upper())
    uvicorn.run(
        create_app(settings),
        host=settings.server.host,
        port=settings.server.port,
        log_config=None,
        access_log=False,  # our own line has no query string
        server_header=False,
        http="httptools",
        loop="uvloop",
        timeout_graceful_shutdown=int(settings.server.drain_seconds),
        proxy_headers=False,  # X-Forwarded-For is read by us, from our own proxies only
    )


@app.command()
def migrate(config: Config = None) -> None:
    """Bring the database to this version's schema. Running it again changes nothing."""
    from gateway.storage.migrate import upgrade

    settings = _settings(config)
    revision = upgrade(settings.database_url)
    typer.echo(f"The database is at revision {revision}.")


@doctor_app.callback()
def doctor(context: typer.Context, config: Config = None) -> None:
    """Check the settings and say what is missing; prints every setting in force."""
    if context.invoked_subcommand is not None:
        return
    settings = _settings(config)
    for name, value in _flat(settings):
        typer.echo(f"{name} = {value}")
    problems = []
    for path in _secret_paths(settings):
        if not path.exists():
            problems.append(f"{path}: missing. Make it with: imprimatur keys init")
        elif path.stat().st_mode & 0o077:
            problems.append(f"{path}: others can read it. Mend it with: chmod 600 {path}")
    from gateway import cli_provenance

    problems += cli_provenance.missing(settings.provenance)
    if not settings.identity.providers:
        problems.append("identity.providers: none, so nobody can sign in.")
    if not settings.policy.directory.is_dir():
        problems.append(f"policy.directory: {settings.policy.directory} is no folder.")
    else:
        from gateway.screening.rules import doctor as rules_doctor

        held, waiting = rules_doctor.told(settings.policy.directory)
        problems += held
        for note in waiting:
            typer.secho(note, fg="yellow", err=True)
    for problem in problems:
        typer.secho(problem, fg="red", err=True)
    raise typer.Exit(1 if problems else 0)


@keys_app.command("init")
def keys_init(config: Config = None) -> None:
    """Make the secrets that are missing (mode 0600). Existing ones are never touched."""
    settings = _settings(config)
    for path in _secret_paths(settings):
        if path.exists():
            typer.echo(f"{path}: kept")
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        typer.echo(f"{path}: made")
    typer.echo("The audit log makes its own keys at its first start when audit.create_keys is set,")
    typer.echo("or with: python -m audit keys init")
    typer.echo("Certificates that sign pictures are made with: imprimatur provenance init")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _settings(config: Path | None) -> Settings:
    if config is not None:
        if not config.is_file():
            typer.secho(f"{config}: no such file.", fg="red", err=True)
            raise typer.Exit(2)
        os.environ[CONFIG_VARIABLE] = str(config)
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in problem["loc"])
            typer.secho(f"{name}: {problem['msg']}", fg="red", err=True)
        raise typer.Exit(2) from None


def _screening_places(config: Path | None) -> tuple[Path, Path, Path]:
    settings = _settings(config)
    lists = settings.screening.lists_path or settings.policy.directory / "lists"
    return settings.policy.directory, lists, settings.screening.secret_path


def _secret_paths(settings: Settings) -> list[Path]:
    return [
        settings.identity.secret_path,
        settings.screening.secret_path,
        settings.upstream.secret_path,
        settings.provenance.watermark_secret_path,
    ]


def _flat(model: BaseModel, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found


def main() -> None:
    """Entry point of the `imprimatur` command."""
    app()


if __name__ == "__main__":
    main()
