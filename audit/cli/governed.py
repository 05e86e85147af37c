"""What the commands about cases, holds and subjects share: opening the log with its governance, and the officer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from audit.cli.common import AsJson, Now, errors_as_exit_codes, print_json
from audit.cli.log_options import LogFolder, LogOptions, takes_log
from audit.cli.opened import with_log
from audit.governance.facade import Governance
from audit.governance.officer import Officer, Signature
from audit.record import Subject

T = TypeVar("T")

MatterId = Annotated[str, typer.Argument(metavar="ID", help="Id of the case, hold or request.", show_default=False)]

OfficerName = Annotated[str, typer.Option("--officer", help="Who decides; goes on record.", show_default=False)]
Tenant = Annotated[str, typer.Option(help="Tenant it is about.")]
WithoutEvidence = Annotated[
    bool,
    typer.Option(
        "--without-mfa-evidence",
        help="A command line sees no second factor. Go on all the same; that, too, goes on record.",
    ),
]


def officer(name: str, *, without_evidence: bool, is_fresh_needed: bool) -> Officer:
    """The officer a command names. Raises ``ValueError`` where a second factor is needed and nobody vouches for it."""
    if is_fresh_needed and not without_evidence:
        raise ValueError(
            "this needs a fresh second factor, which a command line cannot see: do it on the gateway's page, "
            "or say --without-mfa-evidence, which goes on record"
        )
    return Officer(Subject(actor=name), is_without_evidence=without_evidence)


def with_governance(store: Path, given: LogOptions, now: str | None, work: Callable[[Governance], Awaitable[T]]) -> T:
    """Run ``work`` on the governance of a log. Raises what ``AuditLog.open`` raises."""
    return with_log(store, given, now, lambda log: work(log.governance), accept_no_mfa_evidence=True)


def add_decision(
    app: typer.Typer,
    name: str,
    help_text: str,
    act: Callable[[Governance, str, Officer, str], Awaitable[T]],
    tell: Callable[[T], None],
    *,
    is_fresh_needed: bool,
) -> None:
    """Add a command in which an officer decides about one thing. ``act`` gets its id, the officer and the tenant."""

    def command(
        store: LogFolder,
        matter_id: MatterId,
        officer_name: OfficerName,
        given: LogOptions,
        without_mfa_evidence: WithoutEvidence = False,
        tenant: Tenant = "default",
        now: Now = None,
        as_json: AsJson = False,
    ) -> None:
        with errors_as_exit_codes():
            by = officer(officer_name, without_evidence=without_mfa_evidence, is_fresh_needed=is_fresh_needed)
            done = with_governance(store, given, now, lambda governance: act(governance, matter_id, by, tenant))
        if as_json:
            print_json(done)
        else:
            tell(done)

    command.__doc__ = help_text
    app.command(name)(takes_log(command))


def signed(what: str, signature: Signature | None) -> str:
    """A line about who did something; empty if nobody did."""
    if signature is None:
        return ""
    evidence = " (without evidence of a second factor)" if signature.is_without_evidence else ""
    return f"  {what} by {signature.actor} at {_time(signature.at)}{evidence}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
