"""What the engine asks of a model. Two ports, for the two ways in which models can be driven.

`StepModel` gives the engine each denoising step: encode (`begin`), denoise (`step`), decode (`preview`, `finish`).
A slot is one picture in the making; slots of one request, or of several, may share a step, each with its own time,
guidance and seed. `CallModel` hides its loop inside one call and tells the engine after each step.

Both promise: the same `Job` on the same model and machine gives the same pixels; nothing here logs or keeps a prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Limits:
    """An inclusive range of a setting and what is used when none is given."""

    default: float
    minimum: float
    maximum: float

    def holds(self, value: float) -> bool:
        """Whether the value is in the range."""
        return self.minimum <= value <= self.maximum


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a loaded model is and can do. Sizes are (width, height) in pixels; the first is the default."""

    name: str
    digest: str
    owner: str
    description: str
    scheduler: str
    sizes: tuple[tuple[int, int], ...]
    rendered: tuple[int, int] | None
    """What the model itself makes whatever is asked, to be scaled up; None: it makes the size asked for."""
    steps: Limits
    guidance: Limits
    output_tokens: int
    """For usage figures: patches or latent tokens of one picture."""


@dataclass(frozen=True, slots=True)
class Job:
    """One request, checked and complete: nothing is left to be chosen at random or by default."""

    prompt: str
    negative_prompt: str
    count: int
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    """Picture i starts from the noise of `seed + i`, drawn on the CPU whatever the device."""


class Slot(Protocol):
    """One picture in the making. `done` steps of `steps`."""

    @property
    def done(self) -> int: ...

    @property
    def steps(self) -> int: ...


S = TypeVar("S", bound=Slot)


@runtime_checkable
class StepModel(Protocol[S]):
    """A model that the engine drives step by step."""

    @property
    def capabilities(self) -> Capabilities: ...

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt that the model reads."""

    def begin(self, job: Job) -> list[S]:
        """Encode the prompt and draw the noise: one slot a picture."""

    def step(self, slots: Sequence[S]) -> None:
        """One denoising step of each slot, in place, in one forward pass."""

    def preview(self, slot: S) -> Image:
        """The picture that the model expects at the end, as of now."""

    def finish(self, slot: S) -> Image:
        """The picture of a slot whose steps are done."""


class CallModel(Protocol):
    """A model whose loop is its own."""

    @property
    def capabilities(self) -> Capabilities: ...

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt that the model reads."""

    def call(self, job: Job, after_step: Callable[[int, Callable[[], list[Image]]], None]) -> list[Image]:
        """Make all pictures of the job.

        `after_step(done, preview)` is called after each step; `preview()` gives unfinished pictures and costs a decode.
        Whatever `after_step` raises ends the call at once and comes out of it.
        """
