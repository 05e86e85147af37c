"""The retention clock: what is readable until when, what goes next, and receipts of what went."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from audit import Health, read_receipts
from gateway.api.access import require
from gateway.services import Services, services_of
from gateway.vocabulary import Permission
from gateway.web.pages import page, wants_json
from gateway.web.words import iso

router = APIRouter(include_in_schema=False)

SHOWN_RECEIPTS: Final = 60
"""A month of days and of one class besides. The file beside the keys has them all."""


@router.get("/retention")
async def retention(request: Request) -> Response:
    """No person and no content stands here; still it needs the auditor's role, like everything about the log."""
    actor = await require(request, Permission.AUDIT_SEARCH)
    services = services_of(request)
    health, receipts = await asyncio.to_thread(_look, services)
    rules = services.keeping.rules()
    if wants_json(request):
        return JSONResponse(
            {
                "classes": dict(rules.classes),
                "groups": dict(rules.groups),
                "oldest_readable_day": health.oldest_readable_day.isoformat() if health.oldest_readable_day else None,
                "next_purge_at": iso(health.next_purge_at) if health.next_purge_at else None,
                "records_past_retention": health.records_past_retention,
                "records_held": health.held_records,
                "clock_trusted": health.retention_clock_trusted,
                "destroyed_list_intact": health.destroyed_list_intact,
                "receipts": receipts,
            }
        )
    now = services.clock()
    age = health.last_purge_age_seconds
    context = {
        "health": health,
        "classes": sorted(rules.classes.items()),
        "groups": sorted(rules.groups.items()),
        "receipts": [receipt | {"day_at": date.fromisoformat(receipt["day"])} for receipt in receipts],
        "last_purge_at": None if age is None else now - timedelta(seconds=age),
        "hours_left": None
        if health.next_purge_at is None
        else int((health.next_purge_at - now).total_seconds() // 3600),
        "now": now,
    }
    return page(request, actor, "retention.html", context)


def _look(services: Services) -> tuple[Health, list[dict[str, Any]]]:
    """Both block: they read the disk. Receipts newest first, the last word on each day and class."""
    log = services.audit
    latest: dict[tuple[str, str | None], dict[str, Any]] = {}
    for receipt in read_receipts(log.store.ring.folder.receipts):
        key = (str(receipt["day"]), receipt.get("class"))
        latest.pop(key, None)
        latest[key] = receipt
    return log.health(), list(latest.values())[: -SHOWN_RECEIPTS - 1 : -1]
