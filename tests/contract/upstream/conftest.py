"""The image servers that one suite is run over. A new one is an entry in `ENDS`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.settings import UpstreamSettings
from gateway.upstream import ImageServer
from gateway.upstream.badge import Badge
from gateway.upstream.turn import Turns
from tests.support import image_server as double
from tests.support.image_server import ImageServerDouble
from tests.support.model_process import SECRET, ModelProcess
from tests.unit.model_server.pipelines.families import saved


@dataclass(frozen=True)
class End:
    """An image server with our client of it. `size` is one that it makes; `odd_size` is one that it doesn't."""

    client: ImageServer
    model: str
    size: str
    is_ours: bool
    hanging: Callable[[], AbstractContextManager[None]]
    """While it is open, requests take long enough to be interrupted."""
    is_idle: Callable[[], AbstractAsyncContextManager[bool]]
    odd_size: str = "48x16"
    slow_steps: int = 0


Opened = AbstractAsyncContextManager[End]


def connect(url: str, secret_path: Path, **changes: object) -> ImageServer:
    settings = UpstreamSettings.model_validate({"url": url, "secret_path": secret_path, "read_seconds": 60, **changes})
    return ImageServer(settings, Badge(secret_path, lambda: datetime.now(UTC)), Turns(SECRET.encode()))


@asynccontextmanager
async def stand_in(folder: Path) -> AsyncIterator[End]:
    """A stranger's server: OpenAI's shape and nothing of ours."""
    secret = folder / "secret"
    secret.write_text(SECRET)
    async with ImageServerDouble() as server:
        client = connect(server.url, secret)

        @asynccontextmanager
        async def is_idle() -> AsyncIterator[bool]:
            yield server.gone > 0

        @contextmanager
        def hanging() -> Iterator[None]:
            usual, server.behaviour = server.behaviour, double.stall
            try:
                yield
            finally:
                server.behaviour = usual

        yield End(client, "imprimatur-embedded", "32x32", is_ours=False, hanging=hanging, is_idle=is_idle)
        await client.aclose()


@asynccontextmanager
async def model_server(folder: Path, *arguments: str) -> AsyncIterator[End]:
    """Ours, as a process, with the embedded model or whatever `arguments` name."""
    with ModelProcess(folder, arguments=[*arguments, "--profile-seconds", "1"]) as server:
        client = connect(server.url, server.secret_path)

        @asynccontextmanager
        async def is_idle() -> AsyncIterator[bool]:
            async with httpx.AsyncClient(base_url=server.probe_url) as probe:
                yield busy_slots((await probe.get("/metrics")).text) == 0

        (listed,) = await client.models()
        yield End(
            client,
            listed["id"],
            listed["default_size"],
            is_ours=True,
            hanging=nullcontext,
            is_idle=is_idle,
            slow_steps=int(listed["steps"]["maximum"]),
        )
        await client.aclose()


def busy_slots(metrics: str) -> float:
    (line,) = [line for line in metrics.splitlines() if not line.startswith("#") and "slots_busy" in line]
    return float(line.split()[-1])


def family(name: str) -> Callable[[Path], Opened]:
    """A tiny pipeline of real diffusers classes, random weights, served as a company's own model would be."""

    def opened(folder: Path) -> Opened:
        weights = saved(name, folder)
        return model_server(folder, "--kind", "diffusers", "--path", str(weights), "--sizes", "32x32")

    return opened


ENDS: Mapping[str, Callable[[Path], Opened]] = {
    "stand-in": stand_in,
    "embedded": model_server,
    "sd": family("sd"),
    "sdxl": family("sdxl"),
    "sd3": family("sd3"),
    "flux": family("flux"),
}


@pytest_asyncio.fixture(params=ENDS, scope="module", loop_scope="module")
async def end(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[End]:
    async with ENDS[request.param](tmp_path_factory.mktemp(request.param)) as opened:
        yield opened
