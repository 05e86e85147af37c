"""The composition root: the only module that chooses adapters. Everything else is handed what it needs.

The same code runs on a laptop and in a company; what differs is chosen here, from the settings.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from audit import (
    JSON,
    AuditError,
    AuditLog,
    AuditSettings,
    Entry,
    Feed,
    FeedSettings,
    LogEvent,
    Phase,
    RetentionRules,
    Subject,
    source_of,
)
from gateway import __version__
from gateway.credits import Ledger
from gateway.credits.rate import RateLimit
from gateway.credits.usage import UsageCounts
from gateway.diversity import Diversity
from gateway.emergency_watch import EmergencyWatch
from gateway.exchange import ActorId
from gateway.identity import Identity
from gateway.keeping import STANDARD, Keeping
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.checking import Checker
from gateway.lifecycle.follower import Follower
from gateway.lifecycle.follower import Note as NoteChange
from gateway.lifecycle.store import Kind, RevisionStore
from gateway.observe.metrics import Metrics
from gateway.pipeline import Pipeline
from gateway.policy import Policy
from gateway.policy.bundle import Rules
from gateway.policy.desk import BundleDesk, read_token
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.engine import PolicyEngine
from gateway.policy.fleet import Fleet
from gateway.policy.opa import OpaEngine
from gateway.policy.publisher import Published, Publisher
from gateway.policy.reload import OnReload, Reload, ignore
from gateway.policy.revisions import Revisions
from gateway.policy.signing import SigningKey
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
        follower = await _follower(settings, revision_store, clock, stack)
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
        on_reload = _on_reload(audit, metrics)
        if follower is not None:
            await follower.seed(_note_change(audit))
        revisions = Revisions(clock, timedelta(minutes=settings.policy.opa_stale_minutes))
        publisher = _publisher(settings, rules_folder, clock, revisions, on_reload, audit)
        if publisher is not None:
            stack.push_async_callback(publisher.aclose)
            await publisher.start()
        engine = _policy_engine(settings, rules_folder, clock, revisions, on_reload, follower)
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
        policy = Policy(Watched(engine, (replaying.journal.saw, replaying.shadows.saw)))
        stack.push_async_callback(policy.aclose)
        await policy.start()
        # Only the newline of a text file goes: a random key may well begin or end with a space's byte.
        fingerprints = settings.screening.secret_path.read_bytes().rstrip(b"\n")
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
        )
        stack.push_async_callback(screening.aclose)
        warming = asyncio.create_task(screening.warm_up(), name="warming")
        stack.push_async_callback(_stop, warming)
        desk = None
        if follower is not None:
            # The engine comes last: with its rules the detectors go, and then all have to be there.
            parts = (publisher, engine if isinstance(engine, EmbeddedEngine) else None)
            follower.attach([part.reloader for part in parts if part is not None], screening)
            desk = _policy_desk(settings, database, revision_store, follower, identity, clock)
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
        also: dict[str, Callable[[], Awaitable[object]]] = {"register": forget, "replay": replaying.sweep}
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
            bundles=_bundle_desk(settings, clock, revisions, publisher),
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


async def _follower(
    settings: Settings, store: RevisionStore, clock: Callable[[], datetime], stack: AsyncExitStack
) -> Follower | None:
    """What follows managed rules; None where the folder's are in force."""
    section = settings.policy
    if section.source == "folder":
        return None
    if section.engine == "opa" and section.opa_rules_from != "gateway":
        raise ValueError("policy.source is managed, so an OPA server needs its rules from us: opa_rules_from: gateway")
    follower = Follower(store, clock, poll_seconds=section.poll_seconds)
    stack.push_async_callback(follower.aclose)
    await follower.first(section.directory)
    return follower


def _nothing_else(_: Rules) -> None:
    """Where the rules are a folder's, the detectors look at it themselves."""


def _policy_desk(
    settings: Settings,
    database: Database,
    store: RevisionStore,
    follower: Follower,
    identity: Identity,
    clock: Callable[[], datetime],
) -> PolicyDesk:
    section = settings.policy
    return PolicyDesk(
        database=database,
        store=store,
        checker=Checker(database, clock, floor=section.coverage_percent / 100),
        follower=follower,
        proposals=identity.proposals,
        clock=clock,
        break_glass_minutes=section.break_glass_minutes,
    )


def _note_change(audit: AuditLog) -> NoteChange:
    """Rules that come into force by themselves are an event of the log first."""
    events = {Kind.SEED: Event.POLICY_SEED, Kind.EXPIRY: Event.POLICY_EXPIRE}

    async def note(kind: Kind, digest: str, reason: str, before: str) -> None:
        entry = Entry(
            action=events[kind].value,
            subject=Subject(actor="system:policy", display="policy"),
            effect=Effect.ALLOW.value,
            content={"before": before, "after": digest, "reason": reason},
        )
        await audit.note(entry)

    return note


def _publisher(
    settings: Settings,
    folder: Path,
    clock: Callable[[], datetime],
    revisions: Revisions,
    on_reload: OnReload,
    audit: AuditLog,
) -> Publisher | None:
    """What makes bundles for OPA servers, or only knows the folder's revision; None where neither is wanted."""
    section, bundles = settings.policy, settings.policy.bundles
    asks_opa = section.engine == "opa"
    key = None
    if bundles.signing_key_path is not None:
        key = SigningKey.read(bundles.signing_key_path, bundles.key_id)
        if bundles.token_path is None:
            raise ValueError("policy.bundles.token_path must be given: bundles go to OPA servers with a token only")
    elif asks_opa and section.opa_rules_from == "gateway":
        raise ValueError("policy.opa_rules_from is gateway, so policy.bundles.signing_key_path must be given")
    elif not asks_opa or section.opa_rules_from == "elsewhere":
        return None

    async def on_publish(bundle: Published) -> None:
        subject = Subject(actor="system:policy", display="policy bundles")
        content: dict[str, JSON] = {"digest": bundle.digest, "key_id": bundle.key_id, "bytes": len(bundle.body)}
        entry = Entry(
            action=Event.POLICY_PUBLISH.value,
            subject=subject,
            effect=Effect.ALLOW.value,
            bundle_revision=bundle.revision,
            content=content,
        )
        await audit.note(entry)

    return Publisher(
        folder,
        clock=clock,
        revisions=revisions,
        key=key,
        decision_seconds=section.decision_timeout_seconds,
        reload_seconds=section.reload_seconds,
        on_reload=on_reload if asks_opa else ignore,  # the embedded engine tells of the same folder itself
        on_publish=on_publish,
    )


def _bundle_desk(
    settings: Settings, clock: Callable[[], datetime], revisions: Revisions, publisher: Publisher | None
) -> BundleDesk | None:
    bundles = settings.policy.bundles
    if publisher is None or publisher.current is None or bundles.token_path is None:
        return None
    fleet = Fleet(bundles.name, clock=clock, revisions=revisions, lag_after=timedelta(seconds=bundles.lag_seconds))
    return BundleDesk(bundles.name, publisher, fleet, read_token(bundles.token_path))


def _policy_engine(
    settings: Settings,
    folder: Path,
    clock: Callable[[], datetime],
    revisions: Revisions,
    on_reload: OnReload,
    follower: Follower | None,
) -> PolicyEngine:
    """Rego in process, or an OPA server: one setting decides."""
    section = settings.policy
    if section.engine == "opa":
        if section.opa_url is None:
            raise ValueError("policy.engine is opa, so policy.opa_url must say where it is")
        is_elsewhere = section.opa_rules_from == "elsewhere"
        return OpaEngine(
            str(section.opa_url),
            clock=clock,
            decision_seconds=section.decision_timeout_seconds,
            token_path=section.opa_token_path,
            breaker_failures=section.breaker_failures,
            breaker_open_seconds=section.breaker_open_seconds,
            revisions=None if is_elsewhere else revisions,
            confirmed_within=timedelta(minutes=section.opa_stale_minutes) if is_elsewhere else None,
        )
    return EmbeddedEngine(
        folder,
        clock=clock,
        decision_seconds=section.decision_timeout_seconds,
        reload_seconds=section.reload_seconds,
        on_reload=on_reload,
        on_swap=_nothing_else if follower is None else follower.on_swap,
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


def audit_settings(settings: Settings) -> AuditSettings:
    """The log's own settings, from ours."""
    section = settings.audit
    url = None if section.database_url_path is None else section.database_url_path.read_text("utf-8").strip()
    return AuditSettings(
        directory=section.directory,
        database_url=None if url is None else SecretStr(url),
        kek_path=section.kek_path if section.key_service is None else None,
        key_service=section.key_service,
        signing_key_path=section.signing_key_path,
        witness_path=section.witness_path,
        witnesses=section.witnesses,
        origin=section.origin,
        create_keys=section.create_keys,
        disk_refuse_fraction=section.disk_refuse_fraction,
        opening_mfa_seconds=section.opening_mfa_seconds,
        clock_settle_seconds=section.clock_settle_seconds,
        node=_node_name(),
    )


def retention_rules(keeping: Keeping) -> RetentionRules:
    """How long the log keeps each class: what policy says now."""
    classes = keeping.rules().classes
    return RetentionRules(classes[STANDARD], classes)


def open_feeds(settings: Settings, audit: AuditLog, clock: Callable[[], datetime]) -> tuple[Feed, ...]:
    """What sends records on, not started. One process of those that share a log serves a consumer."""

    async def took(cursor: object, chosen: FeedSettings) -> None:
        subject = Subject(actor=f"system:feed-{chosen.consumer}", display=f"feed {chosen.consumer}")
        content = {"consumer": chosen.consumer, "tenants": list(chosen.tenants)}
        await audit.note(
            Entry(action=LogEvent.FOLLOW, subject=subject, effect=Effect.ALLOW, content=content), Phase.ACCESS
        )

    positions = settings.audit.directory / "consumers"
    return tuple(
        Feed(
            chosen,
            source_of(audit.store, chosen),
            positions,
            clock=clock,
            record_access=partial(took, chosen=chosen),
            report=lambda line: log.warning("audit.feed", extra={"fields": {"said": line}}),
        )
        for chosen in settings.audit.feeds
    )


def _node_name() -> str:
    """This machine's name as the records carry it: letters, digits and hyphens."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:40]
    return f"gateway-{name}" if name else "gateway"


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
