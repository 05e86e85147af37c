"""`make bench NAME=gateway`: what governing costs.

The same requests go to the same stand-in image server through three programs in turn: the real gateway (API key,
policy, screening, credits, two durable records, moderation), a bare FastAPI + httpx pass-through, and nginx. Rounds
are interleaved, so that a busy moment of the machine meets all three; figures are medians with their spread.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from audit.verify import verify_store
from bench.support import governed, load, results
from bench.support.load import Load
from bench.support.results import Figure
from bench.support.servers import Server, free_port
from bench.support.upstream import PICTURES, SIZE

IN_FLIGHT: Final = (1, 16)
WARM_UP_SECONDS: Final = 3.0
MOST_FAILURES: Final = 0.1
"""A machine that is busy with other things makes decisions late, and a late decision is a denial. A few of those are
counted and shown; with more, the figures would be of something else."""
CPU_GOAL_MS: Final = 1.2
"""Milliseconds of CPU for a governed request at 16 in flight: the goal for later; today's figure is the baseline."""

RECORDS_A_REQUEST: Final = 2
"""Intent and outcome."""

GATEWAY, PASSTHROUGH, NGINX = "gateway", "FastAPI + httpx", "nginx"


class WrongAnswers(RuntimeError):
    """A program under measurement refused or failed: its figures would be of something else."""


@dataclass(slots=True)
class Row:
    """One program at one load; one entry a round."""

    cpu_ms: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)

    def add(self, cpu_seconds: float, taken: Load) -> None:
        self.cpu_ms.append(cpu_seconds * 1e3 / taken.answered)
        self.p50_ms.append(taken.p50_ms)
        self.p99_ms.append(taken.p99_ms)
        self.per_second.append(taken.answered / taken.seconds)
        self.failures.append(taken.errors)


Table = Mapping[tuple[str, int], Row]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description="What governing a request costs.")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=4, help="length of one measurement (4)")
    options = parser.parse_args(arguments)
    print(results.machine())
    by = "wrk" if load.has_wrk() else "aiohttp (no wrk here)"
    print(f"load by {by}; one picture a request, {len(PICTURES):,} bytes of JSON")
    with tempfile.TemporaryDirectory(prefix="imprimatur-bench-") as name, ExitStack() as stack:
        programs, keys = _start(stack, Path(name))
        table, governed_answers = _measure(programs, keys, options.rounds, options.seconds, Path(name))
        _check_the_log(Path(name), governed_answers)
    print()
    _print(table)
    print(f"written: bench/results/{results.write('gateway', figures(table)).name}")
    return 0


def _start(stack: ExitStack, folder: Path) -> tuple[list[Server], list[str]]:
    """The stand-in and the three programs in front of it, and the keys that all three accept."""

    def start(server: Server) -> Server:
        print(f"starting {server.name} …", flush=True)
        return stack.enter_context(server)

    uvicorn = [sys.executable, "-m", "uvicorn", "--log-level", "warning", "--no-access-log", "--loop", "uvloop"]
    uvicorn += ["--http", "httptools", "--host", "127.0.0.1"]
    upstream_port, port = free_port(), free_port()
    start(
        Server(
            "the stand-in image server",
            [*uvicorn, "--port", str(upstream_port), "bench.support.upstream:app"],
            upstream_port,
            folder / "upstream.log",
        )
    )
    config = governed.settings_file(folder, port, upstream_port)
    print("making people and keys …", flush=True)
    keys = governed.make_keys(config)
    programs = [
        start(
            Server(
                GATEWAY,
                [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config), "--log-level", "warning"],
                port,
                folder / "gateway.log",
                ready_path="/readyz",
            )
        )
    ]
    port = free_port()
    programs.append(
        start(
            Server(
                PASSTHROUGH,
                [*uvicorn, "--port", str(port), "bench.support.passthrough:app"],
                port,
                folder / "passthrough.log",
                environment={"BENCH_UPSTREAM": f"http://127.0.0.1:{upstream_port}", "BENCH_KEY": keys[0]},
            )
        )
    )
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if nginx is None:
        print("nginx is not installed (apt-get install nginx-light): its rows are left out")
    else:
        port = free_port()
        arguments = [nginx, "-p", str(folder), "-c", str(_nginx_conf(folder, port, upstream_port, keys[0]))]
        programs.append(start(Server(NGINX, arguments, port, folder / "nginx.out")))
    return programs, keys


def _nginx_conf(folder: Path, port: int, upstream_port: int, key: str) -> Path:
    text = (Path(__file__).parent / "support" / "nginx.conf.in").read_text("utf-8")
    for name, value in {
        "DIRECTORY": str(folder),
        "PORT": str(port),
        "UPSTREAM_PORT": str(upstream_port),
        "KEY": key,
        # Only root may choose the worker's user; without it the worker could not write into our folder.
        "USER": f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
    }.items():
        text = text.replace(f"@{name}@", value)
    path = folder / "nginx.conf"
    path.write_text(text, "utf-8")
    return path


def _check_the_log(folder: Path, governed_answers: int) -> None:
    """Figures of a gateway that did not record what it let through would be worth nothing."""
    report = verify_store(folder / "audit", None, folder / "witness" / "checkpoints.txt")
    if not report.ok or report.records < RECORDS_A_REQUEST * governed_answers:
        raise WrongAnswers(f"{governed_answers} governed answers, but the log holds {report.records} records")
    print(f"{governed_answers:,} governed answers, {report.records:,} durable records; the log verifies")


def _measure(
    programs: Sequence[Server], keys: Sequence[str], rounds: int, seconds: float, folder: Path
) -> tuple[Table, int]:
    table = {(program.name, in_flight): Row() for in_flight in IN_FLIGHT for program in programs}

    governed_answers = 0

    def put(program: Server, in_flight: int, seconds: float) -> Load:
        nonlocal governed_answers
        # The two peers compare one key; the gateway looks each up, and no two in flight are of one person.
        mine = keys if program.name == GATEWAY else keys[:1]
        taken = load.run(program.port, mine, SIZE, in_flight, seconds, folder)
        if taken.errors:
            print(f"{program.name}: {taken.errors} of {taken.answered} answers were not pictures", flush=True)
            if program.name == GATEWAY:
                print(*_refusals(program), sep="\n", flush=True)
        if taken.errors > taken.answered * MOST_FAILURES or not taken.answered:
            raise WrongAnswers(f"{program.name} did not do what is measured here")
        if program.name == GATEWAY:
            governed_answers += taken.answered
        return taken

    for program in programs:
        put(program, max(IN_FLIGHT), WARM_UP_SECONDS)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds} …", flush=True)
        for in_flight in IN_FLIGHT:
            # Another program goes first in each round: what the disk still has to do falls on each in turn.
            for program in (*programs[number % len(programs) :], *programs[: number % len(programs)]):
                before = program.cpu_seconds()
                taken = put(program, in_flight, seconds)
                table[program.name, in_flight].add(program.cpu_seconds() - before, taken)
    return table, governed_answers


def _refusals(gateway: Server) -> list[str]:
    """The gateway's own count of how requests ended, from its metrics."""
    lines = gateway.get("/metrics").splitlines()
    return [
        f"  {line}" for line in lines if line.startswith("imprimatur_image_conclusions_total") and "allow" not in line
    ]


def _print(table: Table) -> None:
    print(f"{'':16}  {'in flight':>9}  {'CPU ms/request':>20}  {'p50 ms':>20}  {'p99 ms':>22}  {'requests/s':>10}")
    for (name, in_flight), row in table.items():
        cpu, p50, p99 = (
            _spread(values, digits) for values, digits in ((row.cpu_ms, 2), (row.p50_ms, 2), (row.p99_ms, 1))
        )
        print(f"{name:16}  {in_flight:>9}  {cpu:>20}  {p50:>20}  {p99:>22}  {_median(row.per_second):>10,.0f}")
    print()
    for in_flight in IN_FLIGHT:
        ours = table[GATEWAY, in_flight]
        ratios = []
        for (name, load_), row in table.items():
            if name != GATEWAY and load_ == in_flight:
                cpu_ratio, p50_ratio = (
                    _median(ours.cpu_ms) / _median(row.cpu_ms),
                    _median(ours.p50_ms) / _median(row.p50_ms),
                )
                ratios.append(f"{cpu_ratio:.1f}x the CPU and {p50_ratio:.1f}x the p50 of {name}")
        print(f"{in_flight:>2} in flight: {'; '.join(ratios)}")
    reached = _median(table[GATEWAY, max(IN_FLIGHT)].cpu_ms)
    verdict = "met" if reached <= CPU_GOAL_MS else "not met yet"
    print(f"goal at {max(IN_FLIGHT)} in flight: at most {CPU_GOAL_MS} ms of CPU a request; {reached:.2f} ms: {verdict}")


def figures(table: Table) -> list[Figure]:
    """Every figure of the gateway, the peers' beside it."""

    def figure(what: str, unit: str, in_flight: int, of: Callable[[Row], list[float]], target: float | None) -> Figure:
        return Figure(
            figure=f"{what}, {in_flight} in flight",
            unit=unit,
            value=round(_median(of(table[GATEWAY, in_flight])), 3),
            target=target,
            beside={
                name: round(_median(of(row)), 3)
                for (name, load_), row in table.items()
                if name != GATEWAY and load_ == in_flight
            },
        )

    found = []
    for in_flight in IN_FLIGHT:
        goal = CPU_GOAL_MS if in_flight == max(IN_FLIGHT) else None
        found += [
            figure("CPU of a governed request", "ms", in_flight, lambda row: row.cpu_ms, goal),
            figure("latency p50", "ms", in_flight, lambda row: row.p50_ms, None),
            figure("latency p99", "ms", in_flight, lambda row: row.p99_ms, None),
            figure("requests a second", "1/s", in_flight, lambda row: row.per_second, None),
            figure("answers that were not pictures, a round", "count", in_flight, lambda row: row.failures, 0),
        ]
    return found


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{_median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    raise SystemExit(main())
