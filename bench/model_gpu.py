"""The model server's figures on one CUDA card: `python -m bench.model_gpu`, under eight minutes.

SDXL- and FLUX-shaped denoisers of full size, with random weights, behind the real step adapters: what a step costs by
batch size, beside the card's own matmul peak; the real engine beside a pipeline call a request (first come, first
served) on requests that arrive by chance; what the engine costs over the bare steps; decoding; memory. Writes
`bench/results/model-gpu.json`.

It works by the clock: what the time did not suffice for is named at the end. `--tiny` runs all of it on a CPU with nets
of a few thousand weights, to try the script; its figures mean nothing and are written nowhere. Needs torch, diffusers,
transformers, accelerate, safetensors, pillow, pydantic and prometheus-client, and nothing else of this product's.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.support import results
from bench.support.model_gpu_shapes import SHAPES, OnCard, Shape
from bench.support.model_load import Outcome, Timed, by_engine, first_come, median_and_spread, poisson
from bench.support.results import Figure
from model_server.engine.power import peak_flops
from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.port import Job

BUDGET_SECONDS = 400.0
"""What began within it ends after it, and the libraries take their time to load: under eight minutes in all."""
SIZES = (512, 1024)
TINY_SIZES = (32, 64)
BATCHES = (1, 2, 4, 8)
COMPILED_BATCHES = (1, 2, 4)
TINY_BATCHES = (1, 2)
UNIFORM = 8
"""Steps of every request of a uniform run: fewer than people ask for, and of no influence on the ratios."""
MIXED, SHARES = (3, 8, 17), (0.3, 0.4, 0.3)
MOST_REQUESTS, FEWEST_REQUESTS, MOST_TURNS = 24, 8, 5
SLICE_SECONDS = {"busy at 512": 18.0, "quiet at 512": 18.0, "uniform at 1024": 24.0, "mixed at 1024": 24.0}
"""Time for each comparison; a slow model gets fewer requests, a fast one more turns."""
PROFILE_SECONDS = 4.0
TINY_PROFILE_SECONDS = 0.1
NOTHING_MEASURED = 2
"""Exit status without a card: a table that is empty must not pass for one that is good."""


class Budget:
    """The time that is left, and what did not fit into it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self.left_out: list[str] = []

    def left(self) -> float:
        """Seconds that may still be spent."""
        return self._end - self._clock()

    def allows(self, what: str, seconds: float) -> bool:
        """Whether so much time is left. If not, `what` is noted down as left out."""
        if self.left() >= seconds:
            return True
        self.left_out.append(what)
        return False


@dataclass(slots=True)
class Curve:
    """Seconds of one step by pictures in it: medians and half their spread."""

    seconds: dict[int, float] = field(default_factory=dict)
    spread: dict[int, float] = field(default_factory=dict)

    def share_of(self, peak: float, flops: int) -> float:
        """The best share of the peak that any batch reached; `flops` of one picture's step."""
        return max(batch * flops / seconds / peak for batch, seconds in self.seconds.items())


@dataclass(frozen=True, slots=True)
class Setting:
    """Where it runs, and within what time. `peak` is in floating point operations a second."""

    device: str
    tiny: bool
    peak: float
    budget: Budget

    @property
    def sizes(self) -> tuple[int, int]:
        """What stands for 512 and for 1024 pixels."""
        return TINY_SIZES if self.tiny else SIZES

    @property
    def repeats(self) -> int:
        """Measurements of one thing."""
        return 2 if self.tiny else 5

    @property
    def profile_seconds(self) -> float:
        """What each engine may take for its own measuring."""
        return TINY_PROFILE_SECONDS if self.tiny else PROFILE_SECONDS


def measure_curve(model: OnCard, batches: Sequence[int], where: Setting, what: str) -> Curve:
    """c(b). A batch that the card's memory is too small for ends it."""
    curve, repeats, budget = Curve(), where.repeats, where.budget
    for batch in batches:
        expected = curve.seconds.get(batch // 2, 0.0) * 2 * (repeats + 2)
        if not budget.allows(f"{what}, batch {batch} and more", expected + 1):
            break
        try:
            slots = [model.begin(model.job(repeats + 2, seed))[0] for seed in range(batch)]
            model.step(slots)
            model.step(slots)
            took = []
            for _ in range(repeats):
                began = time.perf_counter()
                model.step(slots)
                took.append(time.perf_counter() - began)
        except torch.OutOfMemoryError:
            budget.left_out.append(f"{what}, batch {batch}: more memory than the card has")
            torch.cuda.empty_cache()
            break
        curve.seconds[batch], curve.spread[batch] = median_and_spread(took)
    shown = ", ".join(f"{b}: {s * 1e3:.1f} ± {curve.spread[b] * 1e3:.1f}" for b, s in curve.seconds.items())
    print(f"  {what}: c(b) in ms: {shown}", flush=True)
    return curve


def flops_of_step(model: OnCard) -> int:
    """Floating point operations of one step of one picture."""
    slots = model.begin(model.job(2))
    with FlopCounterMode(display=False) as counter:
        model.step(slots)
    return int(counter.get_total_flops())


def jobs(model: OnCard, count: int, mixed: bool, turn: int) -> list[Job]:
    """Requests of equal steps, or of few, some and many."""
    chance = random.Random(turn)
    return [
        model.job(chance.choices(MIXED, SHARES)[0] if mixed else UNIFORM, turn * 1000 + number)
        for number in range(count)
    ]


def compare(
    model: OnCard, one: float, load: float, mixed: bool, seconds: float, profile_seconds: float
) -> list[tuple[Outcome, Outcome]]:
    """First come, first served, and the engine, on the same arrivals, in turns for about so many seconds.

    `one` is c(1); `load` is relative to what one picture at a time can do.
    """
    mean = sum(s * share for s, share in zip(MIXED, SHARES, strict=True)) if mixed else UNIFORM
    alone = mean * one
    count = max(FEWEST_REQUESTS, min(MOST_REQUESTS, int(seconds / (2 * alone))))
    timed = Timed(model)
    pairs: list[tuple[Outcome, Outcome]] = []
    began = time.monotonic()
    while len(pairs) < MOST_TURNS and (not pairs or time.monotonic() - began + _a_turn(began, pairs) < seconds):
        turn = len(pairs)
        asked, rate = jobs(model, count, mixed, turn), load / alone
        base = first_come(timed, poisson(asked, rate, turn))
        ours = by_engine(timed, poisson(asked, rate, turn), profile_seconds=profile_seconds)
        pairs.append((base, ours))
    return pairs


def _a_turn(began: float, pairs: Sequence[tuple[Outcome, Outcome]]) -> float:
    return (time.monotonic() - began) / len(pairs)


def ratio_figures(
    name: str,
    pairs: Sequence[tuple[Outcome, Outcome]],
    *,
    throughput: float | None = None,
    mean: float | None = None,
) -> Iterator[Figure]:
    """Throughput and mean time of the engine against first come, first served, with the targets given."""
    for what, values, target, more in (
        ("throughput", [ours.throughput / base.throughput for base, ours in pairs], throughput, True),
        ("mean time", [ours.mean / base.mean for base, ours in pairs], mean, False),
    ):
        value, spread = median_and_spread(values)
        figure = Figure(
            figure=f"{name}: {what} against FIFO", unit="ratio", value=value, target=target, more_is_better=more
        )
        print(f"  {figure.figure}: {value:.2f} ± {spread:.2f} ({len(pairs)} turns)  {figure.verdict}", flush=True)
        yield figure


def loads(name: str, model: LatentStepModel, curves: dict[int, Curve], where: Setting) -> Iterator[Figure]:
    """The engine beside first come, first served, at both sizes."""
    small, large = where.sizes
    for what, size, load, mixed, targets in (
        ("busy at 512", small, 4.0, False, {"throughput": 2.5}),
        ("quiet at 512", small, 0.9, False, {"mean": 0.3}),
        # What no batch can speed up must not become slower: the engine may cost 2 % there, and no more.
        ("uniform at 1024", large, 0.9, False, {"throughput": 0.98, "mean": 1.02}),
        ("mixed at 1024", large, 0.9, True, {"mean": 0.65}),
    ):
        title = f"{name}, {what} px, {load:g}x load"
        seconds = 0.5 if where.tiny else SLICE_SECONDS[what]
        if size in curves and where.budget.allows(title, seconds):
            one = curves[size].seconds[1]
            pairs = compare(OnCard(model, size), one, load, mixed, seconds, where.profile_seconds)
            yield from ratio_figures(title, pairs, **targets)


def overhead(name: str, model: OnCard, one: float, where: Setting) -> Iterator[Figure]:
    """What the engine adds to the steps themselves."""
    title = f"{name}: engine over the bare denoiser loop"
    if not where.budget.allows(title, 3 * (4 * UNIFORM * one + where.profile_seconds)):
        return
    timed = Timed(model)
    shares = []
    for turn in range(3):
        by_engine(timed, poisson(jobs(model, 4, False, turn), 1e9, turn), profile_seconds=where.profile_seconds)
        shares.append(timed.now / timed.in_model - 1)
    value, spread = median_and_spread(shares)
    figure = Figure(figure=title, unit="share", value=value, target=0.05)
    print(f"  {title}: {value:.2%} ± {spread:.2%}  {figure.verdict}", flush=True)
    yield figure


def steps(name: str, mode: str, curves: dict[int, Curve], flops: dict[int, int], where: Setting) -> Iterator[Figure]:
    """The curves as figures, and the share of the peak at 1024 pixels."""
    for size, curve in curves.items():
        if curve.seconds:
            ms = {f"batch {batch}": seconds * 1e3 for batch, seconds in curve.seconds.items()}
            yield Figure(
                figure=f"{name}, {mode}, {size} px: a step of one picture", unit="ms", value=ms["batch 1"], beside=ms
            )
    large = where.sizes[1]
    if large in curves and curves[large].seconds:
        figure = Figure(
            figure=f"{name}, {mode}, {large} px: share of the card's matmul peak",
            unit="share",
            value=curves[large].share_of(where.peak, flops[large]),
            target=0.50 if mode == "compiled" else 0.35,
            more_is_better=True,
        )
        print(f"  {figure.figure}: {figure.value:.1%}  {figure.verdict}", flush=True)
        yield figure


def decoding(name: str, model: LatentStepModel, where: Setting) -> Iterator[Figure]:
    """The decoder, one picture at a time."""
    for size in where.sizes:
        card = OnCard(model, size)
        title = f"{name}: decoding one picture of {size} px"
        if where.budget.allows(title, 3):
            card.decode()
            took = []
            for _ in range(5):
                began = time.perf_counter()
                card.decode()
                took.append(time.perf_counter() - began)
            value, spread = median_and_spread(took)
            print(f"  {title}: {value * 1e3:.1f} ± {spread * 1e3:.1f} ms", flush=True)
            yield Figure(figure=title, unit="ms", value=value * 1e3)


def family(shape: Shape, where: Setting) -> Iterator[Figure]:
    """All figures of one family."""
    if not where.budget.allows(f"{shape.name}: all of it", 0 if where.tiny else 60):
        return
    model = shape.build(where.device, where.tiny)
    weights = sum(value.numel() for value in model._denoiser.parameters())
    print(f"\n{shape.name}: {weights / 1e9:.2f} billion weights; {where.budget.left():.0f} s left", flush=True)
    batches = TINY_BATCHES if where.tiny else BATCHES
    flops = {size: flops_of_step(OnCard(model, size)) for size in where.sizes}
    eager = {
        size: measure_curve(OnCard(model, size), batches, where, f"{shape.name}, eager, {size} px")
        for size in where.sizes
    }
    yield from memory(shape.name, where)
    yield from steps(shape.name, "eager", eager, flops, where)
    known = {size: curve for size, curve in eager.items() if curve.seconds}
    yield from loads(shape.name, model, known, where)
    if where.sizes[0] in known:
        one = known[where.sizes[0]].seconds[1]
        yield from overhead(shape.name, OnCard(model, where.sizes[0]), one, where)
    yield from decoding(shape.name, model, where)
    yield from compiled(shape.name, model, flops, where)


def memory(name: str, where: Setting) -> Iterator[Figure]:
    """The most that the card held so far: before any engine runs, for those set the mark back."""
    if where.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
        print(f"  memory at its highest, batches of {max(BATCHES)}: {peak:.1f} GiB", flush=True)
        yield Figure(figure=f"{name}: memory at its highest, batches up to {max(BATCHES)}", unit="GiB", value=peak)


def compiled(name: str, model: LatentStepModel, flops: dict[int, int], where: Setting) -> Iterator[Figure]:
    """The large size again with its repeated blocks compiled: last, for it can't be undone."""
    large = where.sizes[1]
    title = f"{name}, compiled, {large} px"
    if not where.budget.allows(title, 0 if where.tiny else 60):
        return
    # Each batch size is a program of its own; the usual limit is 8 of them.
    torch._dynamo.config.recompile_limit = 64
    model._denoiser.compile_repeated_blocks(fullgraph=True, backend="eager" if where.tiny else "inductor")
    batches = TINY_BATCHES if where.tiny else COMPILED_BATCHES
    try:
        curve = measure_curve(OnCard(model, large), batches, where, title)
    except Exception as error:  # whatever a compiler says on a machine we don't know, the other figures stand
        where.budget.left_out.append(f"{title}: it did not compile ({type(error).__name__})")
        return
    yield from steps(name, "compiled", {large: curve}, flops, where)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures and write them down. 2 when there is no card."""
    parser = argparse.ArgumentParser(prog="python -m bench.model_gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="try the script on a CPU; its figures mean nothing")
    parser.add_argument("--seconds", type=float, default=BUDGET_SECONDS, help=f"time to take ({BUDGET_SECONDS:g})")
    options = parser.parse_args(argv)
    if not options.tiny and not torch.cuda.is_available():
        print("There is no CUDA card here, so nothing was measured; --tiny tries the script on a CPU.")
        return NOTHING_MEASURED
    device = "cpu" if options.tiny else "cuda"
    if options.tiny:
        print("--tiny: nets of a few thousand weights on a CPU. THESE FIGURES MEAN NOTHING and are written nowhere.")
    budget = Budget(options.seconds)
    peak = statistics.median(peak_flops(device) for _ in range(3))
    name = "CPU" if options.tiny else torch.cuda.get_device_name()
    print(f"{name}; torch {torch.__version__}; matmul peak in bf16 {peak / 1e12:.1f} TFLOP/s; {results.machine()}")
    figures = [Figure(figure=f"matmul peak in bf16, {name}", unit="TFLOP/s", value=peak / 1e12)]
    for number, shape in enumerate(SHAPES):
        # Each family gets its share of what is left, so that a slow one takes nothing from the next.
        mine = Budget(budget.left() / (len(SHAPES) - number))
        figures += family(shape, Setting(device, options.tiny, peak, mine))
        budget.left_out += mine.left_out
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    print(f"\n{'figure':<68}{'value':>10}  target")
    for figure in figures:
        print(f"{figure.figure:<68}{figure.value:>10.3f}  {figure.verdict}")
    for what in budget.left_out:
        print(f"left out, for time or memory: {what}")
    if options.tiny:
        print("--tiny: THESE FIGURES MEAN NOTHING.")
        return 0
    print(f"{options.seconds - budget.left():.0f} s; written to {results.write('model-gpu', figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
