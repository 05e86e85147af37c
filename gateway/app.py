"""`create_app`: the web application and its lifespan. Nothing else."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from fastapi import FastAPI

from audit import AuditError
from gateway import __version__, problems, web
from gateway.api import (
    access_review,
    auth,
    bundles,
    emergency,
    health,
    images,
    keys,
    mapping,
    models,
    moderations,
    organization,
    people_admin,
    pictures,
    policies,
    policy_force,
    policy_forms,
    proposals,
    provenance,
    replays,
    scim,
    services,
    studio,
)
from gateway.api.edge import Edge
from gateway.errors import ImprimaturError
from gateway.observe.metrics import Metrics
from gateway.policy.bundle import BundleRefused
from gateway.settings import Settings
from gateway.wiring import open_services

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The gateway as an ASGI app. Opens its parts when the server starts it, closes them when it stops."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                app.state.services = await stack.enter_async_context(open_services(settings, metrics))
            except (AuditError, BundleRefused, ImprimaturError, OSError, ValueError) as error:
                # These say what is wrong with files and settings, and hold nothing that a request brought.
                log.critical("gateway.cannot-start", extra={"error": type(error).__name__, "cause": str(error)})
                raise
            yield

    app = FastAPI(
        title="Imprimatur",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # Swagger's page loads scripts from a CDN, which our policy forbids
        redoc_url=None,
    )
    around = problems.Surroundings(
        page=web.problem_page,
        keep_form=web.keep_form,
        metadata_url=f"{settings.server.public_url.rstrip('/')}/.well-known/oauth-protected-resource",
        acr_values=" ".join(dict.fromkeys(p.acr_values for p in settings.identity.providers if p.acr_values)),
    )
    problems.install(app, around)
    for part in (
        images,
        pictures,
        models,
        moderations,
        provenance,
        studio,
        auth,
        keys,
        organization,
        services,
        mapping,
        proposals,
        policies,
        policy_force,
        policy_forms,
        people_admin,
        access_review,
        emergency,
        scim,
        bundles,
        replays,
        health,
    ):
        app.include_router(part.router)
    app.include_router(web.router())
    web.mount_static(app)
    app.add_middleware(
        Edge,
        metrics=metrics,
        csp=content_security_policy(settings),
        max_body_bytes=settings.server.max_body_bytes,
        max_in_flight=settings.server.max_in_flight,
        hsts=settings.server.public_url.startswith("https://"),
    )
    return app


def content_security_policy(settings: Settings) -> str:
    """One policy for every answer, without any `unsafe-`. `blob:` and `data:` are for pictures that a script received
    as bytes; the provider's origin is a form target because signing out posts there through a redirect."""
    issuers = sorted({"{0.scheme}://{0.netloc}".format(urlsplit(p.issuer)) for p in settings.identity.providers})
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            " ".join(("form-action 'self'", *issuers)),
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
