"""Real parts for the model server's tests: a tiny embedded model on disk, a paced model, a server on loopback."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import torch
import uvicorn
from joserfc import jwt
from joserfc.jwk import OctKey
from PIL import Image

from model_server.embedded.train.data import RENDER_PIXELS, STYLES, Sprites
from model_server.engine.engine import Engine
from model_server.engine.work import AnyModel
from model_server.http.app import create_app
from model_server.http.auth import TokenCheck
from model_server.http.connections import protocol_for
from model_server.limits import BodyLimits, EngineLimits
from model_server.observe import Metrics
from model_server.pipelines.port import Capabilities, Job, Limits
from model_server.wire import JWT_AUDIENCE, JWT_ISSUER

SECRET = b"a secret of this test run, forty bytes.."
PIECES = ("[PAD]", "red", "apple", "fox", "blue", "app", "##le", "a", "##b")
PATIENCE_SECONDS = 20.0


def token(secret: bytes = SECRET, /, *, algorithm: str = "HS256", **changes: object) -> str:
    """A service token as a gateway makes it; `changes` replace claims, None removes one."""
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": JWT_ISSUER,
        "aud": JWT_AUDIENCE,
        "iat": now,
        "exp": now + 50,
        "jti": secrets.token_urlsafe(12),
    }
    claims |= changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": algorithm}, claims, OctKey.import_key(secret), algorithms=[algorithm])


def bearer(value: str | None = None) -> dict[str, str]:
    """The header of a caller who may call."""
    return {"authorization": f"Bearer {value or token()}"}


def _fresh(request: httpx.Request) -> httpx.Request:
    """A new token for each request: one made with the client would be stale a minute later."""
    request.headers.setdefault("authorization", bearer()["authorization"])
    return request


@dataclass(slots=True)
class PacedSlot:
    seed: int
    steps: int
    size: tuple[int, int] = (16, 16)
    done: int = 0


class PacedModel:
    """A step model that takes each step only when the test allows it. Warm-up runs free.

    Its pictures are one flat colour made of seed and steps done, so that a test can tell them apart. It also is the
    engine's clock: time passes by `cost(pictures)` seconds with each step, and not otherwise, so that what is measured
    is what the test says. The default cost is proportional: then one picture a step is best.
    """

    def __init__(
        self, cost: Callable[[int], float] = lambda pictures: 0.01 * pictures, *, name: str = "paced", **able: Any
    ) -> None:
        """`able` replaces what its capabilities say."""
        self._permits = threading.Semaphore(0)
        self._free = True
        self._cost = cost
        self.now = 1000.0
        self.steps_taken = 0
        self.batches: list[list[int]] = []
        """The seeds of the pictures in each step since `hold`."""
        self.begun: list[Job] = []
        self.fails_at_step: int | None = None
        self.fails_with_seed: int | None = None
        self.out_of_memory_above: int | None = None
        usual = Capabilities(
            name=name,
            digest="sha256:" + "0" * 64,
            owner="tests",
            description="Waits for the test.",
            scheduler="none",
            sizes=((32, 32), (64, 64)),
            rendered=(16, 16),
            steps=Limits(4, 1, 1000),
            guidance=Limits(1.0, 1.0, 10.0),
            output_tokens=4,
            tasks=("generate", "edit", "vary"),
            max_input_images=16,
            has_sketch=True,
        )
        self.capabilities = replace(usual, **able)

    def clock(self) -> float:
        return self.now

    def hold(self) -> None:
        """From now on steps wait."""
        self._free = False
        self.steps_taken = 0
        self.batches.clear()
        self.begun.clear()

    def allow(self, steps: int) -> None:
        """Let that many steps happen."""
        for _ in range(steps):
            self._permits.release()

    def release(self) -> None:
        """Let everything run."""
        self._free = True
        self.allow(10_000)

    def count_tokens(self, prompt: str) -> int:
        return len(prompt.split())

    def shape(self, job: Job) -> tuple[int, int]:
        return self.capabilities.rendered or (job.width, job.height)

    def begin(self, job: Job) -> list[PacedSlot]:
        self.begun.append(job)
        steps, size = max(1, round(job.steps * job.strength)), (job.width, job.height)
        return [PacedSlot(job.seed + index, steps, size) for index in range(job.count)]

    def step(self, slots: Sequence[PacedSlot], rows: int = 0) -> None:
        if not self._free and not self._permits.acquire(timeout=PATIENCE_SECONDS):
            raise TimeoutError("the test never allowed this step")
        self.steps_taken += 1
        self.now += self._cost(max(rows, len(slots)))
        if self.out_of_memory_above is not None and len(slots) > self.out_of_memory_above:
            raise torch.OutOfMemoryError("the prompt was: SECRET-PROMPT")
        if self.fails_at_step == self.steps_taken or self.fails_with_seed in [slot.seed for slot in slots]:
            raise RuntimeError("the prompt was: SECRET-PROMPT")
        self.batches.append([slot.seed for slot in slots])
        for slot in slots:
            slot.done += 1

    def preview(self, slot: PacedSlot) -> Image.Image:
        return Image.new("RGB", slot.size, (slot.seed % 256, slot.done % 256, 100))

    def finish(self, slot: PacedSlot) -> Image.Image:
        return Image.new("RGB", slot.size, (slot.seed % 256, slot.done % 256, 200))


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread does; fails after PATIENCE_SECONDS."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.005)


def is_stopping(engine: Engine, work_id: str) -> bool:
    """Whether the engine was told to stop this request (and will at its next step), or already has."""
    with engine._changed:
        work = engine._lobby.get(work_id)
    return work is None or work.stopped


@dataclass(slots=True)
class Running:
    """A server on loopback with its engine, and a client that may call."""

    url: str
    engine: Engine
    metrics: Metrics
    client: httpx.Client


@contextmanager
def serving(
    *models: AnyModel,
    queue_limit: int = 4,
    secret: bytes | None = SECRET,
    bodies: BodyLimits = BodyLimits(max_json_bytes=200_000),  # noqa: B008  (frozen)
    send_seconds: float = PATIENCE_SECONDS,
    deadline_seconds: float | None = None,
) -> Iterator[Running]:
    """The real application under the real HTTP server, on a free port, ready to work."""
    metrics = Metrics()
    first = models[0]
    clock = first.clock if isinstance(first, PacedModel) else time.monotonic
    limits = EngineLimits(queue_limit=queue_limit)
    engine = Engine({model.capabilities.name: model for model in models}, limits=limits, metrics=metrics, clock=clock)
    app = create_app(
        engine,
        check=TokenCheck(secret, lambda: datetime.now(UTC)),
        metrics=metrics,
        clock=lambda: datetime.now(UTC),
        bodies=bodies,
        drain_seconds=5.0,
        send_seconds=send_seconds,
        deadline_seconds=deadline_seconds,
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        http = protocol_for(name="", head_seconds=bodies.idle_seconds)
        options = {"http": http, "ws": "none", "log_config": None, "access_log": False}
        server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=5, **options))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            until(lambda: server.started and engine.is_ready)
            with httpx.Client(base_url=url, auth=_fresh, timeout=PATIENCE_SECONDS) as client:
                yield Running(url, engine, metrics, client)
        finally:
            for model in models:
                if isinstance(model, PacedModel):
                    model.release()
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)


def two_sprites() -> Sprites:
    """Artwork of two concepts: a red square and a blue one, the same in every style."""
    pixels = np.zeros((2, len(STYLES), RENDER_PIXELS, RENDER_PIXELS, 4), np.uint8)
    pixels[0, :, 16:112, 16:112] = (255, 0, 0, 255)
    pixels[1, :, 16:112, 16:112] = (0, 0, 255, 255)
    return Sprites(pixels, (("pet",), ()))
