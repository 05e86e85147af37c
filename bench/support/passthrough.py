"""The bare pass-through that people write first: FastAPI and httpx, one key compared, nothing governed.

BENCH_UPSTREAM=http://127.0.0.1:PORT BENCH_KEY=... python -m uvicorn bench.support.passthrough:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response

UPSTREAM = os.environ.get("BENCH_UPSTREAM", "") + "/v1/images/generations"
AUTHORIZATION = "Bearer " + os.environ.get("BENCH_KEY", "")
CONNECTIONS = 256


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=_lifespan, openapi_url=None)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/images/generations")
async def generate(request: Request) -> Response:
    if request.headers.get("authorization") != AUTHORIZATION:
        return Response(status_code=401)
    answer = await request.app.state.client.post(
        UPSTREAM, content=await request.body(), headers={"content-type": "application/json"}
    )
    return Response(answer.content, answer.status_code, media_type="application/json")
