"""``python -m audit open``: it writes a record of what it does, so it needs keys and the store for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from audit.cli.common import Now, Store, clock, errors_as_exit_codes, print_json
from audit.governance.officer import Officer
from audit.log import AuditLog
from audit.record import Subject
from audit.settings import AuditSettings
from audit.store.files.layout import Identity, Layout

T = TypeVar("T")

Kek = Annotated[Path, typer.Option(help="File of the key-encryption key.", show_default=False)]
SigningKey = Annotated[
    Path | None, typer.Option(help="File of the signing key; a snapshot needs none.", show_default=False)
]
Witness = Annotated[Path | None, typer.Option(help="Witness file to append checkpoints to.", show_default=False)]
Reader = Annotated[str, typer.Option("--reader", help="Who is reading; goes on record.", show_default=False)]
WithoutMfaEvidence = Annotated[
    bool, typer.Option("--without-mfa-evidence", help="Act although no second factor can be seen; goes on record.")
]
Tenant = Annotated[str, typer.Option(help="Tenant to look at.")]


def open_content(
    store: Store,
    event: Annotated[str, typer.Argument(help="Event id.", show_default=False)],
    kek: Kek,
    reader: Reader,
    case: Annotated[str, typer.Option(help="Id of an approved case that covers the event.", show_default=False)],
    without_mfa_evidence: WithoutMfaEvidence = False,
    signing_key: SigningKey = None,
    witness: Witness = None,
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
        opened = _with_log(
            store,
            kek,
            signing_key,
            witness,
            now,
            lambda log: log.read_content(event, opened_by=officer, case_id=case, tenant=tenant),
            accept_no_mfa_evidence=without_mfa_evidence,
        )
    print_json(opened)


def _with_log(
    store: Path,
    kek: Path,
    signing_key: Path | None,
    witness: Path | None,
    now: str | None,
    work: Callable[[AuditLog], Awaitable[T]],
    *,
    accept_no_mfa_evidence: bool = False,
) -> T:
    identity = Identity.read(Layout(store).identity)
    is_snapshot = identity.snapshot_taken_at is not None
    settings = AuditSettings(
        directory=store,
        kek_path=kek,
        signing_key_path=None if is_snapshot else signing_key,
        origin=identity.origin,
        witness_path=witness,
        node="command",
        accept_no_mfa_evidence=accept_no_mfa_evidence,
    )

    async def run() -> T:
        log = await AuditLog.open(settings, clock=clock(now), read_snapshot=is_snapshot)
        try:
            return await work(log)
        finally:
            await log.aclose()

    return asyncio.run(run())
