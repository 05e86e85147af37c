"""Break-glass over HTTP: forms of the emergency page (`gateway/web/emergency.py` draws it).

No session and no provider is needed here; what opens is a sealed code with its one-time password, twice, from two
browsers. Each step is on record before it is stored. Wrong codes are told apart from nothing, slowed down for the
network that sends them and for no other: whoever has the right ones always passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api.access import credentials_of, origin_of
from gateway.errors import AuditUnavailable, Denied, InvalidRequest, PayloadTooLarge
from gateway.exchange import Reason
from gateway.identity.cookies import Cookie
from gateway.identity.csrf import FORM_FIELD
from gateway.identity.emergency import Ticket, emergency_of
from gateway.identity.seals import Seal
from gateway.services import services_of
from gateway.vocabulary import Code, Effect, Event, Role, Severity

router = APIRouter()

PAGE: Final = "/auth/emergency"
MAX_FORM_BYTES: Final = 8 * 1024

SAYS: Final[Mapping[str, str]] = {
    "wrong": "The seal, its code or its one-time password is not right. Nothing was opened.",
    "used-step": "This one-time password was used already. Wait for the next one, at most half a minute.",
    "spent": "This seal was opened before and opens nothing any more. It has to be sealed anew, on the host.",
    "unrecorded": "This seal is not in the audit log yet, so it opens nothing. Try again in a few seconds.",
}


@router.post(PAGE)
async def ask(request: Request) -> Response:
    """The first person asks, or the second shows their seal."""
    form, ticket = await _form(request)
    services, origin = services_of(request), origin_of(request)
    emergency = services.identity.emergency
    seal = await _judged(request, form)
    waiting = await emergency.waiting()
    if waiting is not None and waiting.asked_by != seal.name:
        emergency.check_second(waiting, seal, ticket)
        return _back(emergency.give(waiting, seal))
    asked = emergency.draft(seal, form.get("reason", ""))
    content = {
        "emergency": asked.id,
        "seal": seal.name,
        "holder": seal.holder,
        "reason": asked.reason,
        "until": emergency.until(asked).isoformat(),
    }
    await services.record(Event.EMERGENCY_ASK, emergency.actor(asked.id, seal.name), origin, content=content)
    await emergency.ask(asked)
    return _back(emergency.give(asked, seal))


@router.post(f"{PAGE}/agree")
async def agree(request: Request) -> Response:
    """The second person has read why, and opens it."""
    _, ticket = await _form(request)
    services, origin = services_of(request), origin_of(request)
    emergency = services.identity.emergency
    admission = await emergency.agreeing(_held(ticket))
    opened = admission.emergency
    content: dict[str, Any] = {
        "emergency": opened.id,
        "seals": [opened.asked_by, opened.agreed_by],
        "reason": opened.reason,
        "ends_at": "" if opened.ends_at is None else opened.ends_at.isoformat(),
        "credential": admission.actor.credential_id,
    }
    await services.record(Event.EMERGENCY_OPEN, admission.actor, origin, content=content)
    admins = [person.id for person in await services.identity.mapping.holders_of(Role.ADMIN)]
    try:
        session = await emergency.open(admission, admins, origin)
    except InvalidRequest:  # the record must not claim what did not happen
        await services.record(Event.EMERGENCY_OPEN, admission.actor, origin, effect="failed", content=content)
        raise
    return _back(session, emergency.take_back(), to="/")


@router.post(f"{PAGE}/enter")
async def enter(request: Request) -> Response:
    """The first person comes in, once the second has agreed."""
    _, ticket = await _form(request)
    services, origin = services_of(request), origin_of(request)
    emergency = services.identity.emergency
    admission = await emergency.entering(_held(ticket))
    content = {"emergency": admission.emergency.id, "credential": admission.actor.credential_id}
    await services.record(Event.SIGN_IN, admission.actor, origin, content=content)
    return _back(await emergency.enter(admission, origin), emergency.take_back(), to="/")


@router.post(f"{PAGE}/drill")
async def drill(request: Request) -> Response:
    """Show that a seal works. Opens nothing, spends nothing but the one-time password."""
    form, _ = await _form(request)
    services = services_of(request)
    emergency = services.identity.emergency
    seal = await _judged(request, form)
    actor = emergency.actor("drill", seal.name)
    content = {"seal": seal.name, "holder": seal.holder}
    await services.record(Event.EMERGENCY_DRILL, actor, origin_of(request), content=content)
    await emergency.drill(seal)
    return RedirectResponse(f"{PAGE}?drilled={seal.name}", 303, headers={"cache-control": "no-store"})


@router.post(f"{PAGE}/end")
async def end(request: Request) -> Response:
    """Whoever is in an emergency ends it, for both. Ended before it is recorded; if that fails, the watch does it."""
    form = await read_small_form(request)
    services, origin = services_of(request), origin_of(request)
    credentials = replace(credentials_of(request), csrf_token=form.get(FORM_FIELD))
    actor = await services.identity.authenticate(credentials, origin, is_leaving=True)
    id = emergency_of(actor)
    if id is None:
        raise Denied("You are in no emergency.", code="emergency_refused")
    emergency = services.identity.emergency
    if await emergency.end(id):
        try:
            await services.record(Event.EMERGENCY_END, actor, origin, content={"emergency": id})
        except AuditUnavailable:
            await emergency.unrecord_end(id)
            raise
    return _back(emergency.forget_session(), to="/signed-out")


async def read_small_form(request: Request) -> dict[str, str]:
    """The fields of a small form. Raises PayloadTooLarge, InvalidRequest."""
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_FORM_BYTES:
            raise PayloadTooLarge("The form is too long.")
    try:
        return dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=12))
    except ValueError as error:
        raise InvalidRequest("The form has too many fields.") from error


async def _form(request: Request) -> tuple[dict[str, str], Ticket | None]:
    """What one of our own pages sent, and what this browser holds. Raises Denied."""
    form = await read_small_form(request)
    emergency = services_of(request).identity.emergency
    credentials = replace(credentials_of(request), csrf_token=form.pop(FORM_FIELD, None))
    ticket = emergency.ticket(credentials.cookie)
    emergency.check_ours(credentials, ticket)
    return form, ticket


def _held(ticket: Ticket | None) -> Ticket:
    if ticket is None:
        raise Denied("Show your seal first, on the emergency page.", code="emergency_refused")
    return ticket


async def _judged(request: Request, form: Mapping[str, str]) -> Seal:
    """The seal of the form. Raises Denied, or RateLimited when too many from there were wrong."""
    services, origin = services_of(request), origin_of(request)
    seals = services.identity.emergency.seals
    name = form.get("seal", "").strip().lower()
    found = await seals.judge(name, form.get("code", ""), form.get("password", ""))
    if isinstance(found, Seal):
        return found
    fault, seal = found
    times = 1 if seal is not None else seals.refusals.count(services.clock())
    if times:
        await services.record(
            Event.EMERGENCY_REFUSED,
            None,
            origin,
            effect=Effect.DENY,
            reasons=[Code.SUBJECT_SIGN_IN_INVALID],
            content={"fault": fault, "seal": "" if seal is None else seal.name, "times": times},
        )
    if seal is None:
        known = name in {one.name for one in await seals.list()}
        await services.identity.door.sign_in_refused(origin, f"emergency|{name}" if known else "emergency|")
    message = SAYS[fault]
    reason = Reason(code=Code.SUBJECT_SIGN_IN_INVALID, message=message, severity=Severity.MEDIUM)
    raise Denied(message, code="emergency_refused", reasons=[reason])


def _back(*set_cookies: Cookie, to: str = PAGE) -> Response:
    response = RedirectResponse(to, 303, headers={"cache-control": "no-store"})
    for cookie in set_cookies:
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
