"""A stand-in image server and the client of it."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from gateway.exchange import ImageRequest, RequestId
from gateway.settings import UpstreamSettings
from gateway.upstream import ImageServer
from gateway.upstream.badge import Badge
from gateway.upstream.turn import Turns
from gateway.vocabulary import Permission
from tests.support.image_server import ImageServerDouble
from tests.support.policy import ALICE

SECRET = "s" * 48
MODEL = "imprimatur-embedded"


@pytest.fixture
async def server():
    async with ImageServerDouble() as running:
        yield running


@pytest.fixture
def connect(tmp_path):
    """Makes clients; changes are of the upstream settings."""
    (tmp_path / "secret").write_text(SECRET)

    def make(url: str, **changes) -> ImageServer:
        usual = {"url": url, "secret_path": tmp_path / "secret", "connect_seconds": 1, "read_seconds": 1}
        settings = UpstreamSettings(**usual | changes)
        return ImageServer(settings, Badge(settings.secret_path, lambda: datetime.now(UTC)), Turns(SECRET.encode()))

    return make


@pytest.fixture
async def client(server, connect):
    made = connect(server.url)
    yield made
    await made.aclose()


def request(**changes) -> ImageRequest:
    return ImageRequest(**{"action": Permission.IMAGE_GENERATE, "prompt": "never sent", "model": MODEL} | changes)


async def ask(client, asked=None, uploads=(), texts=None, actor=ALICE):
    asked = asked or request()
    making = client.make(asked, texts or {"prompt": "a fox"}, uploads, RequestId("request-1"), actor)
    async with aclosing(making) as answers:
        return [answer async for answer in answers]
