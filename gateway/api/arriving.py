"""What is done when somebody came in: a browser that nobody knew is told to the person, and known from then on."""

from __future__ import annotations

from fastapi import Request

from gateway.api.access import credentials_of, origin_of
from gateway.exchange import Actor
from gateway.identity import Cookie
from gateway.identity.notices import NoticeKind
from gateway.identity.throttle import network_of
from gateway.services import services_of


async def admitted(request: Request, actor: Actor) -> Cookie:
    """The cookie by which this browser is known."""
    identity, origin, cookie = services_of(request).identity, origin_of(request), credentials_of(request).cookie
    if not identity.door.knows(cookie, actor.id):
        await identity.notices.tell(
            actor.id, NoticeKind.NEW_BROWSER, network=network_of(origin.ip), browser=origin.user_agent[:120]
        )
    return identity.door.remember(cookie, actor.id)
