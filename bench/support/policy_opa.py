"""OPA beside the embedded engine: over HTTP as the gateway asks it, and how soon it takes a change."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request, Response

from bench.support.results import Figure
from gateway.policy.engine import EntryPoint
from gateway.policy.opa import OpaEngine
from gateway.policy.publisher import Publisher
from gateway.policy.revisions import Revisions
from gateway.policy.signing import SigningKey, make_key
from tests.support.opa_sidecar import Sidecar

TOKEN: Final = "t" * 40
ASKED: Final = 500
CHANGES: Final = 5


class Beside:
    """A folder that is published, an OPA server that follows it, and the engine of ours that asks that server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = SigningKey(make_key(), "bench")
        self._revisions = Revisions(_now, timedelta(minutes=10))
        self.publisher = Publisher(
            folder, clock=_now, revisions=self._revisions, key=self._key, decision_seconds=5, reload_seconds=3600
        )
        self.activated_at = 0.0

    async def __aenter__(self) -> Beside:
        await self.publisher.start()
        app = FastAPI()
        app.get("/bundles/imprimatur.tar.gz")(self._bundle)
        app.post("/status")(self._status)
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.sidecar = await asyncio.to_thread(
            Sidecar, f"http://127.0.0.1:{port}", token=TOKEN, key_id="bench", public_pem=self._key.public_pem
        )
        await self._followed()
        self.engine = OpaEngine(self.sidecar.url, clock=_now, decision_seconds=5, revisions=self._revisions)
        await self.engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.aclose()
        await asyncio.to_thread(self.sidecar.stop)
        await self.publisher.aclose()
        self._server.should_exit = True
        await self._serving

    @property
    def name(self) -> str:
        """What answered, in words."""
        return "OPA" if self.sidecar.is_real else "OPA 1.20's engine behind OPA's API (Python)"

    async def decisions(self, questions: Mapping[str, dict[str, Any]]) -> list[Figure]:
        """Wall time of a decision over HTTP on loopback, one after the other."""
        figures = []
        for name, document in questions.items():
            entry = EntryPoint.IMAGE if "findings" in document else EntryPoint.ADMIN
            times = []
            for n in range(ASKED + 20):
                start = time.perf_counter()
                await self.engine.evaluate(entry, document)
                if n >= 20:
                    times.append((time.perf_counter() - start) * 1e3)
            times.sort()
            p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
            print(f"{name:<28} over HTTP p50 {p50:>6.2f} ms, p99 {p99:>6.2f} ms ({self.name})")
            figures.append(Figure(figure=f"wall p50 of {name}, over HTTP to an OPA server", unit="ms", value=p50))
            figures.append(Figure(figure=f"wall p99 of {name}, over HTTP to an OPA server", unit="ms", value=p99))
        return figures

    async def changes(self) -> list[Figure]:
        """From a changed file to an OPA server that decides by it: trial, signature, long poll, verification."""
        limits = self._folder / "gateway/config/limits/data.yaml"
        before = limits.read_text()
        times = []
        for n in range(CHANGES):
            limits.write_text(f"{before}# {n}\n")
            start = time.perf_counter()
            await self.publisher.reloader.check()
            await self._followed()
            times.append(time.perf_counter() - start)
        value = statistics.median(times)
        print(f"from a changed file to an OPA server that decides by it: {value:.2f} s, the slowest {max(times):.2f} s")
        return [Figure(figure="changed file to an OPA server that decides by it", unit="s", value=value, target=2.0)]

    async def _followed(self) -> None:
        current = self.publisher.current
        if current is None:
            raise SystemExit(f"nothing is published: {self.publisher.reloader.error}")
        await asyncio.to_thread(self.sidecar.wait_for, current.revision)

    async def _bundle(self, request: Request) -> Response:
        etag = request.headers.get("if-none-match", "")
        found = await self.publisher.other_than(etag, 10 if "wait=" in request.headers.get("prefer", "") else 0)
        kind = "application/vnd.openpolicyagent.bundles"
        if found is None:
            return Response(status_code=304, headers={"etag": etag, "content-type": kind})
        return Response(found.body, headers={"etag": found.etag}, media_type=kind)

    async def _status(self) -> Response:
        return Response(status_code=204)


def _now() -> datetime:
    return datetime.now(UTC)


def copy_of(policies: Path, scratch: Path) -> Path:
    """The rules in a folder of their own."""
    folder = scratch / "published"
    shutil.copytree(policies, folder)
    return folder


def is_there() -> bool:
    """Whether an OPA can be had: the binary that `$OPA_BIN` names, or OPA's engine as a library."""
    return "OPA_BIN" in os.environ or importlib.util.find_spec("opa_bindings") is not None
