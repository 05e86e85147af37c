"""What an orchestrator and a scraper ask: alive, ready, metrics. There is nothing of anyone's in the answers."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request

from model_server.engine.engine import Engine
from model_server.errors import InvalidRequest, NotAllowed, NotFound, ServiceError, Unavailable
from model_server.observe import Metrics

PROBE_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


def bare_app() -> FastAPI:
    """An application without the framework's own pages."""
    return FastAPI(title="model server", openapi_url=None, docs_url=None, redoc_url=None)


def create_probes(engine: Engine, metrics: Metrics) -> FastAPI:
    """The probes alone, for a port of their own."""
    app = bare_app()
    add_probes(app, engine, metrics)
    add_errors(app, metrics)
    return app


def add_probes(app: FastAPI, engine: Engine, metrics: Metrics) -> None:
    """Answer `PROBE_PATHS`."""

    @app.get("/healthz")
    async def healthz() -> Response:
        if not engine.is_alive:  # the device's thread is gone: only a restart helps
            raise Unavailable("The engine has stopped.")
        return JSONResponse({"status": "alive"})

    @app.get("/readyz")
    async def readyz() -> Response:
        if not engine.is_ready:
            raise Unavailable("The model is not ready.")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics")
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


def add_errors(app: FastAPI, metrics: Metrics) -> None:
    """Give every refusal the one shape."""

    @app.exception_handler(ServiceError)
    async def on_service_error(_request: Request, error: ServiceError) -> Response:
        return error_response(error, metrics)

    @app.exception_handler(HTTPException)
    async def on_http_error(_request: Request, error: HTTPException) -> Response:
        known = {404: NotFound("There is nothing at this address."), 405: NotAllowed("Not with this method.")}
        return error_response(known.get(error.status_code, InvalidRequest("The request is malformed.")), metrics)


def error_response(error: ServiceError, metrics: Metrics) -> Response:
    """The answer that says what went wrong."""
    metrics.refusals.labels(error.code).inc()
    return JSONResponse(error.envelope.model_dump(), error.status, headers=error.headers)
