"""The composition root: the only module that chooses adapters. Everything else is handed what it needs.

The same code runs on a laptop and in a company; what differs is chosen here, from the settings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from audit import (
    AuditError,
    AuditLog,
    Entry,
    Subject,
)
from gateway import __version__
from gateway.credits import Ledger
from gateway.credits.rate import RateLimit
from gateway.credits.usage import UsageCounts
from gateway.diversity import Diversity
from gateway.emergency_watch import EmergencyWatch
from gateway.exchange import ActorId
from gateway.identity import Identity
from gateway.keeping import Keeping
from gateway.lifecycle.alarm import PolicyAlarm
from gateway.lifecycle.store import RevisionStore
from gateway.observe.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.policy import Policy
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.revisions import Revisions
from gateway.provenance.marking import Marking
from gateway.provenance.opening import Provenance, make_missing, open_provenance
from gateway.provenance.register import Register
from gateway.recording import Recorder
from gateway.replay.opening import open_replaying
from gateway.replay.tap import Watched
from gateway.room import Room
from gateway.running import Running
from gateway.scim import Scim
from gateway.screening.facade import Screening
from gateway.screening.image.seen import Classifier
from gateway.screening.image.watch import MemoryWatch
from gateway.screening.semantic.service import Meaning
from gateway.services import Services
from gateway.settings import ProvenanceSettings, ScreeningSettings, Settings
from gateway.storage.database import Database
from gateway.storage.shelf import Shelf
from gateway.sweeper import Sweeper
from gateway.turned_away import TurnedAway
from gateway.upstream import ImageServer
from gateway.upstream.badge import Badge
from gateway.upstream.catalogue import Catalogue
from gateway.upstream.turn import Turns
from gateway.vocabulary import Code, Effect, Event
from gateway.wiring_audit import audit_settings, open_feeds, retention_rules
from gateway.wiring_policy import (
    make_bundle_desk,
    make_engine,
    make_policy_desk,
    make_publisher,
    make_stage_follower,
    make_staged,
    note_change,
    on_reload_of,
    open_follower,
)

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
        revision_store = RevisionStore(database, clock)
        follower = await open_follower(settings, revision_store, clock, stack)
        rules_folder = settings.policy.directory if follower is None else follower.rules
        detectors_folder = settings.policy.directory if follower is None else follower.detectors
        keeping = Keeping(detectors_folder)
        audit = await AuditLog.open(audit_settings(settings), clock=clock, rules=lambda: retention_rules(keeping))
        stack.push_async_callback(audit.aclose)
        away = TurnedAway(audit, clock)
        identity = Identity(
            settings.identity,
            settings.server.public_url,
            database,
            clock,
            away.key,
            away.form,
            away.wait,
            away.lapse,
            away.logout_token,
        )
        stack.push_async_callback(identity.aclose)
        on_reload = on_reload_of(audit, metrics)
        if follower is not None:
            await follower.seed(note_change(audit))
        revisions = Revisions(clock, timedelta(minutes=settings.policy.opa_stale_minutes))
        publisher = make_publisher(settings, rules_folder, clock, revisions, on_reload, audit)
        if publisher is not None:
            stack.push_async_callback(publisher.aclose)
            await publisher.start()
        engine = make_engine(settings, rules_folder, clock, revisions, on_reload, follower)
        replaying = open_replaying(
            settings.policy.replay,
            secret_path=settings.identity.secret_path,
            keys_folder=settings.audit.directory / "replay-keys",
            rules_folder=rules_folder,
            database=database,
            audit=audit,
            metrics=metrics,
            clock=clock,
            keeps_for=keeping.keeps_for,
        )
        stack.push_async_callback(replaying.aclose)
        staged = make_staged(settings, engine, follower)
        policy = Policy(Watched(staged or engine, (replaying.journal.saw, replaying.shadows.saw)))
        stack.push_async_callback(policy.aclose)
        await policy.start()
        # Only the newline of a text file goes: a random key may well begin or end with a space's byte.
        fingerprints = settings.screening.secret_path.read_bytes().rstrip(b"\n")
        watch = MemoryWatch(database, fingerprints, clock, settings.screening.memorisation_days)
        screening = Screening(
            directory=detectors_folder,
            lists=settings.screening.lists_path or settings.policy.directory / "lists",
            secret=fingerprints,
            timeout_seconds=settings.screening.timeout_seconds,
            picture_timeout_seconds=settings.screening.picture_timeout_seconds,
            upload_timeout_seconds=settings.screening.upload_timeout_seconds,
            picture_workers=settings.screening.picture_workers,
            picture_classifiers=[
                Classifier(**{**one.model_dump(), "path": str(one.path)})
                for one in settings.screening.picture_classifiers
            ],
            block_list=settings.provenance.block_list_path,
            reload_seconds=settings.screening.reload_seconds,
            on_reload=_on_detector_reload(audit, metrics, asyncio.get_running_loop()),
            meaning=_meaning(settings.screening),
            watch=watch,
        )
        stack.push_async_callback(screening.aclose)
        warming = asyncio.create_task(screening.warm_up(), name="warming")
        stack.push_async_callback(_stop, warming)
        desk = None
        if follower is not None:
            # The engine comes last: with its rules the detectors go, and then all have to be there.
            parts = (publisher, engine if isinstance(engine, EmbeddedEngine) else None)
            stages = make_stage_follower(settings, database, revision_store, staged, clock, audit)
            follower.alarm = PolicyAlarm(identity)
            follower.attach([part.reloader for part in parts if part is not None], screening, stages)
            await follower.look()  # a rollout that runs has its candidate before the first request
            desk = make_policy_desk(settings, database, revision_store, follower, identity, replaying.replays, clock)
            identity.proposal_kinds = {**identity.proposal_kinds, desk.kind.name: desk.kind}
        # Real time, not the gateway's own clock: the model server judges the badge by the machine's.
        badge = Badge(settings.upstream.secret_path, lambda: datetime.now(UTC))
        server = ImageServer(settings.upstream, badge, Turns(fingerprints))
        stack.push_async_callback(server.aclose)

        register = Register(database, clock)
        provenance = _provenance(settings.provenance, clock)
        marking = Marking(provenance.releaser, register)
        stack.callback(marking.close)

        ledger = Ledger(database, settings.credits, clock)
        usage = UsageCounts(database, clock)
        recorder = Recorder(audit, ledger, usage, metrics, clock, keeping)
        running = Running()
        pipeline = Pipeline(
            identity=identity,
            recorder=recorder,
            policy=policy,
            screening=screening,
            ledger=ledger,
            rate=RateLimit(settings.server.requests_per_minute),
            running=running,
            server=server,
            diversity=Diversity(detectors_folder, reload_seconds=settings.screening.reload_seconds),
            marking=marking,
            clock=clock,
        )
        shelf = Shelf(settings.pictures_path, database, clock)
        forget = partial(register.forget_before, settings.provenance.remember_days)
        also: dict[str, Callable[[], Awaitable[object]]] = {
            "register": forget,
            "replay": replaying.sweep,
            "memorisation": watch.forget_old,
        }
        sweeper = Sweeper(audit, ledger, shelf, metrics, settings.audit, also=also)
        # With day files one process owns the log, so a ticket that is open at start belongs to nobody alive. In a
        # database it may be another gateway's, at work.
        is_alone = settings.audit.database_url_path is None
        await sweeper.sweep(timedelta(seconds=0 if is_alone else settings.audit.orphan_seconds))
        await identity.mapping.live.refresh()
        await identity.provisioned.settle()
        scim = Scim(
            providers=settings.identity.providers,
            public_url=settings.server.public_url,
            database=database,
            provisioned=identity.provisioned,
            note=audit.note,
            clock=clock,
            on_refused=identity.door.credential_refused,
            on_gone=_on_gone(running, screening),
        )
        for name, work in (
            ("sweeper", sweeper.run()),
            ("retention", audit.retention_worker().run()),
            ("running", running.watch(identity.people.shut_out)),
            ("mapping", identity.mapping.live.watch()),
            ("emergency", EmergencyWatch(identity.emergency, audit).run()),
            ("replay", replaying.journal.run()),
            *((("policy-follower", follower.run()),) if follower is not None else ()),
        ):
            stack.push_async_callback(_stop, asyncio.create_task(work, name=name))
        await warming  # nobody's first request waits for weights
        await _note_life(audit, Event.GATEWAY_START, policy.revision)
        stack.push_async_callback(_note_stop, audit, policy)
        feeds = open_feeds(settings, audit, clock)
        for feed in feeds:
            feed.start()
            stack.push_async_callback(feed.aclose)
        yield Services(
            settings=settings,
            clock=clock,
            database=database,
            identity=identity,
            policy=policy,
            bundles=make_bundle_desk(settings, clock, revisions, publisher),
            bundle_rate=RateLimit(settings.policy.bundles.requests_per_minute),
            policy_desk=desk,
            replaying=replaying,
            screening=screening,
            hint_rate=RateLimit(settings.screening.hints_per_minute),
            moderation_rate=RateLimit(settings.screening.moderations_per_minute),
            ledger=ledger,
            usage=usage,
            audit=audit,
            keeping=keeping,
            feeds=feeds,
            server=server,
            shelf=shelf,
            checker=provenance.checker(register.lookups),
            check_rate=RateLimit(settings.provenance.checks_per_minute),
            room=Room(settings.server.upload_room_bytes),
            catalogue=Catalogue(server),
            pipeline=pipeline,
            running=running,
            scim=scim,
            metrics=metrics,
        )


def _provenance(settings: ProvenanceSettings, clock: Callable[[], datetime]) -> Provenance:
    """Raises CertificateRefused: a gateway that can't mark what leaves does not start."""
    if settings.create_keys:
        for made in make_missing(settings, clock()):
            log.warning("provenance.made", extra={"fields": {"path": str(made)}})
    return open_provenance(settings, clock)


def _meaning(settings: ScreeningSettings) -> Meaning | None:
    """None only where the operator said so. A model that is missing is found out by the first prompt: it is refused."""
    if settings.semantic == "off":
        return None
    return Meaning(timeout_seconds=settings.semantic_timeout_seconds)


def _on_gone(running: Running, screening: Screening) -> Callable[[ActorId, Code], None]:
    """What the directory's word ends here: the pictures that are being made, and what is remembered of prompts."""

    def gone(actor: ActorId, code: Code) -> None:
        running.stop(actor, code)
        screening.forget(actor)

    return gone


def _on_detector_reload(
    audit: AuditLog, metrics: Metrics, loop: asyncio.AbstractEventLoop
) -> Callable[[bool, str, str], None]:
    """Changed detectors are an event of the log too. It follows the change, which happens in a screening thread; one
    that can't be recorded is logged, and the log that refuses it refuses pictures as well."""

    async def note(entry: Entry) -> None:
        try:
            await audit.note(entry)
        except AuditError as error:
            log.error("detectors.unrecorded", extra={"cause": type(error).__name__})

    def tell(ok: bool, revision: str, trouble: str) -> None:
        metrics.rule_reloads.labels("loaded" if ok else "refused").inc()
        entry = Entry(
            action=(Event.DETECTOR_RELOAD if ok else Event.DETECTOR_RELOAD_REFUSED).value,
            subject=Subject(actor="system:screening", display="detector reload"),
            effect=(Effect.ALLOW if ok else Effect.DENY).value,
            content={"revision": revision, "problem": trouble},
        )
        asyncio.run_coroutine_threadsafe(note(entry), loop)

    return tell


async def _note_life(audit: AuditLog, event: Event, policy_revision: str) -> None:
    """The gateway itself begins or ends: between the two, what is not recorded did not happen through it."""
    subject = Subject(actor="system:gateway", display="gateway")
    content = {"version": __version__, "policy_revision": policy_revision}
    await audit.note(Entry(action=event.value, subject=subject, effect=Effect.ALLOW.value, content=content))


async def _note_stop(audit: AuditLog, policy: Policy) -> None:
    with suppress(AuditError):  # a log that can't be written any more must not keep the rest from closing
        await _note_life(audit, Event.GATEWAY_STOP, policy.revision)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
