"""A gateway in a process of its own with everything around it that it could tell something to: an issuer, an image
server that quotes what it was sent, a directory's token, a receiver of its feed, a database."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from audit.migrations.migrate import upgrade as migrate
from demo.process import Program
from demo.stack import Stack
from gateway.storage.migrate import upgrade
from gateway.vocabulary import Role
from tests.canary.seeds import Seeds
from tests.support import forge
from tests.support.image_server import OURS, Handler, ImageServerDouble, answer, good
from tests.support.issuer import CLIENT_SECRET, Issuer, running_issuer
from tests.support.patience import UNHURRIED
from tests.support.postgres import PostgresServer
from tests.support.scim import TOKEN

PEOPLE: Final = {role.value: (role.value,) for role in Role if role not in (Role.SERVICE, Role.BREAK_GLASS)}
"""One person of each role, in a group of its name."""


class World:
    """Everything under `state`. Callers are names of `PEOPLE`, or "" for nobody."""

    def __init__(self, state: Path, seeds: Seeds, postgres: PostgresServer | None, leaks: Sequence[str]) -> None:
        self.state = state
        self.seeds = seeds
        self.postgres = postgres
        self.leaks = leaks
        self.feed = bytearray()
        self.clients: dict[str, httpx.Client] = {}
        self.issuer: Issuer
        self.images: ImageServerDouble
        self.url = ""

    @property
    def policy_questions(self) -> Path:
        return self.state / "questions.jsonl"

    @property
    def log(self) -> Path:
        return self.state / "logs" / "gateway.log"

    def client(self, caller: str) -> httpx.Client:
        """A browser of this caller, signed in when it is somebody."""
        if caller not in self.clients:
            self.clients[caller] = self._browser(caller)
        return self.clients[caller]

    def forget(self, caller: str) -> None:
        """Sign in anew next time."""
        client = self.clients.pop(caller, None)
        if client is not None:
            client.close()

    def _browser(self, caller: str) -> httpx.Client:
        client = httpx.Client(base_url=self.url, trust_env=False, timeout=60)
        if not caller:
            return client
        self.issuer.person = {"sub": caller, "name": caller.title(), "groups": list(PEOPLE.get(caller, ()))}
        self.issuer.person |= {"amr": ["pwd", "otp"]}
        away = client.get("/auth/sign-in", params={"provider": "company"})
        back = client.get("/auth/callback/company", params=self.issuer.approve(away.headers["location"]))
        assert back.status_code == 303, back.text
        token = client.get("/v1/session").raise_for_status().json()["csrf_token"]
        client.headers.update({"x-csrf-token": token, "origin": self.url, "sec-fetch-site": "same-origin"})
        return client

    @contextmanager
    def image_server_that(self, behaves: Handler) -> Iterator[None]:
        """…behaves so while the block runs."""
        self.images.behaviour = behaves
        try:
            yield
        finally:
            self.images.behaviour = good


@contextmanager
def open_world(state: Path, seeds: Seeds, *, with_postgres: bool = False, leaks: Sequence[str] = ()) -> Iterator[World]:
    """Everything started; ended with the block, the files left."""
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer()) if with_postgres else None
        world = World(state, seeds, postgres, leaks)
        stack.callback(lambda: [world.forget(caller) for caller in list(world.clients)])
        world.issuer = stack.enter_context(running_issuer())
        world.images = stack.enter_context(_image_server())
        port = stack.enter_context(_receiver(world.feed))
        settings = _settings(world, port)
        setting_up = Stack(state, say=lambda _: None, settings=settings, with_model=False, with_idp=False)
        world.url = setting_up.url
        upgrade(settings.get("database_url", setting_up.database_url))
        (state / "tmp").mkdir()
        gateway = Program(
            "gateway",
            ["-m", "tests.canary.launch", str(setting_up.config_path), str(world.policy_questions), *leaks],
            f"{world.url}/healthz",
            world.log,
            {"TMPDIR": str(state / "tmp"), "PYTHONFAULTHANDLER": "1"},
        )
        gateway.start()
        stack.callback(gateway.stop)
        gateway.wait_ready(90)
        yield world


def _settings(world: World, feed_port: int) -> dict[str, Any]:
    state = world.state
    state.mkdir(parents=True, exist_ok=True)
    (state / "scim.token").write_text(TOKEN)
    (state / "client.secret").write_text(CLIENT_SECRET)
    for name in ("scim.token", "client.secret"):
        (state / name).chmod(0o600)
    feed = {"consumer": "siem", "to": f"syslog+tcp://127.0.0.1:{feed_port}", "allow_plain_loopback": True}
    settings: dict[str, Any] = {
        "server": UNHURRIED["server"] | {"drain_seconds": 2},
        "policy": UNHURRIED["policy"],
        "credits": UNHURRIED["credits"],
        "screening": {
            "timeout_seconds": 10,
            "semantic_timeout_seconds": 30,
            "picture_timeout_seconds": 30,
            "upload_timeout_seconds": 60,
        },
        "provenance": {"checks_per_minute": 100_000},
        "upstream": {"url": world.images.url},
        "identity": {
            "providers": [
                {
                    "name": "company",
                    "issuer": world.issuer.url,
                    "client_id": forge.CLIENT_ID,
                    "client_secret_path": str(state / "client.secret"),
                    "profile": {"mfa_amr_two_distinct_of": ["pwd", "otp"], "trusts_auth_time": True},
                    "scim": {"token_path": str(state / "scim.token")},
                }
            ],
            "roles": {role: [role] for role in PEOPLE},
            "throttle": {"refusals_per_minute": 100_000, "network_per_minute": 100_000, "account_refusals": 100_000},
        },
        "audit": {"feeds": [feed | {"format": "jsonl", "with_subjects": True}]},
    }
    if world.postgres is not None:
        address = world.postgres.url(world.postgres.create_database())
        records = world.postgres.url(world.postgres.create_database())
        migrate(records)
        (state / "records.url").write_text(records)
        (state / "records.url").chmod(0o600)
        settings["audit"]["database_url_path"] = str(state / "records.url")
        settings["database_url"] = address.replace("postgresql://", "postgresql+asyncpg://", 1)
    return settings


@contextmanager
def _image_server() -> Iterator[ImageServerDouble]:
    """The double in a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def opened() -> ImageServerDouble:
        return await ImageServerDouble().__aenter__()

    double = asyncio.run_coroutine_threadsafe(opened(), loop).result(10)
    double.listing = OURS
    try:
        yield double
    finally:
        asyncio.run_coroutine_threadsafe(double.__aexit__(None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def _receiver(got: bytearray) -> Iterator[int]:
    """Takes a feed over plain TCP; yields its port."""

    class Taking(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(65_536):
                got.extend(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Taking) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


async def quoting(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """An image server that fails and tells everybody what it was asked."""
    await answer(writer, {"error": {"message": f"can't: {json.dumps(asked)}", "code": "server_error"}}, 500)


async def quoting_a_refusal(server: ImageServerDouble, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """One that calls the request wrong, with the request in it."""
    problem = {"message": f"prompt: {asked.get('prompt')}", "param": str(asked.get("prompt")), "code": "bad"}
    await answer(writer, {"error": problem}, 400)


def dump_postgres(world: World) -> bytes:
    """All rows as text, for what compression or a page's end could hide from a search of the files."""
    assert world.postgres is not None
    config = json.loads((world.state / "gateway.json").read_text())
    addresses = (config["database_url"], (world.state / "records.url").read_text())
    return b"".join(world.postgres.dump(address.rsplit("/", 1)[1]).read_bytes() for address in addresses)
