"""``python -m audit subject``: erase what the log holds of a person, or hand it to them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, errors_as_exit_codes, print_json
from audit.cli.governed import (
    OfficerName,
    Tenant,
    WithoutEvidence,
    add_decision,
    officer,
    signed,
    with_governance,
)
from audit.cli.log_options import LogFolder, LogOptions, takes_log
from audit.governance.erasure import ErasureReceipt, KeptReason
from audit.governance.facade import Governance
from audit.governance.officer import Officer
from audit.governance.subject_requests import SubjectRequest, SubjectRequestKind, SubjectRequests

app = typer.Typer(
    help="Requests about one person's data (GDPR Art. 15, 17, 20): one officer asks, another approves.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RequestId = Annotated[str, typer.Argument(metavar="ID", help="Id of the request.", show_default=False)]


@app.command()
@takes_log
def request(
    store: LogFolder,
    given: LogOptions,
    name: OfficerName,
    kind: Annotated[SubjectRequestKind, typer.Option(help="erasure or export.", show_default=False)],
    actor: Annotated[str, typer.Option(help="Stable id of the person it is about.", show_default=False)],
    note: Annotated[str, typer.Option(help="On what ground; goes on record.", show_default=False)],
    tenant: Tenant = "default",
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Ask for an erasure or an export. Nothing happens until a second person approves it.

    Example: python -m audit subject request /srv/audit --kek audit.kek --signing-key audit-signing.pem --officer dana
    --kind erasure --actor alice --note "letter of 20 November"
    """
    with errors_as_exit_codes():
        by = officer(name, without_evidence=False, is_fresh_needed=False)
        made = with_governance(
            store,
            given,
            now,
            lambda governance: _requests(governance, kind).request(actor, note, by, tenant=tenant),
        )
    if as_json:
        print_json(made)
    else:
        _tell(made)


@app.command()
@takes_log
def export(
    store: LogFolder,
    request_id: RequestId,
    given: LogOptions,
    name: OfficerName,
    output: Annotated[Path, typer.Option("--output", help="File to write; must not exist.", show_default=False)],
    without_mfa_evidence: WithoutEvidence = False,
    tenant: Tenant = "default",
    now: Now = None,
) -> None:
    """Write everything the log holds of the person into a file (JSON, mode 0600). On record before anything is opened.

    Example: python -m audit subject export /srv/audit ID --kek audit.kek --signing-key audit-signing.pem --officer dana
    --output alice.json --without-mfa-evidence
    """
    with errors_as_exit_codes():
        by = officer(name, without_evidence=without_mfa_evidence, is_fresh_needed=True)
        # Made first: what cannot be written must not be opened.
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            taken = with_governance(
                store,
                given,
                now,
                lambda governance: governance.subject_access.export(request_id, by, tenant=tenant),
            )
        except BaseException:
            os.close(descriptor)
            output.unlink()
            raise
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(taken.document, file, indent=2)
    typer.echo(f"{output}: {taken.records} record(s); {taken.destroyed_days} day(s) are past retention")


@app.command("list")
@takes_log
def list_requests(
    store: LogFolder,
    given: LogOptions,
    name: OfficerName,
    tenant: Tenant = "default",
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Show all requests, newest first, each checked against tampering.

    Example: python -m audit subject list /srv/audit --kek audit.kek --signing-key audit-signing.pem --officer dana
    """

    async def work(governance: Governance) -> list[SubjectRequest]:
        found = [
            *await governance.erasures.requests.list(tenant=tenant),
            *await governance.subject_access.requests.list(tenant=tenant),
        ]
        return sorted(found, key=lambda request: request.created_at, reverse=True)

    with errors_as_exit_codes():
        requests = with_governance(store, given, now, work)
    if as_json:
        print_json(requests)
        return
    for one in requests:
        _tell(one)
    typer.echo(f"{len(requests)} request(s)")


def _requests(governance: Governance, kind: SubjectRequestKind) -> SubjectRequests:
    if kind is SubjectRequestKind.ERASURE:
        return governance.erasures.requests
    return governance.subject_access.requests


async def _requests_of(governance: Governance, request_id: str, tenant: str) -> SubjectRequests:
    """Requests of the kind that has this id. Raises ``SubjectRequestNotFound`` from the later look-up."""
    erasures = await governance.erasures.requests.list(tenant=tenant)
    is_erasure = any(request.id == request_id for request in erasures)
    return _requests(governance, SubjectRequestKind.ERASURE if is_erasure else SubjectRequestKind.EXPORT)


async def _approve(governance: Governance, request_id: str, by: Officer, tenant: str) -> SubjectRequest:
    requests = await _requests_of(governance, request_id, tenant)
    return await requests.approve(request_id, by, tenant=tenant)


async def _reject(governance: Governance, request_id: str, by: Officer, tenant: str) -> SubjectRequest:
    requests = await _requests_of(governance, request_id, tenant)
    return await requests.reject(request_id, by, tenant=tenant)


def _tell(request: SubjectRequest) -> None:
    typer.echo(f"{request.id}  {request.kind}  {request.state}  {request.actor}")
    typer.echo(f"  {request.note}")
    for line in (signed("requested", request.requested), signed("decided", request.decided)):
        if line:
            typer.echo(line)
    for receipt in request.receipts:
        kept = ", ".join(f"{count} kept ({reason})" for reason, count in receipt["kept"].items())
        typer.echo(f"  erased {receipt['erased']} record(s) at {receipt['at']}{': ' + kept if kept else ''}")


def _tell_receipt(receipt: ErasureReceipt) -> None:
    typer.echo(
        f"{receipt.erased} record(s) of {len(receipt.days)} day(s) erased; on record as {receipt.record.event_id}"
    )
    for reason in KeptReason:
        count = sum(kept.reason is reason for kept in receipt.kept)
        if count:
            typer.echo(f"{count} kept: {_WHY[reason]}")
    typer.echo(f"{receipt.destroyed_days} day(s) are past retention: nothing there can be read or found")


_WHY = {
    KeptReason.HOLD: "under a hold; erase again after its release",
    KeptReason.OPEN: "still running; erase again later",
    KeptReason.ACCOUNTABILITY: "the log's own work, such as looking at others' records; goes with its day",
}


add_decision(
    app,
    "approve",
    """Agree to a request. Never by who asked for it, or by the person it is about.

    Example: python -m audit subject approve /srv/audit ID --kek audit.kek --signing-key audit-signing.pem
    --officer erin --without-mfa-evidence
    """,
    _approve,
    _tell,
    is_fresh_needed=True,
)
add_decision(
    app,
    "reject",
    """Turn a request down.

    Example: python -m audit subject reject /srv/audit ID --kek audit.kek --signing-key audit-signing.pem --officer erin
    """,
    _reject,
    _tell,
    is_fresh_needed=False,
)
add_decision(
    app,
    "erase",
    """Carry an approved erasure out: names and content go, every proof still verifies. Repeat it while
    something is kept.

    Example: python -m audit subject erase /srv/audit ID --kek audit.kek --signing-key audit-signing.pem --officer dana
    """,
    lambda governance, request_id, by, tenant: governance.erasures.execute(request_id, by, tenant=tenant),
    _tell_receipt,
    is_fresh_needed=False,
)
