"""`GET /v1/organization/audit_logs` and `/v1/organization/data_retention`, in the shapes of OpenAI's admin API.

So that exporters which know that API read this log too, the unmodified SDK among them. Only the admin plane is listed:
what people and systems do to the product, not the pictures. Reading is a search like any other: recorded first, with
its query. Differences that an exporter may notice stand in docs/reference/images-api.md.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.datastructures import QueryParams

from audit import AuditLog, Condition, Query, QueryField, QueryInvalid, RequestRow, Subject
from audit import AuditUnavailable as LogUnavailable
from gateway.api.access import require
from gateway.errors import AuditUnavailable, InvalidRequest
from gateway.keeping import STANDARD, ZERO
from gateway.recording import subject_of
from gateway.services import services_of
from gateway.vocabulary import Event, Permission

router = APIRouter()

OPENAI_TYPES: Final[Mapping[str, str]] = {
    Event.KEY_MINT: "api_key.created",
    Event.KEY_REVOKE: "api_key.deleted",
    Event.SERVICE_CREATE: "service_account.created",
    Event.SERVICE_CHANGE: "service_account.updated",
    Event.SERVICE_DISABLE: "service_account.deleted",
    Event.SIGN_IN: "login.succeeded",
    Event.SIGN_IN_REFUSED: "login.failed",
    Event.SIGN_OUT: "logout.succeeded",
}
"""Events that OpenAI has a name for. Every other event goes by our own."""
_OUR_ACTIONS: Final = {theirs: ours for ours, theirs in OPENAI_TYPES.items()}

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
_PAGE_ROWS: Final = 200
_MAX_PAGES: Final = 20
_SLACK: Final = timedelta(seconds=5)
"""How far two gateways' clocks may differ for `after` to find its place."""


@router.get("/v1/organization/audit_logs")
async def audit_logs(request: Request) -> dict[str, Any]:
    """Admin-plane events, newest first. `after` goes on to older ones, `before` back to newer ones."""
    actor = await require(request, Permission.AUDIT_SEARCH)
    asked = request.query_params
    limit = _limit(asked)
    after, before = asked.get("after") or "", asked.get("before") or ""
    if after and before:
        raise InvalidRequest("Go on from one place: `after` or `before`, not both.", param="before")
    since, until = _times(asked)
    if after:
        place = _time_of(after, "after") + _SLACK
        until = place if until is None else min(until, place)
    if before:
        place = _time_of(before, "before") - _SLACK
        since = place if since is None else max(since, place)
    try:
        query = Query(conditions=_conditions(asked), created_from=since, created_to=until, limit=_PAGE_ROWS)
        rows = _rows(services_of(request).audit, query, subject_of(actor))
        found = await (_newer(rows, before, limit) if before else _older(rows, after, limit + 1))
    except QueryInvalid as error:
        raise InvalidRequest(f"The question can't be read: {error}.", param="query") from error
    except LogUnavailable as error:
        raise AuditUnavailable(
            "Looking at records is itself recorded, and that record can't be written now. Nothing was shown.",
            retry_after_seconds=5,
        ) from error
    page = found[-limit:] if before else found[:limit]
    return {
        "object": "list",
        "data": [event_json(row) for row in page],
        "first_id": page[0].event_id if page else None,
        "last_id": page[-1].event_id if page else None,
        "has_more": len(found) > limit,
    }


async def _rows(log: AuditLog, query: Query, searched_by: Subject) -> AsyncGenerator[RequestRow, None]:
    """What a query finds, a page of the log's at a time, up to a bound: each page is a recorded search."""
    for _ in range(_MAX_PAGES):
        found = await log.search(query, searched_by=searched_by)
        for row in found.rows:
            yield row
        if found.next_cursor is None:
            return
        query = replace(query, cursor=found.next_cursor)


async def _older(rows: AsyncGenerator[RequestRow, None], after: str, most: int) -> list[RequestRow]:
    """The rows that follow `after`, or the first ones. Raises InvalidRequest when it is not among them."""
    found: list[RequestRow] = []
    is_past = not after
    async with aclosing(rows):
        async for row in rows:
            if is_past:
                found.append(row)
            is_past = is_past or row.event_id == after
            if len(found) >= most:
                break
    if not is_past:
        raise InvalidRequest("There is no such event in this list.", param="after")
    return found


async def _newer(rows: AsyncGenerator[RequestRow, None], before: str, limit: int) -> list[RequestRow]:
    """The rows in front of `before`, the nearest last: one more than `limit` where there are more."""
    nearest: deque[RequestRow] = deque(maxlen=limit + 1)
    async with aclosing(rows):
        async for row in rows:
            if row.event_id == before:
                return list(nearest)
            nearest.append(row)
    raise InvalidRequest("There is no such event in this list, or very much came after it.", param="before")


@router.get("/v1/organization/data_retention")
async def data_retention(request: Request) -> dict[str, Any]:
    """What is kept, and for how long."""
    await require(request, Permission.AUDIT_SEARCH)
    rules = services_of(request).keeping.rules()
    kept_by_nobody = set(rules.groups.values()) == {ZERO} and bool(rules.groups)
    return {
        "object": "organization.data_retention",
        "type": "default" if not kept_by_nobody else "zero_data_retention_by_group",
        "retention_days": rules.classes[STANDARD],
        "classes": dict(rules.classes),
        "groups": dict(rules.groups),
        "keyword_index": rules.keyword_index,
    }


def event_json(row: RequestRow) -> dict[str, Any]:
    """One event as OpenAI's audit log object; its person is `None` once nobody can tell any more."""
    kind = OPENAI_TYPES.get(row.action, row.action)
    actor = None
    if row.subject is not None:
        actor = {"type": "session", "session": {"user": {"id": row.subject.actor, "name": row.subject.display}}}
    return {
        "object": "organization.audit_log",
        "id": row.event_id,
        "type": kind,
        "effective_at": int(row.opened_at.timestamp()),
        "actor": actor,
        kind: {"effect": row.effect, "reasons": list(row.reasons), "seqs": list(row.seqs)},
    }


def _limit(asked: QueryParams) -> int:
    text = asked.get("limit") or str(DEFAULT_LIMIT)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidRequest(f"`limit` must be a number from 1 to {MAX_LIMIT}.", param="limit")
    return int(text)


def _many(asked: QueryParams, name: str) -> Sequence[str]:
    """A list as the SDK sends it (`name[]=a&name[]=b`), or plainly repeated."""
    return [value for key in (f"{name}[]", name) for value in asked.getlist(key) if value]


def _conditions(asked: QueryParams) -> list[Condition]:
    found = [Condition(QueryField.ACTION, ("image:",), negated=True)]
    if kinds := _many(asked, "event_types"):
        found.append(Condition(QueryField.ACTION, tuple(dict.fromkeys(_OUR_ACTIONS.get(k, k) for k in kinds))))
    if actors := _many(asked, "actor_ids"):
        found.append(Condition(QueryField.ACTOR, tuple(dict.fromkeys(actors))))
    if targets := _many(asked, "resource_ids"):
        found.append(Condition(QueryField.TARGET, tuple(dict.fromkeys(targets))))
    for name in ("actor_emails", "project_ids"):
        if _many(asked, name):
            raise InvalidRequest(f"Records here hold no {name.replace('_', ' ')}: use `actor_ids`.", param=name)
    return found


def _times(asked: QueryParams) -> tuple[datetime | None, datetime | None]:
    """The half-open stretch of time. Seconds, as OpenAI counts them."""
    bounds: dict[str, int] = {}
    for name in ("gt", "gte", "lt", "lte"):
        text = asked.get(f"effective_at[{name}]")
        if text is None:
            continue
        if not text.isascii() or not text.isdigit() or len(text) > 11:
            raise InvalidRequest("`effective_at` is a time in Unix seconds.", param="effective_at")
        bounds[name] = int(text)
    since = max(
        (n for n in (bounds.get("gte"), bounds["gt"] + 1 if "gt" in bounds else None) if n is not None), default=None
    )
    until = min(
        (n for n in (bounds.get("lt"), bounds["lte"] + 1 if "lte" in bounds else None) if n is not None), default=None
    )
    return _moment(since), _moment(until)


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _time_of(event_id: str, name: str) -> datetime:
    """When an event's id was made (UUID version 7: its first 48 bits)."""
    try:
        value = uuid.UUID(event_id)
    except ValueError:
        raise InvalidRequest(f"`{name}` is the id of an event in this list.", param=name) from None
    if value.version != 7:
        raise InvalidRequest(f"`{name}` is the id of an event in this list.", param=name)
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)
