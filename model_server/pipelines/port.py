"""What the engine asks of a model. Two ports, for the two ways in which models can be driven.

`StepModel` gives the engine each denoising step: encode (`begin`), denoise (`step`), decode (`preview`, `finish`).
A slot is one picture in the making; slots of one request, or of several, may share a step, each with its own time,
number of steps, guidance and seed. `CallModel` hides its loop inside one call and tells the engine after each step.

Both promise: the same `Job` on the same model and machine gives the same pixels; nothing here logs or keeps a prompt.
All methods but `count_tokens` and `shape` are called by the one thread that owns the device.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from PIL.Image import Image

from model_server.wire import Task


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
    tasks: tuple[Task, ...] = ("generate",)
    strength: Limits = Limits(default=0.75, minimum=0.05, maximum=1.0)
    """Of edits without a mask and of variations; the default is for edits, variations take `vary_strength`."""
    vary_strength: float = 0.75
    max_input_images: int = 0
    has_sketch: bool = False
    licence: str = ""
    device: str = "cpu"
    """The torch device that it lies on, for the memory book."""


Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Region:
    """One painted thing of a sketch. Places and widths are shares of the picture's sides, 0..1."""

    label: str
    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom."""
    stroke: Points = ()
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One request, checked and complete: nothing is left to be chosen at random or by default."""

    prompt: str
    negative_prompt: str
    count: int
    width: int
    height: int
    """The canvas, in pixels: `rendered` of the capabilities where that is set, else one of `sizes`."""
    steps: int
    guidance: float
    seed: int
    """Picture i starts from the noise of `seed + i`, drawn on the CPU whatever the device."""
    task: Task = "generate"
    images: tuple[Image, ...] = ()
    """Pictures to start from: RGB, each exactly width x height. The first is the one edited or varied, the others join
    as further examples where the model can use them. Empty for `generate`."""
    mask: Image | None = None
    """Where an edit may paint: "L", width x height, 255 = paint, 0 = keep. None: everywhere."""
    strength: float = 1.0
    """Share of the noise laid on the first picture, and so of `steps` that are taken; 1 = nothing of it is seen."""
    regions: tuple[Region, ...] = ()
    """A sketch, lowest first."""


class Slot(Protocol):
    """One picture in the making. `done` steps of `steps`; `steps` counts those that are really taken, so an edit of
    strength 0.5 asked for 24 has 12."""

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

    def shape(self, job: Job) -> Hashable:
        """Slots of jobs of equal shape may share a forward pass."""

    def begin(self, job: Job) -> list[S]:
        """Encode the prompt (and pictures) and draw the noise: one slot a picture. Runs no denoising step."""

    def step(self, slots: Sequence[S], rows: int = 0) -> None:
        """One denoising step of each slot, in place, in one forward pass. The slots are of one shape, none is done.

        `rows` above 0 pads the pass to that many slots, so that what a slot becomes does not depend on its company,
        to the bit. Raises torch.OutOfMemoryError when the device is too small; whatever is raised, no slot has moved.
        """

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
