"""How soon a door is shut: `python -m bench.identity`.

For each way to end somebody's access, the time from the beginning of the act to the first request sent that is refused,
while they go on asking without a pause and eight others do the same. One node, SQLite, day files, over HTTP on
loopback; the clients share the machine's cores with the gateway, so the figures are rather too high than too low.
Writes `bench/results/identity.json`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import secrets
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from bench.support import results
from bench.support.results import Figure
from gateway.app import create_app
from gateway.exchange import ActorId, Mfa
from gateway.identity.people import People
from gateway.identity.profile import Described
from gateway.identity.roles import RoleMap
from gateway.identity.sessions import SessionId, Sessions
from gateway.identity.tokens import LOGOUT_EVENT
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.schema import metadata

TIMES = int(os.environ.get("BENCH_TIMES", "200"))
OTHERS = 8
TARGET_SECONDS = 1.0
PATIENCE_SECONDS = 20.0
HOST = "127.0.0.1"

Act = Callable[["Person"], Coroutine[Any, Any, None]]


class Person:
    """Somebody with a session and a key."""

    def __init__(self, name: str, cookie: str) -> None:
        self.name = name
        self.actor = ActorId(f"company|{name}")
        self.cookie = {"cookie": cookie}
        self.proof: dict[str, str] = {}
        self.key = ""
        self.key_id = ""


class Bench:
    """The gateway under test, and what the acts need."""

    def __init__(self, url: str, issuer: str, signing: RSAKey, settings: Settings) -> None:
        self.url, self.issuer, self.signing, self.settings = url, issuer, signing, settings
        self.database = Database(settings.database_url)
        self.roles = RoleMap(settings.identity.roles)
        self.people = People(self.database, self.roles, _now)
        self.sessions = Sessions(self.database, settings.identity, self.roles, _now)
        self.http = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)

    async def person(self, *, with_key: bool = False) -> Person:
        name, id = f"p{secrets.token_hex(6)}", SessionId()
        made = Person(name, f"imprimatur-session={id.secret}")
        async with self.database.transaction() as tx:
            row = await self.people.seen(tx, made.actor, Described(display_name=name, groups=("staff",)))
            await self.sessions.start(tx, id, row, Mfa(at=_now(), amr=("pwd", "otp")))
        token = (await self.http.get("/v1/session", headers=made.cookie)).raise_for_status().json()["csrf_token"]
        made.proof = {**made.cookie, "x-csrf-token": token, "origin": self.url, "sec-fetch-site": "same-origin"}
        if with_key:
            asked = {"name": "bench", "scopes": ["model:list"], "days": 1}
            key = (await self.http.post("/v1/keys", json=asked, headers=made.proof)).raise_for_status().json()
            made.key, made.key_id = key["key"], key["id"]
        return made

    async def sign_out(self, person: Person) -> None:
        _good(await self.http.post("/auth/sign-out", headers=person.proof), 303)

    async def back_channel(self, person: Person) -> None:
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": person.name, "aud": "imprimatur", "iat": now, "exp": now + 120}
        claims |= {"jti": secrets.token_hex(8), "events": {LOGOUT_EVENT: {}}}
        token = jwt.encode({"alg": "RS256", "kid": self.signing.kid, "typ": "logout+jwt"}, claims, self.signing)
        _good(await self.http.post("/auth/back-channel-logout/company", data={"logout_token": token}), 200)

    async def revoke_key(self, person: Person) -> None:
        _good(await self.http.delete(f"/v1/keys/{person.key_id}", headers=person.proof), 200)

    async def suspend(self, person: Person) -> None:
        await self.people.set_status(person.actor, "suspended")

    async def until_refused(self, person: Person, act: Act) -> float:
        """Seconds from the act's beginning to the sending of the first request that was refused."""
        headers = {"authorization": f"Bearer {person.key}"} if person.key else person.cookie
        (await self.http.get("/v1/session", headers=headers)).raise_for_status()
        began = time.perf_counter()
        acting = asyncio.create_task(act(person))
        try:
            while (sent := time.perf_counter()) - began < PATIENCE_SECONDS:
                if (await self.http.get("/v1/session", headers=headers)).status_code == 401:
                    return sent - began
        finally:
            await acting
        raise SystemExit(f"{act.__name__}: not refused after {PATIENCE_SECONDS} s")


async def measure(bench: Bench, name: str, act: Act, *, with_key: bool = False) -> list[Figure]:
    times = [await bench.until_refused(await bench.person(with_key=with_key), act) for _ in range(TIMES)]
    found = []
    for label, value in (("p50", statistics.median(times)), ("p99", percentile(times, 0.99))):
        target = TARGET_SECONDS if label == "p99" else None
        found.append(
            Figure(figure=f"{name} to the first refused request, {label}", unit="s", value=value, target=target)
        )
        print(f"{found[-1].figure:58} {value * 1000:8.1f} ms  {found[-1].verdict}", flush=True)
    return found


def percentile(values: list[float], part: float) -> float:
    """The nearest rank: a value that was measured."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


@asynccontextmanager
async def others(bench: Bench) -> AsyncIterator[None]:
    """People who use the gateway meanwhile."""

    async def use(person: Person) -> None:
        while True:
            (await bench.http.get("/v1/session", headers=person.cookie)).raise_for_status()
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(use(await bench.person())) for _ in range(OTHERS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextmanager
def listening(app: ASGIApp, door: socket.socket, *, lifespan: bool) -> Iterator[None]:
    """A server in a thread and loop of its own."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on" if lifespan else "off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[door]),), daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise SystemExit("the server did not start")
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def issuer_app(url: str, signing: RSAKey) -> Starlette:
    """Discovery and keys; nobody signs in here."""

    async def discovery(request: Request) -> JSONResponse:
        names = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
        return JSONResponse({"issuer": url, "jwks_uri": f"{url}/jwks", **{name: f"{url}/{name}" for name in names}})

    async def jwks(request: Request) -> JSONResponse:
        return JSONResponse({"keys": [signing.as_dict(private=False)]})

    return Starlette(routes=[Route("/.well-known/openid-configuration", discovery), Route("/jwks", jwks)])


def settings_of(state: Path, url: str, issuer: str) -> Settings:
    secret_files = {name: state / f"{name}.key" for name in ("identity", "screening", "model-server")}
    for path in secret_files.values():
        path.write_bytes(secrets.token_bytes(48))
    return Settings(
        database_url=f"sqlite+aiosqlite:///{state / 'gateway.sqlite'}",
        pictures_path=state / "pictures",
        server={"public_url": url, "requests_per_minute": 1_000_000},
        policy={"decision_timeout_seconds": 10},
        identity={
            "providers": [{"name": "company", "issuer": issuer, "client_id": "imprimatur"}],
            "roles": {"staff": ["employee"]},
            "secret_path": secret_files["identity"],
            "cookie_secure": False,
            "throttle": {"network_per_minute": 10**6, "refusals_per_minute": 10**6, "account_refusals": 10**6},
        },
        screening={"secret_path": secret_files["screening"]},
        provenance={
            "directory": state / "provenance",
            "watermark_secret_path": state / "watermark.key",
            "create_keys": True,
        },
        upstream={"url": "http://127.0.0.1:9", "secret_path": secret_files["model-server"]},
        audit={
            "directory": state / "audit",
            "kek_path": state / "kek.key",
            "signing_key_path": state / "signing.key",
            "witness_path": state / "witness.txt",
            "create_keys": True,
        },
    )


async def prepare(settings: Settings) -> FastAPI:
    database = Database(settings.database_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await database.aclose()
    return create_app(settings)


async def run(bench: Bench) -> list[Figure]:
    async with others(bench):
        return [
            *await measure(bench, "sign-out", bench.sign_out),
            *await measure(bench, "back-channel logout", bench.back_channel),
            *await measure(bench, "revoking a key", bench.revoke_key, with_key=True),
            *await measure(bench, "suspending a person", bench.suspend),
        ]


async def main() -> None:
    print(f"{TIMES} of each on {results.machine()}", flush=True)
    signing = RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}, auto_kid=True)
    with tempfile.TemporaryDirectory() as scratch, socket.socket() as idp, socket.socket() as door:
        idp.bind((HOST, 0))
        door.bind((HOST, 0))
        issuer, url = (f"http://{HOST}:{each.getsockname()[1]}" for each in (idp, door))
        settings = settings_of(Path(scratch), url, issuer)
        app = await prepare(settings)
        with listening(issuer_app(issuer, signing), idp, lifespan=False), listening(app, door, lifespan=True):
            bench = Bench(url, issuer, signing, settings)
            try:
                figures = await run(bench)
            finally:
                await bench.http.aclose()
                await bench.database.aclose()
    print(f"written to {results.write('identity', figures)}")


def _now() -> datetime:
    return datetime.now(UTC)


def _good(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        raise SystemExit(f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}")


if __name__ == "__main__":
    asyncio.run(main())
