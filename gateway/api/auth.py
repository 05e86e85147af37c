"""Signing in and out, and step-up.

Thin: `identity/` judges, this writes the record and sets the cookies. The order matters and falls closed: a sign-in is
recorded before the session exists; a sign-out ends the sessions first, because a log that can't be written must never
keep a door open.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from gateway.api import arriving
from gateway.api.access import credentials_of, origin_of
from gateway.exchange import Actor
from gateway.identity import Cookie, SignInRefused
from gateway.identity.backchannel import LogoutRefused
from gateway.identity.csrf import FORM_FIELD
from gateway.identity.tokens import MAX_TOKEN_BYTES
from gateway.services import services_of
from gateway.vocabulary import Effect, Event

router = APIRouter()

Text = Annotated[str | None, Query(max_length=2048)]


@router.get("/auth/sign-in")
async def sign_in(request: Request, provider: Text = None, return_to: Text = None) -> Response:
    """Off to the provider. `return_to` counts only as a path of ours."""
    identity = services_of(request).identity
    identity.door.begin(origin_of(request), request.headers.get("cookie"))
    departure = await identity.begin_sign_in(provider, return_to)
    return _redirect(departure.url, departure.cookie)


@router.get("/auth/step-up")
async def step_up(
    request: Request, max_age: Annotated[int, Query(ge=0, le=86_400)] = 300, return_to: Text = None
) -> Response:
    """Off to the provider for a fresh second factor, and back to what the person was doing (RFC 9470)."""
    identity = services_of(request).identity
    departure = await identity.begin_step_up(credentials_of(request), max_age, return_to)
    return _redirect(departure.url, departure.cookie)


@router.get("/auth/callback/{provider}")
async def callback(request: Request, provider: str) -> Response:
    """Back from the provider. Judged, recorded, and only then let in."""
    services, origin = services_of(request), origin_of(request)
    try:
        arrival = await services.identity.identify(provider, _once(request), request.headers.get("cookie"))
        actor = arrival.actor
        await services.record(arrival.event, actor, origin, content=_evidence(actor, provider))
        cookies = await services.identity.admit(arrival, origin)
    except SignInRefused as refusal:
        await services.identity.door.sign_in_refused(origin, refusal.actor)
        await services.record(
            Event.SIGN_IN_REFUSED,
            None,
            origin,
            effect=Effect.DENY.value,
            reasons=[str(reason.code) for reason in refusal.reasons],
            content={"provider": provider if provider in services.identity.providers else "", "actor": refusal.actor},
        )
        raise
    return _redirect(arrival.return_to, *cookies, await arriving.admitted(request, actor))


@router.post("/auth/sign-out")
async def sign_out(request: Request) -> Response:
    """End every session of this person, then the provider's own where it offers that."""
    services, origin = services_of(request), origin_of(request)
    token = (await request.form()).get(FORM_FIELD)
    credentials = credentials_of(request)
    if isinstance(token, str):
        credentials = replace(credentials, csrf_token=token)
    actor = await services.identity.authenticate(credentials, origin, is_leaving=True)
    cookie, elsewhere = await services.identity.sign_out(actor)
    services.screening.forget(actor.id)
    await services.record(Event.SIGN_OUT, actor, origin, content={"credential": actor.credential_id})
    return _redirect(elsewhere or "/signed-out", cookie)


@router.post("/auth/back-channel-logout/{provider}")
async def back_channel_logout(request: Request, provider: str) -> Response:
    """A provider says that somebody signed out there (OpenID Connect Back-Channel Logout 1.0). The sessions end before
    that is recorded; the answer says 200 only when both is done, so that the provider sends it again otherwise."""
    services, origin = services_of(request), origin_of(request)
    token = await _logout_token(request)
    try:
        logging_out = services.identity.back_channel.logging_out(provider, token, origin)
        async with logging_out as out:
            content = {
                "provider": out.provider,
                "actor": out.actor,
                "everywhere": out.is_everywhere,
                "credentials": [one.credential_id for one in out.ended],
            }
            if out.is_everywhere:
                services.screening.forget(out.actor)
            await services.record(Event.SESSION_REVOKE, None, origin, content=content)
    except LogoutRefused as refused:
        await services.identity.door.credential_refused(origin)
        body = {"error": refused.code, "error_description": refused.message}
        return JSONResponse(body, 400, headers={"cache-control": "no-store"})
    return Response(status_code=200, headers={"cache-control": "no-store"})


@router.get("/.well-known/oauth-protected-resource")
async def protected_resource(request: Request) -> JSONResponse:
    """RFC 9728: where a program gets access tokens for us."""
    metadata = services_of(request).identity.protected_resource()
    return JSONResponse(metadata, headers={"cache-control": "public, max-age=3600"})


def _once(request: Request) -> dict[str, str]:
    """The query's parameters, those given twice left out: two readers could take different ones (RFC 6749, 3.1)."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}


async def _logout_token(request: Request) -> str:
    """The form's token; empty for anything but one small form with one of it."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_TOKEN_BYTES + 1024:
            return ""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        return ""
    found = [value for name, value in pairs if name == "logout_token"]
    return found[0] if len(found) == 1 else ""


def _evidence(actor: Actor, provider: str) -> dict[str, Any]:
    return {
        "provider": provider,
        "credential": actor.credential_id,
        "roles": sorted(actor.roles),
        "amr": list(actor.mfa.amr),
        "acr": actor.mfa.acr,
        "mfa_at": actor.mfa.at.isoformat() if actor.mfa.at else None,
    }


def _redirect(address: str, *cookies: Cookie) -> Response:
    # 303: the browser asks with GET whatever it sent here. No-store: an address with a state in it is nobody's cache's.
    response = RedirectResponse(address, 303, headers={"cache-control": "no-store"})
    for cookie in cookies:
        response.set_cookie(
            cookie.name,
            cookie.value,
            max_age=cookie.max_age_seconds,
            path="/",
            secure=cookie.secure,
            httponly=True,
            samesite="lax",
        )
    return response
