"""``python -m audit case``: ask for, decide and close permissions to open content."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, clock, errors_as_exit_codes, moment, print_json
from audit.cli.governed import (
    OfficerName,
    Tenant,
    add_decision,
    officer,
    signed,
    with_governance,
)
from audit.cli.log_options import LogFolder, LogOptions, takes_log
from audit.governance.cases import Case
from audit.governance.scope import Scope

app = typer.Typer(
    help="Permission to open content: one person asks, another approves.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
@takes_log
def request(
    store: LogFolder,
    given: LogOptions,
    name: OfficerName,
    purpose: Annotated[str, typer.Option(help="Why; goes on record.", show_default=False)],
    event: Annotated[list[str] | None, typer.Option(help="Event id; may be repeated.", show_default=False)] = None,
    actor: Annotated[list[str] | None, typer.Option(help="Whose records; may be repeated.", show_default=False)] = None,
    action: Annotated[
        list[str] | None, typer.Option(help="Only such records; may be repeated.", show_default=False)
    ] = None,
    created_from: Annotated[str | None, typer.Option("--from", help="From this moment on.", show_default=False)] = None,
    created_to: Annotated[str | None, typer.Option("--to", help="Before this moment.", show_default=False)] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="Who else may open under it; may be repeated.", show_default=False)
    ] = None,
    max_openings: Annotated[int, typer.Option(help="Records that may be opened, counting each time.")] = 100,
    days: Annotated[int, typer.Option(help="Days until the case ends, at most 30.")] = 7,
    tenant: Tenant = "default",
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a case. Nothing can be opened until a second person approves it.

    Example: python -m audit case request /srv/audit --kek audit.kek --signing-key audit-signing.pem --officer dana
    --purpose "report 17: harassment" --actor alice --days 3
    """
    with errors_as_exit_codes():
        scope = Scope(
            event_ids=tuple(event or ()),
            actors=tuple(actor or ()),
            actions=tuple(action or ()),
            created_from=moment(created_from) if created_from else None,
            created_to=moment(created_to) if created_to else None,
            members=tuple(member or ()),
            max_openings=max_openings,
        )
        by = officer(name, without_evidence=False, is_fresh_needed=False)
        expires_at = clock(now)() + timedelta(days=days)
        case = with_governance(
            store,
            given,
            now,
            lambda governance: governance.cases.request(purpose, scope, expires_at, by, tenant=tenant),
        )
    _show(case, as_json=as_json)


@app.command("list")
@takes_log
def list_cases(
    store: LogFolder,
    given: LogOptions,
    name: OfficerName,
    tenant: Tenant = "default",
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Show all cases, newest first, each checked against tampering.

    Example: python -m audit case list /srv/audit --kek audit.kek --signing-key audit-signing.pem --officer dana
    """
    with errors_as_exit_codes():
        cases = with_governance(store, given, now, lambda governance: governance.cases.list(tenant=tenant))
    if as_json:
        print_json(list(cases))
        return
    for case in cases:
        _tell(case)
    typer.echo(f"{len(cases)} case(s)")


def _show(case: Case, *, as_json: bool) -> None:
    if as_json:
        print_json(case)
    else:
        _tell(case)


def _tell(case: Case) -> None:
    typer.echo(
        f"{case.id}  {case.state}  until {case.expires_at:%Y-%m-%dT%H:%M:%SZ}  {case.openings_left} openings left"
    )
    typer.echo(f"  {case.purpose}")
    for line in (signed("requested", case.requested), signed("decided", case.decided), signed("closed", case.closed)):
        if line:
            typer.echo(line)


add_decision(
    app,
    "approve",
    """Make a case active. Never by who asked for it, or by who may open under it.

    Example: python -m audit case approve /srv/audit CASE --kek audit.kek --signing-key audit-signing.pem --officer erin
    --without-mfa-evidence
    """,
    lambda governance, case_id, by, tenant: governance.cases.approve(case_id, by, tenant=tenant),
    _tell,
    is_fresh_needed=True,
)
add_decision(
    app,
    "reject",
    """Turn a case down.

    Example: python -m audit case reject /srv/audit CASE --kek audit.kek --signing-key audit-signing.pem --officer erin
    """,
    lambda governance, case_id, by, tenant: governance.cases.reject(case_id, by, tenant=tenant),
    _tell,
    is_fresh_needed=False,
)
add_decision(
    app,
    "close",
    """End a case before its time.

    Example: python -m audit case close /srv/audit CASE --kek audit.kek --signing-key audit-signing.pem --officer dana
    """,
    lambda governance, case_id, by, tenant: governance.cases.close(case_id, by, tenant=tenant),
    _tell,
    is_fresh_needed=False,
)
