"""This process follows what is in force: one row is looked at twice a second, and rules are exchanged whole.

Each process has a private folder. The files of a revision are written there under their digest, and two links say what
is in force: `rules` for the engine, `detectors` for screening and for what else reads the folder. A new revision is
prepared beside the old one (detectors loaded, the engine's trial run, the change recorded); only then everything is
exchanged, engine and detectors in one step of the event loop.

What does not survive its preparation changes nothing: the old revision stays in force, whole, and `error` says why.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from gateway.lifecycle.alarm import LAG_SECONDS, PolicyAlarm
from gateway.lifecycle.content import OPERATORS_OWN, materialise
from gateway.lifecycle.lagging import Lagging
from gateway.lifecycle.refusals import Conflict
from gateway.lifecycle.stage_follower import StageFollower
from gateway.lifecycle.store import FOLDER, OPERATOR, Activation, Kind, RevisionStore
from gateway.policy.bundle import REVISION_CHARS, Bundle, Rules, bundle_of, read_bundle
from gateway.policy.reload import Reloader
from gateway.screening.image.required import FILE as REQUIRED
from gateway.screening.image.required import Required
from gateway.screening.rules.ruleset import FOLDERS, RuleSet

log = logging.getLogger(__name__)


Note = Callable[[Kind, str, str, str], Awaitable[None]]
"""Records that rules come into force: kind, digest, reason, digest before. Durable when it returns."""


class Detectors(Protocol):
    """What screening offers to whoever changes its rules."""

    @property
    def rules(self) -> RuleSet: ...

    def prepare(self, directory: Path) -> RuleSet: ...

    def put_in_force(self, rules: RuleSet) -> None: ...


class Follower(Lagging):
    """Keeps this process on the revision in force. `first`, `seed`, `attach`, then `run`."""

    def __init__(
        self,
        store: RevisionStore,
        clock: Callable[[], datetime],
        *,
        poll_seconds: float = 0.5,
        note: Note | None = None,
    ) -> None:
        super().__init__(clock)
        self._store = store
        self._poll_seconds = poll_seconds
        self._note = note
        self._place = Path(tempfile.mkdtemp(prefix="imprimatur-policy-"))
        self._reloaders: Sequence[Reloader] = ()
        self._detectors: Detectors | None = None
        self.stages: StageFollower | None = None
        """What follows rollouts; None where the engine can't decide by two sets of rules."""
        self.alarm: PolicyAlarm | None = None
        """Whom to tell of what happens by itself."""
        self._lag_told = False
        self._staged: tuple[str, RuleSet] | None = None
        self._seed: Bundle | None = None
        self._looking = asyncio.Lock()  # a route looks too, so that its answer finds the rules in force
        self._detector_files: Mapping[str, bytes] = {}
        self._required: bytes | None = None
        self.rules: Final = self._place / "rules"
        self.detectors: Final = self._place / "detectors"
        self.digest = ""
        """The revision that this process runs."""
        self.number = 0
        """The line of the list that it has carried out."""

    async def first(self, folder: Path) -> None:
        """Lay out what is in force, or `folder` when nothing ever was. Raises BundleRefused, ValueError."""
        active = await self._store.active()
        if active is None:
            bundle = self._seed = _seed_of(await asyncio.to_thread(read_bundle, folder))
        else:
            bundle, self.number = await self._store.bundle(active.digest), active.number
        await asyncio.to_thread(materialise, bundle, self._folder(bundle.digest))
        self._remember(bundle)
        _point(self.rules, self._folder(bundle.digest))
        _point(self.detectors, self._folder(bundle.digest))

    async def seed(self, note: Note) -> None:
        """The folder's rules are revision 1, when nothing was in force. Recorded first."""
        self._note = note
        seed, self._seed = self._seed, None
        if seed is None or await self._store.active() is not None:
            return
        reason = "the folder that this gateway was started with"
        await note(Kind.SEED, seed.digest, reason, "")
        with suppress(Conflict):  # another gateway was faster; this one follows it
            async with self._store.transaction() as tx:
                await self._store.add(tx, seed, parent=None, author=FOLDER, message=reason)
                await self._store.approve(tx, seed.digest, by=OPERATOR)
                await self._store.activate(tx, seed.digest, after=0, kind=Kind.SEED, actor=OPERATOR, reason=reason)

    def attach(self, reloaders: Sequence[Reloader], detectors: Detectors, stages: StageFollower | None = None) -> None:
        """Whom to hand new rules to. All of `reloaders` read the folder `rules`."""
        self._reloaders = reloaders
        self._detectors = detectors
        self.stages = stages

    def on_swap(self, rules: Rules) -> None:
        """For the engine, at the moment when it exchanges its rules: the same revision's detectors go with them."""
        if self._staged is not None and rules.revision.endswith(f"+{self._staged[0][:REVISION_CHARS]}"):
            self._exchange_detectors()

    def behind(self) -> tuple[float, str]:
        """For how many seconds this process has not run what is in force, or a rollout that runs, and why."""
        parts: list[Follower | StageFollower] = [self, *([] if self.stages is None else [self.stages])]
        now = self._clock()
        lags = [((now - one.behind_since).total_seconds(), one.error) for one in parts if one.behind_since is not None]
        return max(lags, default=(0.0, ""))

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self.look()

    async def look(self) -> None:
        """Look once, and follow. Never raises: what goes wrong is in `error`, and tried again."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        try:
            active = await self._store.active()
            if active is None:
                return
            if active.expires_at is not None and self._clock() >= active.expires_at:
                await self._expire(active)
                active = await self._store.active() or active
            if self.stages is not None:
                await self.stages.make_way(active)
            if active.digest == self.digest:
                self._is_current(active)
            elif self._may_try(active.digest):
                await self._follow(active)
            if self.stages is not None and active.digest == self.digest:
                await self.stages.follow(active)
        except Exception as error:
            self._fall_behind()
            self.error = f"what is in force can't be looked up: {type(error).__name__}"
            log.exception("policy.follow_failed")
        await self._tell_lag()

    async def _tell_lag(self) -> None:
        """Once each time, when it has lasted."""
        seconds, cause = self.behind()
        if seconds <= LAG_SECONDS:
            self._lag_told = self._lag_told and seconds > 0
        elif not self._lag_told and self.alarm is not None:
            self._lag_told = True
            await self.alarm.lags(seconds, cause)

    async def aclose(self) -> None:
        """Leave nothing behind."""
        await asyncio.to_thread(shutil.rmtree, self._place, ignore_errors=True)

    async def _expire(self, active: Activation) -> None:
        """A break-glass edit ends. Every process tries; the list takes one."""
        if self._note is None or active.returns_to is None:
            return
        reason = f"the break-glass edit of {active.actor} is over"
        log.critical("policy.break_glass.expired", extra={"fields": {"revision": active.digest[:REVISION_CHARS]}})
        await self._note(Kind.EXPIRY, active.returns_to, reason, active.digest)
        with suppress(Conflict):
            async with self._store.transaction() as tx:
                await self._store.activate(
                    tx, active.returns_to, after=active.number, kind=Kind.EXPIRY, actor="system:policy", reason=reason
                )
            if self.alarm is not None:  # one process: the list takes one
                await self.alarm.tell("the approved rules are in force again", reason=reason)

    async def _follow(self, active: Activation) -> None:
        self._fall_behind()
        old = self.digest
        bundle = await self._store.bundle(active.digest)
        new = self._folder(bundle.digest)
        await asyncio.to_thread(materialise, bundle, new)
        if self._detectors is None:
            raise AssertionError("unreachable: attached before it runs")
        try:
            self._staged = (bundle.digest, await self._prepared(self._detectors, bundle, new))
        except ValueError as error:  # RuleError is one
            self._refuse(active, str(error))
            return
        _point(self.rules, new)
        try:
            for reloader in self._reloaders:
                await reloader.check()
                if reloader.digest != bundle.digest:
                    _point(self.rules, self._folder(old))
                    self._refuse(active, reloader.error or "the engine did not take them")
                    return
            self._exchange_detectors()  # where the engine is elsewhere; otherwise they went with its rules
        finally:
            self._staged = None
        self._remember(bundle)
        self._is_current(active)
        log.info(
            "policy.followed", extra={"fields": {"revision": bundle.digest[:REVISION_CHARS], "number": active.number}}
        )
        await asyncio.to_thread(self._tidy, {old, bundle.digest})

    async def _prepared(self, detectors: Detectors, bundle: Bundle, folder: Path) -> RuleSet:
        """Loading detectors is most of the work: those whose files are the same are not loaded again. Raises
        ValueError."""
        await asyncio.to_thread(Required(folder).of, "output")  # else no picture could be looked at any more
        if _detector_files(bundle) != self._detector_files:
            return await asyncio.to_thread(detectors.prepare, folder)
        if bundle.files.get(REQUIRED.as_posix()) != self._required:
            # Equal, and another object: pictures that are being looked at now are looked at again, for the categories
            # that the rules want which will decide upon them (`screening.rules.steady`).
            return replace(detectors.rules)
        return detectors.rules

    def _remember(self, bundle: Bundle) -> None:
        self.digest, self._detector_files = bundle.digest, _detector_files(bundle)
        self._required = bundle.files.get(REQUIRED.as_posix())

    def _exchange_detectors(self) -> None:
        if self._staged is None or self._detectors is None:
            return
        digest, rules = self._staged
        _point(self.detectors, self._folder(digest))
        self._detectors.put_in_force(rules)
        self._staged = None

    def _is_current(self, active: Activation) -> None:
        self.number = active.number
        self._catch_up()

    def _refuse(self, active: Activation, why: str) -> None:
        self._stay(active.digest, why)
        log.error("policy.behind", extra={"fields": {"revision": active.digest[:REVISION_CHARS], "cause": why}})

    def _folder(self, digest: str) -> Path:
        return self._place / "revisions" / digest

    def _tidy(self, kept: set[str]) -> None:
        for folder in (self._place / "revisions").iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def _detector_files(bundle: Bundle) -> dict[str, bytes]:
    return {path: body for path, body in bundle.files.items() if path.split("/")[0] in FOLDERS}


def _seed_of(bundle: Bundle) -> Bundle:
    return bundle_of({path: body for path, body in bundle.files.items() if path.split("/")[0] not in OPERATORS_OWN})


def _point(link: Path, target: Path) -> None:
    """Let `link` lead to `target`, in one step: a reader finds the old folder or the new one."""
    made = link.with_name(f".{link.name}-{os.getpid()}")
    made.unlink(missing_ok=True)
    made.symlink_to(target)
    made.replace(link)
