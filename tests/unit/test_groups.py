"""Tests that share something stay in one worker: what `--dist loadgroup` promises, and once silently did not keep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import os
import pytest

@pytest.fixture(scope="module", params=["a", "b"])
def shared(request):
    return request.param

@pytest.mark.parametrize("n", range(20))
def test_shares(shared, n, record):
    record("shares", shared)

@pytest.mark.xdist_group("named")
@pytest.mark.parametrize("n", range(20))
def test_in_a_group(n, record):
    record("named", "")

@pytest.mark.parametrize("n", range(40))
def test_alone(n, record):
    record("alone", "")
"""
RECORD = """
import os, time
from pathlib import Path

@pytest.fixture
def record():
    def note(kind, which):
        time.sleep(0.01)
        with (Path(__file__).parent / "seen").open("a") as file:
            file.write(f"{kind} {which} {os.environ['PYTEST_XDIST_WORKER']}\\n")
    return note
"""


def test_each_group_and_each_shared_fixture_has_one_worker(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text("utf-8") + RECORD, "utf-8")
    (tmp_path / "test_here.py").write_text(TESTS, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    xdist_group: together\n", "utf-8")
    words = ["-n", "2", "--dist", "loadgroup", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    environment = {"PYTHONPATH": str(CONFTEST.parents[1]), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "@" not in ran.stdout, "the names of tests are as they were"
    seen: dict[str, set[str]] = {}
    for line in (tmp_path / "seen").read_text("utf-8").splitlines():
        what, _, worker = line.rpartition(" ")
        seen.setdefault(what, set()).add(worker)
    assert {what: len(workers) for what, workers in seen.items()} == {
        "shares a": 1,
        "shares b": 1,
        "named ": 1,
        "alone ": 2,
    }
