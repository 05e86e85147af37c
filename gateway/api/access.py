"""Who may open a route that is not an image request: the same credentials, the same policy engine, no shortcut."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from fastapi import Request

from gateway.errors import Denied, Unauthenticated
from gateway.exchange import Actor, Credentials, Origin, RequestId
from gateway.obedience import obey
from gateway.policy import build_admin_input
from gateway.services import services_of
from gateway.vocabulary import Permission


def credentials_of(request: Request) -> Credentials:
    """What the request brought, and what shows that one of our own pages sent it."""
    return Credentials(
        authorization=request.headers.get("authorization"),
        # HTTP/2 lets a client split its cookies over several headers (RFC 9113, 8.2.3): judge all of them.
        cookie="; ".join(request.headers.getlist("cookie")) or None,
        # A page's form can't set headers: the route that reads it first puts the form's token here.
        csrf_token=request.headers.get("x-csrf-token") or getattr(request.state, "csrf_token", None),
        method=request.method,
        site_origin=request.headers.get("origin"),
        fetch_site=request.headers.get("sec-fetch-site"),
    )


def origin_of(request: Request) -> Origin:
    """Where it came from. X-Forwarded-For is believed from our own proxies only, and read from the right: what stands
    further left was written by whoever sent it."""
    networks = [ipaddress.ip_network(n) for n in services_of(request).settings.server.trusted_proxies]
    ip = request.client.host if request.client else ""
    hops = [h.strip() for h in request.headers.get("x-forwarded-for", "").split(",") if h.strip()]
    while hops and _is_in(ip, networks):
        ip = hops.pop()
    user_agent = request.headers.get("user-agent", "")[:256]
    return Origin(ip=ip, user_agent=user_agent, client=user_agent.split("/")[0][:32])


def request_id_of(request: Request) -> RequestId:
    """The id this request answers under."""
    return RequestId(request.scope["state"]["request_id"])


def name_request(request: Request, request_id: RequestId) -> None:
    """From now on this request answers under the id of its record."""
    request.scope["state"]["request_id"] = request_id


async def current(request: Request) -> Actor | None:
    """Who is asking, or None. For pages that everybody may see."""
    try:
        return await services_of(request).identity.authenticate(credentials_of(request), origin_of(request))
    except Unauthenticated:
        return None


async def require(request: Request, permission: Permission) -> Actor:
    """The actor, when policy lets them do `permission` now. Raises Unauthenticated, StepUpRequired, Denied,
    PolicyUnavailable."""
    services = services_of(request)
    origin = origin_of(request)
    actor = await services.identity.authenticate(credentials_of(request), origin)
    request.state.actor = actor  # a page that says no may still show to whom
    policy_input = build_admin_input(
        request_id=request_id_of(request), now=services.clock(), actor=actor, action=permission, origin=origin
    )
    obey(await services.policy.decide_admin(policy_input), "request")
    return actor


async def require_any(request: Request, permissions: Iterable[Permission]) -> Actor:
    """The same for any one of several. Raises what the last of them does."""
    last: Denied | None = None
    for permission in permissions:
        try:
            return await require(request, permission)
        except Denied as error:
            last = error
    raise last or AssertionError("unreachable: there is at least one permission")


def _is_in(ip: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in networks)
