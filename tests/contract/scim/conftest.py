"""A whole gateway that `alice` signs in to, in front of a model that never answers, provisioned by a directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI

from audit import Query, RequestRow, Subject
from gateway.app import create_app
from gateway.services import Services
from tests.support.directory import PATCH, USER
from tests.support.image_server import ImageServerDouble, stall
from tests.support.issuer import Issuer, running_issuer
from tests.support.scim import TOKEN, database, free_port, gateway_settings, serving_here


@dataclass
class House:
    """The gateway and what stands around it."""

    app: FastAPI
    url: str
    issuer: Issuer
    model: ImageServerDouble

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def client(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30, headers=headers)

    def directory(self) -> httpx.AsyncClient:
        return self.client(authorization=f"Bearer {TOKEN}")

    async def hire(self, name: str) -> str:
        body = {"schemas": [USER], "userName": name, "externalId": name, "active": True}
        async with self.directory() as directory:
            return str((await directory.post("/scim/v2/company/Users", json=body)).raise_for_status().json()["id"])

    async def set_active(self, id: str, is_active: bool) -> httpx.Response:
        operation = {"op": "Replace", "path": "active", "value": str(is_active)}
        async with self.directory() as directory:
            answer = await directory.patch(
                f"/scim/v2/company/Users/{id}", json={"schemas": [PATCH], "Operations": [operation]}
            )
        return answer.raise_for_status()

    async def sign_in(self, browser: httpx.AsyncClient) -> dict[str, str]:
        """Through the issuer and back; returns the headers that an unsafe request needs."""
        away = await browser.get("/auth/sign-in")
        back = urlencode(self.issuer.approve(away.headers["location"]))
        answer = await browser.get(f"/auth/callback/company?{back}")
        assert answer.status_code == 303, answer.text
        token = (await browser.get("/v1/session")).raise_for_status().json()["csrf_token"]
        return {"x-csrf-token": token, "origin": self.url}

    async def rows(self, action: str) -> tuple[RequestRow, ...]:
        page = await self.services.audit.search(Query(action=action), searched_by=Subject(actor="-", display="a test"))
        return page.rows


@pytest.fixture(scope="session")
def listening_issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: Any, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def house(database_url: str, tmp_path: Path, listening_issuer: Issuer) -> AsyncIterator[House]:
    listening_issuer.forget()
    port = free_port()
    async with ImageServerDouble() as model:
        model.behaviour = stall
        settings = gateway_settings(
            tmp_path,
            database_url,
            issuer=listening_issuer.url,
            image_server=model.url,
            public_url=f"http://127.0.0.1:{port}",
        )
        app = create_app(settings)
        async with serving_here(app, port) as url:
            yield House(app, url, listening_issuer, model)
