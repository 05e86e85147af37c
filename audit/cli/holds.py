"""``python -m audit hold``: keep records past their day, and end that again."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, errors_as_exit_codes, print_json
from audit.cli.governed import (
    OfficerName,
    Tenant,
    add_decision,
    officer,
    signed,
    with_governance,
)
from audit.cli.log_options import LogFolder, LogOptions, takes_log
from audit.governance.holds import Hold, HoldKind
from audit.governance.scope import HoldScope

app = typer.Typer(
    help="Holds: one person asks, another places; one asks for the end, another releases.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
@takes_log
def request(
    store: LogFolder,
    given: LogOptions,
    name: OfficerName,
    reason: Annotated[str, typer.Option(help="Why; goes on record.", show_default=False)],
    kind: Annotated[HoldKind, typer.Option(help="legal or abuse.")] = HoldKind.LEGAL,
    event: Annotated[list[str] | None, typer.Option(help="Event id; may be repeated.", show_default=False)] = None,
    actor: Annotated[str, typer.Option(help="Whose records, instead of event ids.", show_default=False)] = "",
    from_day: Annotated[str | None, typer.Option(help="First day (UTC).", show_default=False)] = None,
    to_day: Annotated[str | None, typer.Option(help="Last day (UTC).", show_default="open-ended")] = None,
    tenant: Tenant = "default",
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a hold. It keeps nothing until a second person places it.

    Example: python -m audit hold request /srv/audit --kek audit.kek --signing-key audit-signing.pem --officer dana
    --reason "court order 17/26" --actor alice --from-day 2026-11-01
    """
    with errors_as_exit_codes():
        scope = HoldScope(
            event_ids=tuple(event or ()),
            actor=actor,
            from_day=date.fromisoformat(from_day) if from_day else None,
            to_day=date.fromisoformat(to_day) if to_day else None,
        )
        by = officer(name, without_evidence=False, is_fresh_needed=False)
        hold = with_governance(
            store,
            given,
            now,
            lambda governance: governance.holds.request(kind, scope, reason, by, tenant=tenant),
        )
    if as_json:
        print_json(hold)
    else:
        _tell(hold)


@app.command("list")
@takes_log
def list_holds(
    store: LogFolder,
    given: LogOptions,
    name: OfficerName,
    tenant: Tenant = "default",
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Show all holds, newest first, each checked against tampering.

    Example: python -m audit hold list /srv/audit --kek audit.kek --signing-key audit-signing.pem --officer dana
    """
    with errors_as_exit_codes():
        holds = with_governance(store, given, now, lambda governance: governance.holds.list(tenant=tenant))
    if as_json:
        print_json(list(holds))
        return
    for hold in holds:
        _tell(hold)
    typer.echo(f"{len(holds)} hold(s)")


def _tell(hold: Hold) -> None:
    scope = hold.scope
    what = f"{len(scope.event_ids)} event(s)" if scope.event_ids else f"{scope.actor} from {scope.from_day}"
    typer.echo(f"{hold.id}  {hold.kind}  {hold.state}  {what}{f' to {scope.to_day}' if scope.to_day else ''}")
    typer.echo(f"  {hold.reason}")
    for line in (
        signed("requested", hold.requested),
        signed("decided", hold.decided),
        signed("end asked for", hold.release_requested),
        signed("released", hold.released),
    ):
        if line:
            typer.echo(line)


add_decision(
    app,
    "place",
    """Agree to a hold: from now on it keeps. Never by who asked for it.

    Example: python -m audit hold place /srv/audit HOLD --kek audit.kek --signing-key audit-signing.pem
    --officer erin --without-mfa-evidence
    """,
    lambda governance, hold_id, by, tenant: governance.holds.place(hold_id, by, tenant=tenant),
    _tell,
    is_fresh_needed=True,
)
add_decision(
    app,
    "reject",
    """Turn a requested hold down.

    Example: python -m audit hold reject /srv/audit HOLD --kek audit.kek --signing-key audit-signing.pem
    --officer erin
    """,
    lambda governance, hold_id, by, tenant: governance.holds.reject(hold_id, by, tenant=tenant),
    _tell,
    is_fresh_needed=False,
)
add_decision(
    app,
    "ask-release",
    """Ask for a hold's end. It keeps on keeping until a second person releases it.

    Example: python -m audit hold ask-release /srv/audit HOLD --kek audit.kek --signing-key audit-signing.pem
    --officer dana
    """,
    lambda governance, hold_id, by, tenant: governance.holds.ask_release(hold_id, by, tenant=tenant),
    _tell,
    is_fresh_needed=False,
)
add_decision(
    app,
    "keep",
    """Do not release after all.

    Example: python -m audit hold keep /srv/audit HOLD --kek audit.kek --signing-key audit-signing.pem
    --officer erin
    """,
    lambda governance, hold_id, by, tenant: governance.holds.keep(hold_id, by, tenant=tenant),
    _tell,
    is_fresh_needed=False,
)
add_decision(
    app,
    "release",
    """Destroy a hold's keys: what is past retention cannot be read any more, and the next purge removes it.

    Example: python -m audit hold release /srv/audit HOLD --kek audit.kek --signing-key audit-signing.pem
    --officer erin --without-mfa-evidence
    """,
    lambda governance, hold_id, by, tenant: governance.holds.release(hold_id, by, tenant=tenant),
    _tell,
    is_fresh_needed=True,
)
