"""`imprimatur emergency` and `imprimatur access-review`: what is done on the host, beside the running gateway."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from sqlalchemy.exc import SQLAlchemyError

from audit import JSON, AuditError, AuditLog, Entry, Subject
from gateway.errors import ImprimaturError
from gateway.identity import Identity
from gateway.identity.access_review import UNUSED_DAYS, Review
from gateway.identity.derived import DerivedKeys
from gateway.identity.seals import NewSeal, Seal, Seals
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.vocabulary import Effect, Event
from gateway.wiring import make_clock
from gateway.wiring_audit import audit_settings

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file with settings; the environment (IMPRIMATUR_…) wins over it."),
]
SettingsOf = Callable[[Path | None], Settings]

IN_USE: Final = (
    "The audit log can't be opened here, and a review that can't be recorded isn't shown. With day files it belongs to "
    "the running gateway: ask that, on the page /access-review or with GET /v1/organization/access_review?format=csv."
)


def add_to(app: typer.Typer, settings_of: SettingsOf) -> None:
    """Add the commands."""
    emergency = typer.Typer(no_args_is_help=True, help="Break-glass: the two sealed codes.")
    app.add_typer(emergency, name="emergency")

    @emergency.command("seal")
    def seal(
        name: Annotated[str, typer.Argument(help="Name of the seal, as on its envelope: lower case, hyphens.")],
        holder: Annotated[str, typer.Option(help="Who keeps the envelope. Two seals have two holders.")],
        config: Config = None,
    ) -> None:
        """Make a seal, or make it anew: prints its code and one-time password once, for paper and a token app."""
        settings = settings_of(config)
        made = _run(_seal(settings, name, holder))
        typer.echo(f"Seal        {made.name}, kept by {' '.join(holder.split())}")
        typer.echo(f"Code        {made.code}")
        typer.echo(f"One-time    {made.totp_uri}")
        typer.echo("")
        typer.echo(
            "Write the code on paper, put the address into the holder's token app, and clear this screen: neither"
        )
        typer.echo(
            "is shown again. The running gateway records the seal within a second; before that it opens nothing."
        )
        typer.echo(f"Then let the holder try it: {settings.server.public_url.rstrip('/')}/auth/emergency")

    @emergency.command("status")
    def status(config: Config = None) -> None:
        """Say which seals there are and whether each would open. Exits with 1 unless two would."""
        settings = settings_of(config)
        found = _run(_seals(settings))
        now, drill_days = make_clock(settings)(), settings.identity.emergency.drill_days
        for one in found:
            typer.echo(
                f"{one.name:<16} {_state(one)}; kept by {one.holder}; sealed {one.sealed_at:%Y-%m-%d}; {_tried(one)}"
            )
            if one.spent_at is None and one.overdue(now, drill_days):
                typer.echo(f"{'':<16} overdue: not tried for {drill_days} days. Let the holder do a drill.")
        good = [one for one in found if one.spent_at is None and one.recorded_at is not None]
        if len(good) < 2:
            typer.secho(f"{len(good)} of the 2 seals that an emergency takes would open.", fg="red", err=True)
            raise typer.Exit(1)

    @app.command("access-review")
    def access_review(
        format: Annotated[Literal["csv", "json"], typer.Option(help="csv or json.")] = "csv",
        unused_days: Annotated[
            int, typer.Option(min=1, help="Remark on what was not used, and who was not seen, for so many days.")
        ] = UNUSED_DAYS,
        config: Config = None,
    ) -> None:
        """Print who has what, through what, since when and last used. On record before it is printed."""
        review = _run(_review(settings_of(config), format, unused_days))
        typer.echo(review.as_csv() if format == "csv" else _json(review), nl=False)


async def _seal(settings: Settings, name: str, holder: str) -> NewSeal:
    database = Database(settings.database_url)
    try:
        return await _seals_of(settings, database).make(name, holder, by=_user())
    finally:
        await database.aclose()


async def _seals(settings: Settings) -> list[Seal]:
    database = Database(settings.database_url)
    try:
        return list(await _seals_of(settings, database).list())
    finally:
        await database.aclose()


async def _review(settings: Settings, format: str, unused_days: int) -> Review:
    clock, database = make_clock(settings), Database(settings.database_url)
    identity = Identity(settings.identity, settings.server.public_url, database, clock)
    try:
        await identity.mapping.live.refresh()
        review = await identity.access_review.collect(unused_days=unused_days)
        try:
            log = await AuditLog.open(audit_settings(settings), clock=clock)
        except (AuditError, OSError) as error:
            raise ValueError(f"{IN_USE} ({error})") from error
        try:
            content: dict[str, JSON] = {
                "format": format,
                "unused_days": unused_days,
                "holdings": len(review.holdings),
                "remarks": len(review.remarks),
            }
            subject = Subject(actor=f"system:host-{_user()}", display="a command on the host")
            entry = Entry(action=Event.ACCESS_REVIEW.value, subject=subject, effect=Effect.ALLOW.value, content=content)
            await log.note(entry)
        finally:
            await log.aclose()
        return review
    finally:
        await identity.aclose()
        await database.aclose()


def _seals_of(settings: Settings, database: Database) -> Seals:
    derived = DerivedKeys.from_file(settings.identity.secret_path)
    return Seals(database, derived.emergency_code, derived.emergency_totp, make_clock(settings))


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """What `work` returns; its trouble as a sentence and exit code 1."""
    try:
        return asyncio.run(work)
    except ImprimaturError as error:
        typer.secho(error.message, fg="red", err=True)
    except (ValueError, AuditError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
    except SQLAlchemyError as error:
        cause = type(error).__name__
        typer.secho(
            f"The database can't be used ({cause}). Is it there, and is `imprimatur migrate` done?", fg="red", err=True
        )
    raise typer.Exit(1)


def _user() -> str:
    """Who runs this on the host, as the system knows them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return str(os.getuid())


def _state(seal: Seal) -> str:
    if seal.spent_at is not None:
        return f"SPENT {seal.spent_at:%Y-%m-%d}: seal it anew"
    return "good" if seal.recorded_at is not None else "waits for the gateway to record it"


def _tried(seal: Seal) -> str:
    return "never tried" if seal.tried_at is None else f"tried {seal.tried_at:%Y-%m-%d}"


def _json(review: Review) -> str:
    return json.dumps(review.as_json(), indent=1) + "\n"
