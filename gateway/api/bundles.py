"""`/bundles/NAME.tar.gz` and `/status`: OPA's bundle and status APIs, for the servers that decide by our rules.

https://www.openpolicyagent.org/docs/management-bundles#bundle-service-api. Nothing here reads a cookie or a key of
ours: the servers have a token of their own, and it opens these two addresses only.
"""

from __future__ import annotations

import json
import re
from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api.access import origin_of
from gateway.errors import ImprimaturError, InvalidRequest, NotFound, PayloadTooLarge, Unauthenticated
from gateway.exchange import ActorId
from gateway.policy.desk import BundleDesk
from gateway.policy.tarball import MEDIA_TYPE
from gateway.services import services_of

router = APIRouter()

LONG_POLL_TYPE: Final = "application/vnd.openpolicyagent.bundles"
"""By this type of an answer an OPA server learns that it may ask for a long poll."""
MAX_REPORT_BYTES: Final = 256 << 10
_WAIT: Final = re.compile(r"(?:^|[;,\s])wait=(\d{1,6})(?:$|[;,\s])")
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


@router.get("/bundles/{name}.tar.gz", include_in_schema=False)
async def bundle(request: Request, name: str) -> Response:
    """The rules in force, signed. 304 while the server has them already (RFC 9110, 13.1.2), after `wait` seconds when
    it asked for a long poll (`Prefer: modes=snapshot,delta;wait=60`, RFC 7240, 4.3)."""
    desk = _desk(request)
    if name != desk.name:
        raise _counted(request, "unknown", NotFound("There is no bundle of this name."))
    prefer = ",".join(request.headers.getlist("prefer"))
    wait = _WAIT.search(prefer)
    current = desk.publisher.current
    # Compared as weak tags, which is what If-None-Match asks for.
    has = {_weak(tag) for tag in _TAG.findall(request.headers.get("if-none-match", ""))}
    found = current
    if current is not None and current.etag in has:
        found = await desk.publisher.other_than(current.etag, float(wait[1]) if wait else 0.0)
    if current is None:
        raise _counted(request, "none", NotFound("There is no bundle yet."))
    # Snapshots only: a server that takes deltas as well takes these (the same page, "delta bundles").
    headers = {
        "etag": (found or current).etag,
        "content-type": LONG_POLL_TYPE if wait else MEDIA_TYPE,
        "cache-control": "private, no-cache",
    }
    services_of(request).metrics.bundle_requests.labels("unchanged" if found is None else "sent").inc()
    if found is None:
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers)


@router.post("/status", include_in_schema=False)
@router.post("/status/{partition}", include_in_schema=False)
async def status(request: Request, partition: str = "") -> Response:
    """A server tells which revision it runs and what went wrong. `partition` is OPA's own name for it; the report has
    its id."""
    desk = _desk(request)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_REPORT_BYTES:
            raise _counted(request, "bad-report", PayloadTooLarge(f"A report of more than {MAX_REPORT_BYTES} bytes."))
    try:
        desk.fleet.report(json.loads(body))
    except (ValueError, RecursionError) as error:
        told = (
            "no JSON" if isinstance(error, json.JSONDecodeError | RecursionError | UnicodeDecodeError) else str(error)
        )
        raise _counted(request, "bad-report", InvalidRequest(f"This is no status report of OPA: {told}.")) from None
    services_of(request).metrics.bundle_requests.labels("report").inc()
    return Response(status_code=204)


def _desk(request: Request) -> BundleDesk:
    """The desk, for whoever holds its token. Raises NotFound where no bundles are served, RateLimited, and
    Unauthenticated."""
    services = services_of(request)
    desk = services.bundles
    if desk is None:
        raise NotFound("No bundles are served here.")
    # Counted before the token is looked at: guessing is limited too.
    services.bundle_rate.take(ActorId(f"opa|{origin_of(request).ip}"))
    if not desk.is_let_in(request.headers.get("authorization")):
        raise _counted(
            request, "refused", Unauthenticated("This is for OPA servers, with the token that they were given.")
        )
    return desk


def _counted(request: Request, outcome: str, error: ImprimaturError) -> ImprimaturError:
    services_of(request).metrics.bundle_requests.labels(outcome).inc()
    return error


def _weak(tag: str) -> str:
    return tag if tag.startswith("W/") else f"W/{tag}"
