"""What the studio asks for while a person types: credits, and hints on what would be stopped or masked."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import credentials_of, origin_of, require
from gateway.api.bodies import MAX_PROMPT_CHARS
from gateway.services import services_of
from gateway.vocabulary import Permission

router = APIRouter()


class HintsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    text: Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]


@router.get("/v1/session")
async def session(request: Request) -> dict[str, Any]:
    """Who the caller is here, how fresh their second factor is, and the token that a page sends back with each unsafe
    request (empty for keys and access tokens)."""
    services = services_of(request)
    credentials = credentials_of(request)
    actor = await services.identity.authenticate(credentials, origin_of(request))
    return {
        "object": "session",
        "actor": actor.id,
        "name": actor.display_name,
        "department": actor.department,
        "roles": sorted(actor.roles),
        "mfa_age_seconds": actor.mfa.age_seconds(services.clock()),
        "csrf_token": services.identity.csrf_token(credentials),
    }


@router.get("/v1/credits")
async def credits(request: Request) -> dict[str, Any]:
    """What the caller has, and when new ones come."""
    actor = await require(request, Permission.CREDIT_READ)
    balance = await services_of(request).ledger.balance(actor.id)
    return {
        "object": "credits",
        "remaining": balance.available,
        "reserved": balance.reserved,
        "granted": balance.granted,
        "renews_at": balance.renews_at.isoformat(),
    }


@router.post("/v1/screening/hints")
async def hints(request: Request, body: HintsBody) -> dict[str, Any]:
    """The detectors' view of a text that was not sent. Nothing is recorded: a keystroke is not an act."""
    actor = await require(request, Permission.SCREENING_ASK)
    services = services_of(request)
    services.hint_rate.take(actor.id)
    found = await services.screening.hints(body.text)
    return {
        "findings": [
            {
                "type": f.type,
                "start": f.start,
                "end": f.end,
                "effect": f.proposed,
                "message": f.message,
                "replacement": f.replacement,
            }
            for f in found
        ]
    }
