"""The audit log's figures: `python -m bench.audit` (options with `--help`).

Both stores in one run: append by writers beside the disk's own `fdatasync` rate and bare group-committed inserts of the
same size, both phases at 200 requests a second, checkpoint lag, proofs, search, offline verification, and the purge of
a day. Writes `bench/results/audit.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.support import results
from bench.support.audit_append import bare_postgres, bare_sqlite, checkpoint_lag, disk_rate, drive, quantile, two_phase
from bench.support.audit_beds import Bed, intent, postgres_bed, postgres_server, sqlite_bed
from bench.support.audit_full import full_log
from bench.support.results import Figure

WRITERS = (1, 16, 64)
TARGET_RATE = {"SQLite": 6000.0, "PostgreSQL": 4000.0}
TESSERA_POSIX = 1500.0  # events/s, small VM: figure of its own documentation, not of this machine


async def append(bed: Bed, bare: float, disk: float, seconds: float, rounds: int) -> list[Figure]:
    """The whole path: sealed, indexed, sequenced, durable, in the tree."""
    log = await bed.open()
    figures = []
    for writers in WRITERS:
        rates, slow = [], []
        for _ in range(rounds):
            rate, times = await drive(lambda number: log.note(intent(number)), writers, seconds)
            rates.append(rate)
            slow.append(quantile(times, 0.99))
        rate = statistics.median(rates)
        spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
        print(
            f"  {writers:>3} writers {rate:>9,.0f} events/s ({spread})   p99 {statistics.median(slow):6.1f} ms   "
            f"{rate / bare:5.2f}x bare inserts   {rate / disk:5.2f} events a disk sync"
        )
        figures.append(
            Figure(
                figure=f"{bed.name}: audited events a second, {writers} writers",
                unit="1/s",
                value=rate,
                target=TARGET_RATE[bed.name] if writers == 64 else None,
                more_is_better=True,
                beside={
                    "bare group-committed inserts": bare,
                    "fdatasync": disk,
                    "Tessera POSIX (its docs)": TESSERA_POSIX,
                },
            )
        )
    times = await two_phase(log, 200, seconds * 2)
    lag = await checkpoint_lag(log, 40)
    print(
        f"  both phases at 200 requests/s: p50 {quantile(times, 0.5):.1f} ms, p99 {quantile(times, 0.99):.1f} ms   "
        f"in a signed checkpoint: p50 {quantile(lag, 0.5):.2f} s, p99 {quantile(lag, 0.99):.2f} s"
    )
    await log.aclose()
    return [
        *figures,
        Figure(
            figure=f"{bed.name}: both phases at 200 requests/s, p99", unit="ms", value=quantile(times, 0.99), target=25
        ),
        Figure(
            figure=f"{bed.name}: until a signed checkpoint covers it, p99",
            unit="s",
            value=quantile(lag, 0.99),
            target=1.5,
            beside={"Tessera (its docs)": 0.6, "CloudTrail (its docs)": 3600},
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; exit 0 when it ran, whatever was met."""
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description="Measure the audit log on both stores.")
    parser.add_argument(
        "--records", type=int, nargs="+", default=[1_000_000], help="records of the full logs, one or more (1000000)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each append run (3)")
    parser.add_argument("--rounds", type=int, default=3, help="append runs of each kind (3)")
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--folder", type=Path, default=None, help="where to put the logs (the temporary folder)")
    options = parser.parse_args(arguments)
    print(results.machine())
    asyncio.run(_run(options))
    return 0


async def _run(options: argparse.Namespace) -> None:
    figures: list[Figure] = []
    base = Path(tempfile.mkdtemp(prefix="imprimatur-bench-", dir=options.folder))
    with ExitStack() as stack:
        stack.callback(lambda: base.exists() and base.rmdir())
        disk = statistics.median(disk_rate(base, 0.7) for _ in range(3))
        print(f"disk: {disk:,.0f} overwrites of 8 KiB with fdatasync a second, one at a time")
        figures.append(Figure(figure="disk: fdatasync of 8 KiB", unit="1/s", value=disk, more_is_better=True))
        server = stack.enter_context(postgres_server(base)) if options.store != "sqlite" else ""
        kinds = [kind for kind in ("sqlite", "postgres") if options.store in (kind, "both")]
        for kind in kinds:
            with ExitStack() as bed_stack:
                if kind == "sqlite":
                    bare = await bare_sqlite(base, 64, options.seconds)
                    bed = bed_stack.enter_context(sqlite_bed(base))
                else:
                    bare = await bare_postgres(server, 64, options.seconds)
                    bed = bed_stack.enter_context(postgres_bed(base, server, "append"))
                print(f"\n{bed.name}: append (bare group-committed inserts of 1.3 KB: {bare:,.0f}/s)")
                figures += await append(bed, bare, disk, options.seconds, options.rounds)
        for records, kind in itertools.product(options.records, kinds):
            with ExitStack() as bed_stack:
                bed = bed_stack.enter_context(
                    sqlite_bed(base) if kind == "sqlite" else postgres_bed(base, server, f"full_{records}")
                )
                print(f"\n{bed.name}: a log of {records:,} records over 30 days   {results.machine()}", flush=True)
                figures += await full_log(bed, records)
                results.write("audit", figures)
    path = results.write("audit", figures)
    print(f"\n{'figure':<72}{'value':>12}  target")
    for figure in figures:
        print(f"{figure.figure:<72}{figure.value:>12,.2f}  {figure.verdict}")
    print(f"\nWritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    raise SystemExit(main())
