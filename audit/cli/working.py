"""``python -m audit open``: it writes a record of what it does before it shows anything."""

from __future__ import annotations

from typing import Annotated

import typer

from audit.cli.common import Now, errors_as_exit_codes, print_json
from audit.cli.log_options import LogFolder, LogOptions, takes_log
from audit.cli.opened import with_log
from audit.governance.officer import Officer
from audit.record import Subject

Reader = Annotated[str, typer.Option("--reader", help="Who is reading; goes on record.", show_default=False)]
WithoutMfaEvidence = Annotated[
    bool, typer.Option("--without-mfa-evidence", help="Act although no second factor can be seen; goes on record.")
]
Tenant = Annotated[str, typer.Option(help="Tenant to look at.")]


@takes_log
def open_content(
    store: LogFolder,
    event: Annotated[str, typer.Argument(help="Event id.", show_default=False)],
    reader: Reader,
    case: Annotated[str, typer.Option(help="Id of an approved case that covers the event.", show_default=False)],
    given: LogOptions,
    without_mfa_evidence: WithoutMfaEvidence = False,
    tenant: Tenant = "default",
    now: Now = None,
) -> None:
    """Open the content of a record, inside an approved case. Who, and under which case, is on record before anything is
    decrypted.

    A command line cannot see a second factor, so it asks for --without-mfa-evidence, and that goes on record too.

    Example: python -m audit open /srv/copy EVENT --kek audit.kek --reader dana --case CASE --without-mfa-evidence
    """
    with errors_as_exit_codes():
        officer = Officer(Subject(actor=reader), is_without_evidence=without_mfa_evidence)
        opened = with_log(
            store,
            given,
            now,
            lambda log: log.read_content(event, opened_by=officer, case_id=case, tenant=tenant),
            accept_no_mfa_evidence=without_mfa_evidence,
        )
    print_json(opened)
