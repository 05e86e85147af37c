"""Rollouts in the database: who is decided by other rules than everybody, as the last line of a list that only grows.

A line stands beside the line in force when it was written. Whatever comes into force afterwards (an approval, a
rollback, a break-glass edit) ends the rollout by that alone, at once and in every process; the `end` line that follows
only says so. docs/decisions/0017 tells who may do what.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest
from gateway.lifecycle.content import changes_between
from gateway.lifecycle.refusals import Conflict
from gateway.lifecycle.staged import Audience
from gateway.lifecycle.store import MAX_MESSAGE, Activation
from gateway.lifecycle.tables import rollouts
from gateway.screening.rules.ruleset import FOLDERS
from gateway.storage.database import Database

MAX_GROUPS: Final = 50
MAX_GROUP: Final = 200
MAX_STEPS: Final = 20
EVERYBODY: Final = 100.0
MOVED: Final = "Somebody changed the rollout in the meantime. Load it again, and decide again."
NOT_BY_PERSON: Final = (
    *FOLDERS,
    "diversity",
    "gateway/config/diversity",
    "gateway/config/pictures",
    "gateway/config/retention",
)
"""Folders that others than the engine read, before or after a decision, for everybody alike: detectors find before it
is known whose rules decide. A candidate that changes one of them can't be for some people."""
_FOLDERS: Final = tuple(f"{folder}/" for folder in NOT_BY_PERSON)
OTHER_RUNS: Final = "Other rules are being rolled out already. Finish or withdraw that rollout first."


class StepKind(StrEnum):
    """What was done to a rollout."""

    START = "start"
    WIDEN = "widen"
    FINISH = "finish"
    WITHDRAW = "withdraw"
    END = "end"
    """Other rules came into force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Whom new rules are for at first, and how far one person may widen that: what a proposal asks for."""

    groups: tuple[str, ...] = ()
    percent: float = 0.0
    steps: tuple[float, ...] = ()
    """Rising; the last may be 100, and then one person may also finish."""

    @property
    def may_finish(self) -> bool:
        return self.steps[-1:] == (EVERYBODY,)

    def as_json(self) -> dict[str, Any]:
        """As a payload holds it."""
        return {"groups": list(self.groups), "percent": self.percent, "steps": list(self.steps)}

    def in_words(self) -> str:
        """ "the group pilots, and 5 % of all others"."""
        named = f"the group{'s' if len(self.groups) > 1 else ''} {', '.join(self.groups)}"
        share = f"{self.percent:g} % of all {'others' if self.groups else 'people and programs'}"
        return ", and ".join([*([named] if self.groups else []), *([share] if self.percent else [])])


def read_stage(asked: Mapping[str, Any]) -> Stage:
    """A stage as somebody wrote it. Raises InvalidRequest for what is none."""
    groups = tuple(dict.fromkeys(asked.get("groups") or ()))
    percent, steps = float(asked.get("percent") or 0), tuple(map(float, asked.get("steps") or ()))
    if len(groups) > MAX_GROUPS or not all(1 <= len(name) <= MAX_GROUP and name.isprintable() for name in groups):
        raise InvalidRequest(
            f"stage.groups: up to {MAX_GROUPS} names of 1 to {MAX_GROUP} printable characters.", param="stage"
        )
    for share in (percent, *steps):
        if not 0 <= share <= EVERYBODY or round(share, 2) != share:
            raise InvalidRequest("stage: a share is 0 to 100 per cent, in hundredths at the finest.", param="stage")
    if percent == EVERYBODY or not (groups or percent):
        raise InvalidRequest(
            "stage: name a group, or a share above 0 and below 100. For everybody leave the stage out.", param="stage"
        )
    rising = (percent, *steps)
    if len(steps) > MAX_STEPS or any(after <= before for before, after in itertools.pairwise(rising)):
        raise InvalidRequest(
            f"stage.steps: up to {MAX_STEPS} shares, each greater than the one before, the first greater than percent.",
            param="stage",
        )
    return Stage(groups=groups, percent=percent, steps=steps)


def not_by_person(base: Mapping[str, bytes], files: Mapping[str, bytes]) -> list[str]:
    """Files that differ and that no single person can have otherwise than everybody."""
    return sorted(path for path in changes_between(base, files) if path.startswith(_FOLDERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line: what was done to a rollout, and who is decided by the candidate since."""

    number: int
    kind: StepKind
    rollout: str
    digest: str
    activation: int
    stage: Stage
    approved_by: str
    proposal: str
    actor: str
    reason: str
    at: datetime

    @property
    def goes_on(self) -> bool:
        """Whether the candidate decides for somebody, as long as nothing else came into force."""
        return self.kind in (StepKind.START, StepKind.WIDEN)

    def is_beside(self, active: Activation) -> bool:
        """Whether it runs now, when `active` is what is in force."""
        return self.goes_on and self.activation == active.number

    @property
    def audience(self) -> Audience:
        return Audience(salt=self.rollout, percent=self.stage.percent, groups=frozenset(self.stage.groups))


class RolloutStore:
    """Keeps the list. Methods that take a connection belong to the caller's transaction."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def last(self, tx: AsyncConnection | None = None) -> Step | None:
        """The newest line; None before the first rollout."""
        query = select(rollouts).order_by(rollouts.c.number.desc()).limit(1)
        if tx is not None:
            row = (await tx.execute(query)).one_or_none()
        else:
            async with self._database.reading() as reading:
                row = (await reading.execute(query)).one_or_none()
        return None if row is None else _step(row)

    async def history(self, limit: int = 100) -> Sequence[Step]:
        """What was done, the newest first."""
        query = select(rollouts).order_by(rollouts.c.number.desc()).limit(limit)
        async with self._database.reading() as tx:
            return [_step(row) for row in (await tx.execute(query)).all()]

    async def running(self, active: Activation | None, tx: AsyncConnection | None = None) -> Step | None:
        """The rollout that runs beside what is in force, if one does."""
        last = await self.last(tx)
        return last if last is not None and active is not None and last.is_beside(active) else None

    async def start(
        self,
        tx: AsyncConnection,
        *,
        active: Activation,
        digest: str,
        stage: Stage,
        proposal: str,
        approved_by: str,
        reason: str,
    ) -> Step:
        """A rollout begins; or the one of the same revision goes on with another stage, for the same people first.
        Raises Conflict while another revision's runs."""
        last = await self.last(tx)
        running = last if last is not None and last.is_beside(active) else None
        if running is not None and running.digest != digest:
            raise Conflict(OTHER_RUNS)
        step = Step(
            number=1 if last is None else last.number + 1,
            kind=StepKind.START,
            rollout=proposal if running is None else running.rollout,
            digest=digest,
            activation=active.number,
            stage=stage,
            approved_by=approved_by,
            proposal=proposal,
            actor=approved_by,
            reason=reason[:MAX_MESSAGE],
            at=self._clock(),
        )
        return await self._add(tx, step)

    async def follow_with(
        self,
        tx: AsyncConnection,
        seen: Step,
        kind: StepKind,
        *,
        actor: str,
        reason: str,
        percent: float | None = None,
        activation: int | None = None,
    ) -> Step:
        """The next line after `seen`, in the same rollout. Raises Conflict when another was written."""
        last = await self.last(tx)
        if last is None or last.number != seen.number:
            raise Conflict(MOVED)
        step = replace(
            seen,
            number=seen.number + 1,
            kind=kind,
            stage=seen.stage if percent is None else replace(seen.stage, percent=percent),
            activation=seen.activation if activation is None else activation,
            actor=actor,
            reason=reason[:MAX_MESSAGE],
            at=self._clock(),
        )
        return await self._add(tx, step)

    def transaction(self) -> Any:
        """One writing transaction of the database."""
        return self._database.transaction()

    @staticmethod
    async def _add(tx: AsyncConnection, step: Step) -> Step:
        values = {name: getattr(step, name) for name in step.__slots__ if name != "stage"} | step.stage.as_json()
        try:
            async with tx.begin_nested():
                await tx.execute(insert(rollouts).values(**values))
        except IntegrityError as error:
            raise Conflict(MOVED) from error
        return step


def _step(row: Row[Any]) -> Step:
    values = dict(row._mapping)
    stage = Stage(
        groups=tuple(values.pop("groups")), percent=values.pop("percent"), steps=tuple(map(float, values.pop("steps")))
    )
    return Step(**values | {"kind": StepKind(values["kind"])}, stage=stage)
