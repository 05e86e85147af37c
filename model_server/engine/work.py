"""One accepted request on its way through the engine: what is left of it, and what its caller hears."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from PIL.Image import Image

from model_server.engine.events import Previewed, Publish, Snapshot
from model_server.pipelines.port import CallModel, Job, Slot, StepModel
from model_server.wire import Class, JobState

AnyModel = StepModel[Any] | CallModel  # Any: a model knows its own slots, the engine only hands them back

_PROGRESS_EVENTS = 10


@dataclass(slots=True, eq=False)
class Work:
    """A request and its pictures in the making. Written by the engine's thread, or under its lock while it waits.

    Times are readings of the engine's clock, in seconds.
    """

    id: str
    model: AnyModel
    job: Job
    publish: Publish
    partials: int
    tenant: str
    work_class: Class
    accepted_at: float
    deadline_at: float | None
    step_seconds: float | None = None
    """What one step of one of its pictures takes of the device's time when the device is full; None: not known yet."""
    shape: Hashable = None
    """Slots of works of one model and equal shape may share a step."""
    state: JobState = "queued"
    stopped: bool = False
    """Someone asked for the end; obeyed at the next step."""
    group: tuple[object, ...] = ()
    """Equal groups may share a step."""
    slots: list[Slot] = field(default_factory=list)
    finished: dict[int, Image] = field(default_factory=dict)
    told_step: int = 0
    """The step of the last progress event."""
    told_previews: int = 0
    call_step: int = 0
    """Steps done of a model whose loop is its own."""

    def __post_init__(self) -> None:
        self.group = (self.model, self.shape)
        if not isinstance(self.model, StepModel):
            self.take_alone()

    @property
    def has_begun(self) -> bool:
        """Whether it holds something on the device."""
        return bool(self.slots)

    def take_alone(self) -> None:
        """A step failed in company: from now on this one shares none, so that the guilty fails by itself."""
        self.group = (self.model, self.shape, self.id)

    @property
    def steps(self) -> int:
        """Denoising steps of each picture: those really taken, once that is known."""
        return self.slots[0].steps if self.slots else self.job.steps

    @property
    def done(self) -> int:
        """Steps done by the picture that has done least."""
        return min(slot.done for slot in self.slots) if self.slots else self.call_step

    @property
    def steps_left(self) -> int:
        """Denoising steps to be taken, all pictures together: its share of the device's time."""
        if self.slots:
            return sum(slot.steps - slot.done for slot in self.slots)
        return self.job.count * (self.job.steps - self.call_step)

    @property
    def seconds_left(self) -> float | None:
        """The device's time that it still needs; None when that is not known."""
        return None if self.step_seconds is None else self.steps_left * self.step_seconds

    @property
    def longest_left(self) -> int:
        """Steps until the last picture is done, if it takes part in every one."""
        return max(slot.steps - slot.done for slot in self.slots) if self.slots else self.job.steps - self.call_step

    def open_pictures(self) -> list[int]:
        """The pictures that still need steps."""
        if not self.slots:
            return list(range(self.job.count))
        return [index for index, slot in enumerate(self.slots) if slot.done < slot.steps]

    def let_go(self) -> None:
        """Forget what it holds, on the device and off: it has ended."""
        self.slots = []
        self.finished = {}

    def snapshot(self, queue_position: int, eta_seconds: float | None) -> Snapshot:
        """Where it is."""
        return Snapshot(self.id, self.state, self.done, self.steps, queue_position, eta_seconds)

    def owes_progress(self) -> bool:
        """Whether enough steps passed for another progress event."""
        done = self.done
        if done == self.told_step or (done % max(1, self.steps // _PROGRESS_EVENTS) and done < self.steps):
            return False
        self.told_step = done
        return True

    def owes_preview(self) -> Previewed | None:
        """The next unfinished picture's event, without pictures yet, when its step has come."""
        due = preview_steps(self.steps, self.partials)
        if self.told_previews >= len(due) or self.done < due[self.told_previews]:
            return None
        self.told_previews += 1
        return Previewed(self.told_previews - 1, [])


def preview_steps(steps: int, partials: int) -> tuple[int, ...]:
    """The steps, evenly spaced and before the last, after which an unfinished picture goes out."""
    due = {round(steps * (k + 1) / (partials + 1)) for k in range(partials)}
    return tuple(sorted(step for step in due if 1 <= step < steps))
