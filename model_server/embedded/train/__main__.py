"""`python -m model_server.embedded.train`: fetch, compose, train; `--publish` measures and packs.

Two stages made the model that ships: `--first-stage` at 64 pixels, then `--from` that package at 128. Training at
128 pixels from nothing works as well and takes longer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from model_server.embedded.net import NetShape
from model_server.embedded.package import WEIGHTS_FOLDER
from model_server.embedded.text import Tokenizer
from model_server.embedded.train.compose import Batch, Composer
from model_server.embedded.train.concepts import COMMON, OTHERS
from model_server.embedded.train.data import load_sprites
from model_server.embedded.train.loop import Plan, Progress, Training, is_learning, new_net
from model_server.embedded.train.publish import Publication, measure_run, publish
from model_server.embedded.train.start import at_first, start_from
from model_server.embedded.train.table import load_table

_TABLE_WIDTH = 128
_SMOKE_MINUTES = 2.0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model_server.embedded.train", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"), help="folder for downloads, caches and runs")
    parser.add_argument("--out", type=Path, default=None, help="folder of this run's checkpoint (default WORK/run)")
    parser.add_argument("--minutes", type=float, default=600.0, help="wall minutes of training in all, over resumes")
    parser.add_argument("--decay-minutes", type=float, default=None, help="the last minutes, decaying (default 30 %%)")
    parser.add_argument("--from", dest="start", type=Path, default=None, help="package folder to go on from")
    parser.add_argument("--rate", type=float, default=1.0, help="peak learning rate, as a share of the full one")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="two minutes, afresh; fails if the loss does not fall")
    parser.add_argument("--first-stage", action="store_true", help="64 pixels and the first concepts only")
    parser.add_argument("--measure", action="store_true", help="do not train: measure the run as it is now")
    parser.add_argument("--publish", action="store_true", help="do not train: measure the run and write the package")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FOLDER, help="folder of the package to write")
    parser.add_argument("--pictures", type=Path, default=Path("docs/images"), help="folder of the sheets to write")
    parser.add_argument("--hardware", default="two CPU cores, no GPU", help="what the card says it was trained on")
    parser.add_argument(
        "--eyes", default="", help="for the card: the things that look wrong on the sheets, as a phrase"
    )
    parser.add_argument("--note", default="", help="for the card: what else is to be told of the training")
    return parser.parse_args(argv)


def _batches(composer: Composer, size: int) -> Iterator[Batch]:
    while True:
        yield composer.batch(size)


def main(argv: list[str] | None = None) -> int:
    """Run the training; the exit status is 1 when a smoke run did not learn."""
    args = _arguments(argv)
    torch.set_num_threads(args.threads)
    work: Path = args.work
    out: Path = args.out or work / ("smoke" if args.smoke else "run")
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    minutes = _SMOKE_MINUTES if args.smoke else args.minutes
    decay = 0.3 * minutes if args.decay_minutes is None else args.decay_minutes

    sprites = load_sprites(work)
    report_steps = 10 if args.smoke else 50
    plan = Plan(minutes, decay, batch=args.batch, seed=args.seed, report_steps=report_steps, rate=args.rate)
    if args.start is not None:
        start = start_from(args.start)
        table, net, lineage = start.table, start.net, start.lineage
    else:
        table, lineage = load_table(work, _TABLE_WIDTH), []
        shape = NetShape(vocabulary=len(table.pieces))
        net = new_net(at_first(shape) if args.first_stage else shape, table.vectors, args.seed)
    if args.measure:
        print(json.dumps(measure_run(out, work, sprites, table).as_json(), indent=1))
        return 0
    if args.publish:
        where = Publication(args.weights, args.pictures, args.hardware, eyes=args.eyes, note=args.note)
        print(json.dumps(publish(out, work, sprites, table, plan, where).as_json(), indent=1))
        return 0
    training = Training(net, out, lineage)
    if not args.smoke and training.resume():
        print(f"resumed at step {training.step}, {training.seconds / 60:.1f} min", flush=True)
    composer = Composer(
        sprites,
        Tokenizer(table.pieces),
        table.vectors,
        args.seed * 1_000_003 + training.step,
        size=training.net.shape.size_pixels,
        rows=range(len(COMMON) + len(OTHERS)) if args.first_stage else None,
    )
    losses: list[float] = []

    def report(progress: Progress) -> None:
        losses.append(progress.loss)
        print(
            f"step {progress.step} pictures {progress.pictures} loss {progress.loss:.4f} "
            f"{progress.rate:.1f} pictures/s {progress.minutes:.1f} min",
            flush=True,
        )

    training.run(_batches(composer, args.batch), plan, report)
    if args.smoke and not is_learning(losses):
        print("the loss did not fall", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
