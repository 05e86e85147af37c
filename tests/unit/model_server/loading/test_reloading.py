"""A running server changes its models when it is told to, and says why when it does not."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml

from model_server.loading.load import load
from model_server.loading.reloading import Reloading
from tests.unit.model_server.pipelines.families import saved
from tests.unit.model_server.support import until


def patiently(condition: Callable[[], bool]) -> None:
    """Wait for a program of its own that has first to import diffusers, which takes long on a busy machine."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def write(path: Path, *models: dict[str, Any]) -> Any:
    path.write_text(yaml.safe_dump({"models": list(models)}))
    return SimpleNamespace(models_path=path, threads=1)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "tiny"))


class FakeEngine:
    """Takes swaps as an engine does, and fails those it is told to."""

    def __init__(self) -> None:
        self.swapped: list[list[str]] = []
        self.fails = False
        self.asked = threading.Event()
        self.hold = threading.Event()
        self.hold.set()

    def swap(self, models: Any) -> Future[None]:
        self.asked.set()
        self.hold.wait(10)
        done: Future[None] = Future()
        if self.fails:
            done.set_exception(RuntimeError("can't warm up"))
        else:
            self.swapped.append(list(models))
            done.set_result(None)
        return done


def test_signals_during_a_reload_come_to_one_more(folder: Path, tmp_path: Path) -> None:
    listed = write(tmp_path / "models.yaml", {"id": "a", "kind": "embedded", "folder": str(folder)})
    engine = FakeEngine()
    reloading = Reloading(listed, load(listed), engine)  # type: ignore[arg-type]
    engine.hold.clear()
    write(listed.models_path, {"id": "b", "kind": "embedded", "folder": str(folder)})
    reloading.on_signal(1, None)
    assert engine.asked.wait(10)
    write(listed.models_path, {"id": "c", "kind": "embedded", "folder": str(folder)})
    for _ in range(5):
        reloading.on_signal(1, None)
    engine.hold.set()
    until(lambda: len(engine.swapped) == 2 and not reloading._working.locked())
    assert engine.swapped == [["b"], ["c"]]


def test_models_that_cannot_warm_up_leave_the_old_ones_and_the_next_try_starts_from_them(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = write(tmp_path / "models.yaml", {"id": "a", "kind": "embedded", "folder": str(folder)})
    loaded = load(listed)
    engine = FakeEngine()
    engine.fails = True
    reloading = Reloading(listed, loaded, engine)  # type: ignore[arg-type]
    write(listed.models_path, {"id": "b", "kind": "embedded", "folder": str(folder)})
    with caplog.at_level(logging.ERROR):
        reloading.on_signal(1, None)
        until(lambda: "models.reload_failed" in caplog.text)
    assert reloading._models is loaded


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str], Path]]:
    """The real program over a file of one embedded model."""
    path = tmp_path / "models.yaml"
    write(path, {"id": "first", "kind": "embedded", "folder": "tiny"})
    command = [sys.executable, "-m", "model_server", "--port", "0", "--insecure-no-auth", "--models-path", str(path)]
    env = {**os.environ, "IMPRIMATUR_MODEL_PROFILE_SECONDS": "0", "IMPRIMATUR_MODEL_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or []))
    reader.start()
    try:
        patiently(lambda: any("server.listening" in line for line in lines))
        yield process, lines, path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        reader.join(10)


def test_a_hangup_swaps_the_models_of_a_running_server(
    server: tuple[subprocess.Popen[str], list[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    process, lines, path = server
    port = next(json.loads(line) for line in lines if "server.listening" in line)["port"]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        patiently(lambda: client.get("/readyz").status_code == 200)

        def served() -> list[str]:
            return [model["id"] for model in client.get("/v1/models").json()["data"]]

        assert served() == ["first"]
        write(
            path,
            {"id": "drawn", "folder": str(saved("flux", tmp_path_factory.getbasetemp())), "device": "cpu",
             "sizes": ["32x32"]},
            {"id": "first", "kind": "embedded", "folder": "tiny"},
        )  # fmt: skip
        process.send_signal(signal.SIGHUP)
        patiently(lambda: served() == ["drawn", "first"])
        body = {"prompt": "a b", "model": "drawn", "steps": 2, "seed": 1}
        answer = client.post("/v1/images/generations", json=body)
        assert answer.status_code == 200
        assert answer.json()["size"] == "32x32"

        write(path, {"id": "first", "kind": "embedded", "folder": "nowhere"})
        process.send_signal(signal.SIGHUP)
        patiently(lambda: any("models.reload_refused" in line for line in lines))
        assert served() == ["drawn", "first"]
