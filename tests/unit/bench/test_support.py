"""The tables' own tools: they measure what they say they measure, and wrong answers are no figures."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.gateway import GATEWAY, IN_FLIGHT, NGINX, Row, figures
from bench.support import load, results
from bench.support.load import Load
from bench.support.results import Figure
from bench.support.servers import DidNotStart, Server, free_port
from bench.support.upstream import SIZE


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    arguments = [sys.executable, "-m", "uvicorn", "--port", str(port), "bench.support.upstream:app"]
    with Server("stand-in", arguments, port, tmp_path / "log") as server:
        yield server


@pytest.mark.parametrize("with_wrk", [True, False])
def test_both_ways_to_put_load_count_what_was_answered(
    stand_in: Server, tmp_path: Path, with_wrk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_wrk and not load.has_wrk():
        pytest.skip("wrk is not installed")
    monkeypatch.setattr(load, "has_wrk", lambda: with_wrk)
    before = stand_in.cpu_seconds()
    taken = load.run(stand_in.port, ["one", "two"], SIZE, 4, 1, tmp_path)
    assert taken.answered > 50
    assert taken.errors == 0
    assert 0 < taken.p50_ms <= taken.p99_ms
    assert 0.9 < taken.seconds < 5
    assert 0 < stand_in.cpu_seconds() - before <= taken.seconds * 2


def test_answers_that_are_not_pictures_are_counted_as_errors(tmp_path: Path) -> None:
    port = free_port()
    arguments = [sys.executable, "-m", "uvicorn", "--port", str(port), "bench.support.passthrough:app"]
    with Server("refusing", arguments, port, tmp_path / "log", environment={"BENCH_KEY": "another"}) as server:
        taken = load.run(server.port, ["wrong"], SIZE, 2, 1, tmp_path)
    assert taken.errors == taken.answered > 0


def test_a_program_that_ends_at_once_is_named_with_its_last_words(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", "import sys; sys.exit('no such luck')"]
    started = time.monotonic()
    with (
        pytest.raises(DidNotStart, match=r"(?s)unlucky ended right away.*no such luck"),
        Server("unlucky", arguments, free_port(), tmp_path / "log"),
    ):
        pass
    assert time.monotonic() - started < 20


def test_cpu_is_that_of_the_program_and_its_children(tmp_path: Path) -> None:
    code = (
        "import http.server, subprocess, sys\n"
        # Ends by itself, should this test be killed before it can end it.
        "busy = 'import time; end = time.monotonic() + 20\\nwhile time.monotonic() < end: pass'\n"
        "print(subprocess.Popen([sys.executable, '-c', busy]).pid, flush=True)\n"
        "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')\n"
    )
    port, log = free_port(), tmp_path / "log"
    with Server("busy", [sys.executable, "-c", code, str(port)], port, log, ready_path="/") as server:
        child = int(log.read_text("utf-8").split()[0])
        try:
            before = server.cpu_seconds()
            time.sleep(0.6)
            spent = server.cpu_seconds() - before
        finally:
            os.kill(child, signal.SIGKILL)
    # An idle web server spends next to nothing in that time; its busy child what the scheduler leaves it.
    assert spent > 0.05


def test_figures_carry_target_verdict_and_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {(name, n): Row() for name in (GATEWAY, NGINX) for n in IN_FLIGHT}
    for (name, _), row in table.items():
        for cpu in (0.1, 0.3, 0.2) if name == GATEWAY else (0.01, 0.01, 0.01):
            row.add(cpu, Load(answered=100, seconds=1, p50_ms=1, p99_ms=2, errors=0))
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    told = json.loads(results.write("gateway", figures(table)).read_text("utf-8"))
    assert "cores" in told["machine"]
    written = told["figures"]
    judged = [f for f in written if f["target"]]
    assert judged == [
        {
            "figure": "CPU of a governed request, 16 in flight",
            "unit": "ms",
            "value": 2.0,
            "target": 1.2,
            "more_is_better": False,
            "beside": {"nginx": 0.1},
            "met": False,
        }
    ]
    assert all(f["met"] is None for f in written if f["target"] is None)
    assert Figure(figure="x", unit="ms", value=1.2, target=1.2).met is True
    slow = Figure(figure="x", unit="ratio", value=1.9, target=2.0, more_is_better=True)
    assert (slow.met, slow.verdict) == (False, ">= 2 ratio: falls short")
