"""The model server's figures on this processor: `python -m bench.model`.

The engine beside a pipeline call a request (first come, first served) and beside request-level batching, on the
embedded model, with requests of mixed steps that arrive by chance; what its own cost curve would allow; what the engine
costs over the bare loop; whether all of them draw the same pictures. Writes `bench/results/model.json`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from bench.support import results
from bench.support.model_load import (
    Outcome,
    Timed,
    by_engine,
    by_request,
    first_come,
    fluid_throughput,
    median_and_spread,
    poisson,
)
from bench.support.results import Figure
from model_server.embedded.package import WEIGHTS_FOLDER, load_model
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.pipelines.port import Job

LOADS = (0.9, 1.5, 2.5)
STEPS, SHARES = (4, 12, 24), (0.3, 0.4, 0.3)
GUIDANCES = (1.5, 3.0, 5.0)
PROMPTS = ("a fox on a blue background", "pizza", "3d panda", "a castle", "flat lion on yellow", "an owl")
TARGETS_MEAN = {0.9: 0.13, 2.5: 0.25}
ROUNDS = 3


def jobs(count: int, seed: int) -> list[Job]:
    """Requests of 4, 12 or 24 steps, as drafts, quick pictures and good ones mix."""
    chance = random.Random(seed)
    return [
        Job(
            chance.choice(PROMPTS), "", 1, 512, 512, chance.choices(STEPS, SHARES)[0], chance.choice((1.5, 3.0, 5.0)), n
        )
        for n in range(count)
    ]


def curve(model: Timed, repeats: int = 5) -> dict[int, float]:
    """Seconds of one step by number of pictures, the median."""
    found = {}
    for batch in (1, 2, 4, 8, 16):
        slots = [
            slot for job in jobs(batch, 0) for slot in model.begin(Job(job.prompt, "", 1, 512, 512, 40, 3.0, job.seed))
        ]
        model.step(slots)
        took = []
        for _ in range(repeats):
            before = model.in_steps
            model.step(slots)
            took.append(model.in_steps - before)
        found[batch] = statistics.median(took)
    return found


def furthest(one: Sequence[Image], other: Sequence[Image]) -> int:
    """The largest difference of any pixel, in levels of 255."""
    return max(
        int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max()) for a, b in zip(one, other, strict=True)
    )


def against_the_others(model: Timed, requests: int, loads: Sequence[float]) -> list[Figure]:
    """The three policies on the same arrivals, `ROUNDS` times in turn; the medians of the ratios."""
    alone = curve(model)
    print("c(b), ms a step: " + ", ".join(f"{b}: {s * 1e3:.0f}" for b, s in alone.items()))
    mean_steps = sum(steps * share for steps, share in zip(STEPS, SHARES, strict=True))
    capacity = 1 / (mean_steps * alone[1])
    print(f"one at a time: {capacity:.2f} pictures a second; {requests} requests a run, {ROUNDS} runs\n")
    print(
        f"{'load':<6}{'policy':<16}{'pictures/s':>12}{'x FIFO':>8}{'mean s':>9}{'x FIFO':>8}{'p95 s':>8}{'x FIFO':>8}"
    )
    figures = []
    for load in loads:
        ratios: dict[str, list[tuple[float, float, float]]] = {"by request": [], "engine": []}
        shown: dict[str, Outcome] = {}
        allowed, differences = [], []
        for turn in range(ROUNDS):
            now = curve(model, repeats=3)
            asked = jobs(requests, turn)
            rate = load * capacity
            base = first_come(model, poisson(asked, rate, turn))
            arrivals = poisson(asked, rate, turn)
            outcomes = {
                "by request": by_request(model, poisson(asked, rate, turn)),
                "engine": by_engine(model, arrivals),
            }
            best = max(batch / seconds for batch, seconds in now.items())
            allowed.append(outcomes["engine"].throughput / fluid_throughput(arrivals, best))
            differences.append(furthest(base.pictures, outcomes["engine"].pictures))
            shown = {"FIFO": base, **outcomes}
            for name, made in outcomes.items():
                ratios[name].append((made.throughput / base.throughput, made.mean / base.mean, made.p95 / base.p95))
        for name, made in shown.items():
            row = [statistics.median(column) for column in zip(*ratios.get(name, [(1.0, 1.0, 1.0)]), strict=True)]
            print(
                f"{load:<6}{name:<16}{made.throughput:>12.2f}{row[0]:>8.2f}{made.mean:>12.2f}{row[1]:>8.2f}"
                f"{made.p95:>12.2f}{row[2]:>8.2f}"
            )
        figures += _figures(load, ratios, allowed, differences)
    return figures


def _figures(
    load: float, ratios: dict[str, list[tuple[float, float, float]]], allowed: list[float], differences: list[int]
) -> list[Figure]:
    throughput, mean, p95 = (statistics.median(column) for column in zip(*ratios["engine"], strict=True))
    peer = [statistics.median(column) for column in zip(*ratios["by request"], strict=True)]
    heavy = load == max(LOADS)
    return [
        Figure(
            figure=f"throughput at {load}x, against FIFO",
            unit="ratio",
            value=throughput,
            target=2.0 if heavy else None,
            more_is_better=True,
            beside={"request-level batching": peer[0]},
        ),
        Figure(
            figure=f"mean time at {load}x, against FIFO",
            unit="ratio",
            value=mean,
            target=TARGETS_MEAN.get(load),
            beside={"request-level batching": peer[1]},
        ),
        Figure(
            figure=f"p95 at {load}x, against FIFO", unit="ratio", value=p95, beside={"request-level batching": peer[2]}
        ),
        Figure(
            figure=f"throughput at {load}x, of what the cost curve allows",
            unit="share",
            value=statistics.median(allowed),
            target=0.95 if heavy else None,
            more_is_better=True,
        ),
        Figure(
            figure=f"largest difference of a pixel to FIFO at {load}x, of 255 levels",
            unit="levels",
            value=max(differences),
        ),
    ]


def overhead(model: Timed) -> Figure:
    """What the engine adds to the steps themselves: everything else that it does for a request, decode included."""
    shares = []
    for turn in range(7):
        made = poisson([Job(PROMPTS[0], "", 1, 512, 512, 48, 3.0, turn)] * 4, 1e9, turn)
        by_engine(model, made)
        shares.append(model.now / model.in_model - 1)
    value, spread = median_and_spread(shares)
    print(f"\nengine over the bare steps: {value:.1%} (± {spread:.1%})")
    return Figure(figure="engine over the bare denoiser loop", unit="share", value=value, target=0.05)


def same_to_the_bit(model: Timed) -> Figure:
    """Reproducible mode: the pictures of a crowd, and each of them alone."""
    asked = jobs(12, 99)
    crowd = by_engine(model, poisson(asked, 1e9, 0), batching="fixed", max_batch=8)
    alone = [by_engine(model, poisson([job], 1.0, 0), batching="fixed", max_batch=8).pictures[0] for job in asked]
    different = sum(one.tobytes() != other.tobytes() for one, other in zip(crowd.pictures, alone, strict=True))
    print(
        f"reproducible mode: {len(asked) - different} of {len(asked)} pictures the same to the bit, alone or in a crowd"
    )
    return Figure(figure="pictures that differ in reproducible mode", unit="pictures", value=different, target=0)


def start() -> list[Figure]:
    """From a process's first line to a model that is ready, imports not counted; and one picture."""
    line = (
        "import time, torch, model_server.pipelines.embedded as e, model_server.embedded.package as p\n"
        "from model_server.engine.engine import Engine; from model_server.limits import EngineLimits\n"
        "from model_server.observe import Metrics\n"
        "t = time.perf_counter(); m = e.EmbeddedStepModel(p.load_model())\n"
        "g = Engine({'m': m}, limits=EngineLimits(), metrics=Metrics()); g.warm_up(); print(time.perf_counter() - t)\n"
        "job = e.Job('a fox', '', 1, 512, 512, 24, 3.0, 1); took = []\n"
        "for _ in range(5):\n"
        "    t = time.perf_counter(); (s,) = m.begin(job)\n"
        "    while s.done < s.steps: m.step([s])\n"
        "    m.finish(s); took.append(time.perf_counter() - t)\n"
        "print(sorted(took)[2])\n"
    )
    runs = []
    for _ in range(3):
        made = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
        runs.append([float(word) for word in made.stdout.split()])
    ready, picture = (statistics.median(column) for column in zip(*runs, strict=True))
    size = (WEIGHTS_FOLDER / "model.safetensors").stat().st_size / 1e6
    print(f"ready {ready:.2f} s after imports; a picture of 24 steps in {picture:.2f} s; weights {size:.1f} MB")
    return [
        Figure(figure="start after imports, warm-up included", unit="s", value=ready, target=5.0),
        Figure(figure="a picture of 24 steps at batch 1", unit="s", value=picture, target=1.0),
        Figure(figure="weights", unit="MB", value=size, target=25.0),
    ]


def main(argv: list[str] | None = None) -> int:
    """Print the tables and write the figures down."""
    parser = argparse.ArgumentParser(prog="python -m bench.model", description=__doc__)
    parser.add_argument("--requests", type=int, default=120, help="requests of a run (default 120)")
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS, help="times what one at a time can do")
    args = parser.parse_args(argv)
    print(f"embedded model on {results.machine()}")
    began = time.perf_counter()
    model = Timed(EmbeddedStepModel(load_model()))
    figures = [*start(), *against_the_others(model, args.requests, args.loads), overhead(model), same_to_the_bit(model)]
    print(f"\n{'figure':<62}{'value':>9}  target")
    for figure in figures:
        print(f"{figure.figure:<62}{figure.value:>9.3f}  {figure.verdict}")
    print(f"\n{time.perf_counter() - began:.0f} s; written to {results.write('model', figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
