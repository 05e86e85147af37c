"""What the security team hears of although nobody of them did it: rules that one person put in force, an emergency edit
that ended, a process that does not follow.

Each is on record, or in the log of the process, before anybody is told: a notice that can't be written stops nothing.
"""

from __future__ import annotations

import logging
import socket
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import IdentityUnavailable
from gateway.identity import Identity
from gateway.identity.notices import NoticeKind
from gateway.vocabulary import Role

log = logging.getLogger(__name__)

TOLD: Final = Role.POLICY_APPROVER
"""Whoever agrees to rules hears what came into force without them."""
LAG_SECONDS: Final = 30.0
"""A process that does not follow for longer is told of; two seconds are usual."""


class PolicyAlarm:
    """Tells the people of the security role, on their own pages."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def tell(self, what: str, *, reason: str, by: str = "") -> None:
        """Put it before everybody who may approve rules. Never raises."""
        facts = {"what": what, **({"by": by} if by else {}), "reason": reason}
        try:
            for person in await self._identity.mapping.holders_of(TOLD):
                await self._identity.notices.tell(person.id, NoticeKind.POLICY, **facts)
        except (SQLAlchemyError, OSError, IdentityUnavailable) as error:
            log.error("policy.untold", extra={"fields": {"cause": type(error).__name__}})

    async def lags(self, seconds: float, cause: str) -> None:
        """This process does not run the rules in force."""
        log.critical("policy.lags", extra={"fields": {"seconds": round(seconds), "cause": cause}})
        what = f"{socket.gethostname()} has not run the rules in force for {seconds:.0f} s"
        await self.tell(what, reason=cause or "it does not say why")
