"""For operators and their probes: alive, ready, and the numbers."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gateway.services import Services, services_of

router = APIRouter()

FOLLOWS_SECONDS = 2.0
"""A process is given this long to take changed rules."""


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers. Nothing else is asked: a probe that restarts a gateway because its database is down helps
    nobody."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Whether this gateway can do its work; names each part that it would get stuck at.

    The image server is told and does not count: without it requests still get their recorded answer, people their
    pages and auditors their log, and a Service that took the gateway away would take all of that too.
    """
    services = services_of(request)
    parts: dict[str, Any] = {}
    try:
        await services.database.ping()
        parts["database"] = "ok"
    except Exception as error:
        parts["database"] = type(error).__name__
    audit = await asyncio.to_thread(services.audit.health)
    parts["audit"] = "ok" if audit.writable else "refusing intents"
    parts["policy"] = "ok" if await services.policy.ready() else "no rules in force"
    ready = all(state == "ok" for state in parts.values())
    # Told, not counted: the rules of before decide, whole, and taking every such gateway away would be worse.
    parts["policy_in_force"] = _standing(services)
    parts["model_server"] = "ok" if await services.server.ready() else "not reachable"
    body = {"status": "ready" if ready else "not ready", "parts": parts, "policy_revision": services.policy.revision}
    return JSONResponse(body, 200 if ready else 503)


def _standing(services: Services) -> str:
    if services.policy_desk is None:
        return "ok"
    seconds, cause = services.policy_desk.follower.behind()
    return f"behind for {seconds:.0f} s: {cause or 'it follows'}" if seconds > FOLLOWS_SECONDS else "ok"


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    services = services_of(request)
    health = await asyncio.to_thread(services.audit.health)
    services.metrics.show_audit(health)
    for name, witness in services.audit.witness_figures().items():
        services.metrics.show_witness(name, witness.waiting_seconds)
    if services.policy_desk is not None:
        services.metrics.show_policy(behind_seconds=services.policy_desk.follower.behind()[0])
    if services.bundles is not None:
        fleet = services.bundles.fleet
        services.metrics.show_opa_servers(fleet.figures(), fleet.longest_lag_seconds())
    journal, shadow = services.replaying.journal, services.replaying.shadows.current
    services.metrics.show_replays(
        left_out=journal.left_out, lost=journal.lost, shadow={} if shadow is None else shadow.figures()
    )
    for feed in services.feeds:
        figures = await feed.figures()
        lag = figures.lag_records if figures else 0
        services.metrics.show_feed(feed.consumer, lag_records=lag, is_parked=bool(feed.parked_reason))
    return Response(services.metrics.render(), media_type=services.metrics.content_type)
