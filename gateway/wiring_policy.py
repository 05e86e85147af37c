"""The part of the composition root that opens the rules: their engine, who hands them out, and what follows them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from audit import (
    JSON,
    AuditLog,
    Entry,
    Subject,
)
from gateway.identity import Identity
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.checking import Checker
from gateway.lifecycle.follower import Follower
from gateway.lifecycle.follower import Note as NoteChange
from gateway.lifecycle.impact import Replayed
from gateway.lifecycle.rollouts import RolloutStore, Step
from gateway.lifecycle.stage_follower import NoteEnd, StageFollower
from gateway.lifecycle.staged import Staged
from gateway.lifecycle.store import Kind, RevisionStore
from gateway.observe.metrics import Metrics
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
from gateway.policy.trial import try_out
from gateway.replay.desk import Replays
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.vocabulary import Effect, Event


async def open_follower(
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


def make_policy_desk(
    settings: Settings,
    database: Database,
    store: RevisionStore,
    follower: Follower,
    identity: Identity,
    replays: Replays,
    clock: Callable[[], datetime],
) -> PolicyDesk:
    section = settings.policy

    async def find_replay(id: str) -> Replayed:
        job = await replays.get(id)
        return Replayed(
            id=job.id,
            candidate=job.candidate_digest,
            baseline=job.baseline_digest,
            days=job.days,
            ended_at=job.ended_at,
            report=job.report,
        )

    return PolicyDesk(
        database=database,
        store=store,
        checker=Checker(database, clock, floor=section.coverage_percent / 100),
        follower=follower,
        proposals=identity.proposals,
        clock=clock,
        break_glass_minutes=section.break_glass_minutes,
        rollouts=RolloutStore(database, clock),
        find_replay=find_replay,
        require_replay=section.require_replay,
    )


def make_staged(settings: Settings, engine: PolicyEngine, follower: Follower | None) -> Staged | None:
    """Room for a candidate beside the rules in force; None where there is one set of rules for everybody: a folder's,
    or an OPA server's."""
    if follower is None or settings.policy.engine == "opa":
        return None
    return Staged(engine, decision_seconds=settings.policy.decision_timeout_seconds)


def make_stage_follower(
    settings: Settings,
    database: Database,
    store: RevisionStore,
    staged: Staged | None,
    clock: Callable[[], datetime],
    audit: AuditLog,
) -> StageFollower | None:
    if staged is None:
        return None
    return StageFollower(
        store,
        RolloutStore(database, clock),
        staged,
        try_out=partial(try_out, decision_seconds=settings.policy.decision_timeout_seconds),
        note_end=note_end(audit),
        clock=clock,
    )


def note_end(audit: AuditLog) -> NoteEnd:
    """A rollout that other rules ended is an event of the log first."""

    async def note(last: Step, reason: str) -> None:
        entry = Entry(
            action=Event.ROLLOUT_END.value,
            subject=Subject(actor="system:policy", display="policy"),
            effect=Effect.ALLOW.value,
            content={"rollout": last.rollout, "revision": last.digest, "reason": reason},
        )
        await audit.note(entry)

    return note


def note_change(audit: AuditLog) -> NoteChange:
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


def make_publisher(
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


def make_bundle_desk(
    settings: Settings, clock: Callable[[], datetime], revisions: Revisions, publisher: Publisher | None
) -> BundleDesk | None:
    bundles = settings.policy.bundles
    if publisher is None or publisher.current is None or bundles.token_path is None:
        return None
    fleet = Fleet(bundles.name, clock=clock, revisions=revisions, lag_after=timedelta(seconds=bundles.lag_seconds))
    return BundleDesk(bundles.name, publisher, fleet, read_token(bundles.token_path))


def make_engine(
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


def on_reload_of(audit: AuditLog, metrics: Metrics) -> OnReload:
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
