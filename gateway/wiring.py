"""The composition root: the only module that chooses adapters. Everything else is handed what it needs.

The same code runs on a laptop and in a company; what differs is chosen here, from the settings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from audit import AuditLog, AuditSettings, Entry, Subject
from gateway.credits import Ledger
from gateway.credits.rate import RateLimit
from gateway.credits.usage import UsageCounts
from gateway.identity import Identity
from gateway.keeping import Keeping
from gateway.observe.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.policy import Policy
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.engine import PolicyEngine
from gateway.policy.opa import OpaEngine
from gateway.policy.reload import OnReload, Reload
from gateway.recording import Recorder
from gateway.room import Room
from gateway.screening.facade import Screening
from gateway.services import Services
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.shelf import Shelf
from gateway.sweeper import Sweeper
from gateway.upstream import ImageServer
from gateway.upstream.badge import Badge
from gateway.upstream.catalogue import Catalogue
from gateway.upstream.turn import Turns
from gateway.vocabulary import Effect, Event

log = logging.getLogger(__name__)


def make_clock(settings: Settings) -> Callable[[], datetime]:
    """The gateway's own clock."""
    offset = timedelta(seconds=settings.server.clock_offset_seconds)
    if offset:
        log.warning("clock.shifted", extra={"fields": {"seconds": settings.server.clock_offset_seconds}})
    return lambda: datetime.now(UTC) + offset


@asynccontextmanager
async def open_services(settings: Settings, metrics: Metrics) -> AsyncIterator[Services]:
    """Everything, opened in order and closed in reverse. Raises what the first part that can't open raises."""
    clock = make_clock(settings)
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url)
        stack.push_async_callback(database.aclose)
        audit = await AuditLog.open(audit_settings(settings), clock=clock)
        stack.push_async_callback(audit.aclose)
        identity = Identity(settings.identity, settings.server.public_url, database, clock)
        stack.push_async_callback(identity.aclose)
        policy = Policy(_policy_engine(settings, clock, _on_reload(audit, metrics)))
        stack.push_async_callback(policy.aclose)
        await policy.start()
        # Only the newline of a text file goes: a random key may well begin or end with a space's byte.
        fingerprints = settings.screening.secret_path.read_bytes().rstrip(b"\n")
        screening = Screening(
            directory=settings.policy.directory,
            secret=fingerprints,
            timeout_seconds=settings.screening.timeout_seconds,
            picture_timeout_seconds=settings.screening.picture_timeout_seconds,
            upload_timeout_seconds=settings.screening.upload_timeout_seconds,
            reload_seconds=settings.screening.reload_seconds,
            on_reload=lambda ok, *_: metrics.rule_reloads.labels("loaded" if ok else "refused").inc(),
        )
        stack.push_async_callback(screening.aclose)
        # Real time, not the gateway's own clock: the model server judges the badge by the machine's.
        badge = Badge(settings.upstream.secret_path, lambda: datetime.now(UTC))
        server = ImageServer(settings.upstream, badge, Turns(fingerprints))
        stack.push_async_callback(server.aclose)

        ledger = Ledger(database, settings.credits, clock)
        usage = UsageCounts(database, clock)
        recorder = Recorder(audit, ledger, usage, metrics, clock, Keeping(settings.policy.directory))
        pipeline = Pipeline(
            identity=identity,
            recorder=recorder,
            policy=policy,
            screening=screening,
            ledger=ledger,
            rate=RateLimit(settings.server.requests_per_minute),
            server=server,
            clock=clock,
        )
        shelf = Shelf(settings.pictures_path, database, clock)
        sweeper = Sweeper(audit, ledger, shelf, metrics, settings.audit)
        # One process owns the log, so a ticket that is open at start belongs to nobody alive.
        await sweeper.sweep(timedelta(0))
        sweeping = asyncio.create_task(sweeper.run(), name="sweeper")
        stack.push_async_callback(_stop, sweeping)
        yield Services(
            settings=settings,
            clock=clock,
            database=database,
            identity=identity,
            policy=policy,
            screening=screening,
            ledger=ledger,
            usage=usage,
            audit=audit,
            server=server,
            shelf=shelf,
            room=Room(settings.server.upload_room_bytes),
            catalogue=Catalogue(server),
            pipeline=pipeline,
            metrics=metrics,
        )


def _policy_engine(settings: Settings, clock: Callable[[], datetime], on_reload: OnReload) -> PolicyEngine:
    """Rego in process, or an OPA server: one setting decides."""
    section = settings.policy
    if section.engine == "opa":
        if section.opa_url is None:
            raise ValueError("policy.engine is opa, so policy.opa_url must say where it is")
        return OpaEngine(
            str(section.opa_url),
            clock=clock,
            decision_seconds=section.decision_timeout_seconds,
            token_path=section.opa_token_path,
            breaker_failures=section.breaker_failures,
            breaker_open_seconds=section.breaker_open_seconds,
        )
    return EmbeddedEngine(
        section.directory,
        clock=clock,
        decision_seconds=section.decision_timeout_seconds,
        reload_seconds=section.reload_seconds,
        on_reload=on_reload,
    )


def _on_reload(audit: AuditLog, metrics: Metrics) -> OnReload:
    """Changed rules are an event of the log, also when they were refused. Raises what the log raises: rules whose
    change can't be recorded do not come into force."""

    async def tell(reload: Reload) -> None:
        metrics.policy_reloads.labels("loaded" if reload.ok else "refused").inc()
        entry = Entry(
            action=(Event.POLICY_RELOAD if reload.ok else Event.POLICY_RELOAD_REFUSED).value,
            subject=Subject(actor="system:policy", display="policy reload"),
            effect=(Effect.ALLOW if reload.ok else Effect.DENY).value,
            bundle_revision=reload.revision,
            content={"problems": [str(problem) for problem in reload.problems]},
        )
        await audit.note(entry)

    return tell


def audit_settings(settings: Settings) -> AuditSettings:
    """The log's own settings, from ours."""
    section = settings.audit
    return AuditSettings(
        directory=section.directory,
        kek_path=section.kek_path,
        signing_key_path=section.signing_key_path,
        witness_path=section.witness_path,
        origin=section.origin,
        retention_days=section.retention_days,
        create_keys=section.create_keys,
        disk_refuse_fraction=section.disk_refuse_fraction,
    )


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
