"""What routes may reach: built once by `wiring.py`, found at `request.app.state.services`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request

from audit import AuditLog, Entry, Feed, Subject
from audit import AuditUnavailable as LogUnavailable
from gateway.credits import Ledger
from gateway.credits.rate import RateLimit
from gateway.credits.usage import UsageCounts
from gateway.errors import AuditUnavailable
from gateway.exchange import Actor, Origin
from gateway.identity import Identity
from gateway.identity.emergency import emergency_of
from gateway.identity.notices import NoticeKind
from gateway.keeping import Keeping
from gateway.lifecycle import PolicyDesk
from gateway.observe.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.policy import Policy
from gateway.policy.desk import BundleDesk
from gateway.provenance.check import Checker
from gateway.recording import subject_of
from gateway.replay.opening import Replaying
from gateway.room import Room
from gateway.running import Running
from gateway.scim import Scim
from gateway.screening.facade import Screening
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.shelf import Shelf
from gateway.upstream import ImageServer
from gateway.upstream.catalogue import Catalogue
from gateway.vocabulary import Event, Role

log = logging.getLogger(__name__)

NOBODY = Subject(actor="-", display="not signed in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: Settings
    clock: Callable[[], datetime]
    database: Database
    identity: Identity
    policy: Policy
    bundles: BundleDesk | None
    """None where no bundles are served."""
    bundle_rate: RateLimit
    policy_desk: PolicyDesk | None
    """None where the rules are a folder's."""
    replaying: Replaying
    screening: Screening
    hint_rate: RateLimit
    """Hints are not requests for pictures: who types a lot must not have fewer of those."""
    moderation_rate: RateLimit
    ledger: Ledger
    usage: UsageCounts
    audit: AuditLog
    keeping: Keeping
    feeds: tuple[Feed, ...]
    server: ImageServer
    shelf: Shelf
    checker: Checker
    check_rate: RateLimit
    room: Room
    catalogue: Catalogue
    pipeline: Pipeline
    running: Running
    scim: Scim
    metrics: Metrics

    async def record(
        self,
        event: Event,
        actor: Actor | None,
        origin: Origin,
        *,
        effect: str = "allow",
        reasons: Sequence[str] = (),
        content: Mapping[str, Any] | None = None,
    ) -> None:
        """An event of the log that is no image request; durable when it returns. Raises AuditUnavailable: the caller
        must then not do what it was about to do."""
        entry = Entry(
            action=event.value,
            subject=NOBODY if actor is None else subject_of(actor),
            effect=str(effect),
            reasons=tuple(map(str, reasons)),
            content={"ip": origin.ip, "user_agent": origin.user_agent, **(content or {})},
            index={"network": (origin.ip,)},
        )
        try:
            await self.audit.note(entry)
        except LogUnavailable as error:
            raise AuditUnavailable(
                "The audit log can't be written, so nothing was done. Try again in a moment.", retry_after_seconds=5
            ) from error
        if actor is not None and emergency_of(actor) is not None:
            await self._loudly(event, actor)

    async def _loudly(self, event: Event, actor: Actor) -> None:
        """Whatever is done with sealed codes is heard: in the log of the process, in metrics, by every administrator.
        It is on record already, so a notice that can't be written stops nothing."""
        log.critical("emergency.act", extra={"fields": {"event": event.value, "actor": actor.id}})
        self.metrics.emergency_acts.labels(event.value).inc()
        if event is Event.EMERGENCY_OPEN:  # told in the transaction that opens it
            return
        try:
            for person in await self.identity.mapping.holders_of(Role.ADMIN):
                facts = {"what": event.value, "by": actor.display_name}
                await self.identity.notices.tell(person.id, NoticeKind.EMERGENCY, **facts)
        except (SQLAlchemyError, OSError) as error:
            log.error("emergency.untold", extra={"fields": {"cause": type(error).__name__}})


def services_of(request: Request) -> Services:
    """The services of the app that `request` came to."""
    services = request.app.state.services
    if not isinstance(services, Services):
        raise TypeError("app.state.services is not set: the app was made without create_app")
    return services
