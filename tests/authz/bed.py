"""A whole gateway in this process with somebody of each role in it, to try each way in."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from fastapi import FastAPI
from PIL import Image

from gateway.app import create_app
from gateway.emergency_watch import EmergencyWatch
from gateway.exchange import ActorId, Mfa
from gateway.identity.api_keys import GRANTABLE
from gateway.identity.people import People
from gateway.identity.profile import Described
from gateway.identity.roles import RoleMap
from gateway.identity.seals import totp
from gateway.identity.service_accounts import SERVICE_SCOPES
from gateway.identity.sessions import SessionId, Sessions
from gateway.services import Services
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from gateway.vocabulary import Role
from tests.authz.matrix import KEY, NO_ROLE, NOBODY, SERVICE
from tests.authz.table import Form, Upload, Way
from tests.support.marks import own_marks
from tests.support.patience import UNHURRIED

URL = "https://imprimatur.example"
COOKIE = "__Host-imprimatur-session"
OURS = {"origin": URL, "sec-fetch-site": "same-origin"}


class Bed:
    """Callers and their credentials."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._headers: dict[str, dict[str, str]] = {}

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    async def headers(self, caller: str) -> dict[str, str]:
        """What this caller sends with each request."""
        if caller == NOBODY:
            return {}
        if caller not in self._headers:
            make = {KEY: self._key, SERVICE: self._service, Role.BREAK_GLASS.value: self._emergency}.get(caller)
            self._headers[caller] = await (self.sign_in(caller, caller) if make is None else make())
        return self._headers[caller]

    async def sign_in(self, name: str, role: str) -> dict[str, str]:
        """A fresh session of somebody in the group of that role, second factor and all."""
        groups = () if role == NO_ROLE else (role,)
        services, id = self.services, SessionId()
        settings, clock = services.settings.identity, services.clock
        roles = RoleMap(settings.roles)
        described = Described(display_name=name, groups=groups)
        actor = ActorId("company|" + re.sub("[^a-z]", "-", name))
        async with services.database.transaction() as tx:
            person = await People(services.database, roles, clock).seen(tx, actor, described)
            mfa = Mfa(at=clock(), amr=("pwd", "otp"))
            await Sessions(services.database, settings, roles, clock).start(tx, id, person, mfa)
        cookie = {"cookie": f"{COOKIE}={id.secret}"}
        async with self.client() as client:
            return await self._proven(client, cookie)

    async def _proven(self, client: httpx.AsyncClient, cookie: dict[str, str]) -> dict[str, str]:
        """With what shows that a page of ours sent it."""
        token = (await client.get("/v1/session", headers=cookie)).raise_for_status().json()["csrf_token"]
        return {**cookie, "x-csrf-token": token, **OURS}

    async def _key(self) -> dict[str, str]:
        owner = await self.sign_in("owner of a key", Role.EMPLOYEE.value)
        asked = {"name": "script", "scopes": sorted(GRANTABLE), "days": 1}
        async with self.client() as client:
            made = (await client.post("/v1/keys", json=asked, headers=owner)).raise_for_status().json()
        return {"authorization": f"Bearer {made['key']}"}

    async def _service(self) -> dict[str, str]:
        """A service that one administrator proposed and another agreed to, and so its key."""
        one, other = [await self.sign_in(name, Role.ADMIN.value) for name in ("first admin", "second admin")]
        await self.sign_in("answers for it", Role.EMPLOYEE.value)
        scopes = sorted(SERVICE_SCOPES)
        account = {"name": "robot", "owner": "company|answers-for-it", "description": "draws", "scopes": scopes}
        accounts = "/v1/organization/service_accounts"
        async with self.client() as client:
            for path, asked in (
                (accounts, account),
                (f"{accounts}/robot/api_keys", {"name": "key", "scopes": scopes, "days": 1}),
            ):
                answer = await client.post(path, json=asked | {"note": "to try each way in"}, headers=one)
                assert answer.status_code == 202, answer.text
                proposal = answer.json()
                agreed = {"digest": proposal["digest"]}
                path = f"/v1/organization/proposals/{proposal['id']}/approve"
                (await client.post(path, json=agreed, headers=other)).raise_for_status()
            made = await client.post(f"{accounts}/api_keys/{proposal['id']}/collect", headers=one)
        return {"authorization": f"Bearer {made.raise_for_status().json()['value']}"}

    async def _emergency(self) -> dict[str, str]:
        """Two people with an envelope each, in two browsers."""
        desk, log = self.services.identity.emergency, self.services.audit
        sealed = [await desk.seals.make(name, name, by="root") for name in ("north", "south")]
        await EmergencyWatch(desk, log).look()
        async with self.client() as one, self.client() as other:
            for browser, seal in ((one, sealed[0]), (other, sealed[1])):
                await browser.get("/auth/emergency")
                secret = base64.b32decode(parse_qs(urlsplit(seal.totp_uri).query)["secret"][0])
                password = totp(secret, int(self.services.clock().timestamp()) // 30)
                shown = {"seal": seal.name, "code": seal.code, "password": password, "reason": "to try each way in"}
                await self._send(browser, "", shown)
            await self._send(other, "/agree", {})
            await self._send(one, "/enter", {})
            cookie = {"cookie": f"{COOKIE}={one.cookies[COOKIE]}"}
            return await self._proven(one, cookie)

    async def _send(self, browser: httpx.AsyncClient, act: str, fields: dict[str, str]) -> None:
        desk = self.services.identity.emergency
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        form = {"csrf_token": desk.csrf_token(desk.ticket(cookie)), **fields}
        answer = await browser.post(f"/auth/emergency{act}", data=form, headers=OURS)
        assert answer.status_code == 303, answer.text

    async def knock(self, method: str, path: str, way: Way, caller: str) -> httpx.Response:
        """Send the request that the table names."""
        for name, value in way.values.items():
            path = path.replace("{" + name + "}", value)
        headers = {"accept": "application/json", **await self.headers(caller)}
        if way.ends_session and "cookie" in headers:
            self._headers.pop(caller, None)
        async with self.client() as client:
            if isinstance(way.body, Form):
                return await client.request(method, path, data=dict(way.body.fields), headers=headers)
            if isinstance(way.body, Upload):
                files = {way.body.name: ("picture.png", _picture(), "image/png")}
                return await client.request(method, path, data=dict(way.body.fields), files=files, headers=headers)
            if way.body is not None:
                return await client.request(method, path, json=way.body, headers=headers)
            return await client.request(method, path, headers=headers)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=URL, transport=httpx.ASGITransport(self.app), trust_env=False, timeout=30)


def _picture() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (128, 128), "red").save(data, "PNG")
    return data.getvalue()


@asynccontextmanager
async def open_bed(
    state: Path, policy: Mapping[str, Any] | None = None, *, database_url: str = "", records_url: Path | None = None
) -> AsyncIterator[Bed]:
    """The gateway with everything under `state`; its provider and image server are not there, and not needed. `policy`
    are settings of that section. A gateway that shares its database with another one is given its URL, and a file with
    that of the log's, where that is in PostgreSQL too."""
    secrets = {}
    for name in ("identity", "screening", "model-server"):
        secrets[name] = state / f"{name}.key"
        secrets[name].write_bytes(name.encode() * 8)
    settings = Settings(
        database_url=database_url or f"sqlite+aiosqlite:///{state / 'gateway.sqlite'}",
        pictures_path=state / "pictures",
        server={"public_url": URL},
        policy={**UNHURRIED["policy"], **(policy or {})},
        identity={
            "providers": [{"name": "company", "issuer": "http://127.0.0.1:9", "client_id": "imprimatur"}],
            # One group a role. A service and an emergency are nobody's group, and must open nothing as one.
            "roles": {role.value: (role,) for role in Role if role not in (Role.SERVICE, Role.BREAK_GLASS)},
            "secret_path": secrets["identity"],
            "throttle": {"refusals_per_minute": 100_000, "network_per_minute": 100_000, "account_refusals": 100_000},
        },
        screening={"secret_path": secrets["screening"], **UNHURRIED["screening"]},
        provenance=own_marks(state),
        upstream={"url": "http://127.0.0.1:9", "secret_path": secrets["model-server"]},
        audit={
            "directory": state / "audit",
            "database_url_path": records_url,
            "kek_path": state / "kek.key",
            "signing_key_path": state / "signing.key",
            "witness_path": state / "witness.txt",
            "create_keys": True,
        },
    )
    database = Database(settings.database_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await database.aclose()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Bed(app)
