"""Events about who was turned away with something real in hand: a key that is over, a session's cookie.

What anybody on the network can send without either is counted and not recorded: it would let them write into the log
without end. The same holds here in small, so a key and its fault are told once an hour, and forms of other sites once a
minute, with how many there were. The refusal stands whether or not its event could be written.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from audit import JSON, AuditError, AuditLog, Entry, Subject
from gateway.exchange import Credentials, Origin
from gateway.identity.api_keys import FoundKey
from gateway.identity.authenticate import KeyFault, ServiceToken
from gateway.identity.sessions import Session
from gateway.identity.throttle import Wait, network_of
from gateway.vocabulary import Code, Effect, Event

log = logging.getLogger(__name__)

KEY_EVERY: Final = timedelta(hours=1)
FORM_EVERY: Final = timedelta(minutes=1)
REMEMBERED_KEYS: Final = 10_000

CODES: Final[dict[KeyFault, Code]] = {
    "key-revoked": Code.SUBJECT_KEY_REVOKED,
    "key-expired": Code.SUBJECT_KEY_EXPIRED,
    "owner-suspended": Code.SUBJECT_SUSPENDED,
    "owner-not-seen": Code.SUBJECT_NOT_SEEN,
    "service-disabled": Code.SUBJECT_SUSPENDED,
    "service-orphaned": Code.SUBJECT_SUSPENDED,
    "network-not-of-key": Code.NETWORK_NOT_OF_KEY,
}
_UNKNOWN: Final = Subject(actor="-", display="not signed in")


class TurnedAway:
    """Tells the log. Touched by the event loop's thread only."""

    def __init__(self, audit: AuditLog, clock: Callable[[], datetime]) -> None:
        self._audit = audit
        self._clock = clock
        self._told: OrderedDict[tuple[str, KeyFault], datetime] = OrderedDict()
        self._form_told: datetime | None = None
        self._forms = 0
        self._logout_told: datetime | None = None
        self._logouts = 0

    async def key(self, fault: KeyFault, found: FoundKey | ServiceToken, origin: Origin) -> None:
        """A key that is over, or not for this network, was used; or a service's token was. `found.owner` is whose it
        is, which need not be who is here."""
        # Each of a service's tokens is another: what is told once an hour is the service.
        name = found.info.id if isinstance(found, FoundKey) else found.owner.id
        now, asked = self._clock(), (name, fault)
        if (told := self._told.get(asked)) is not None and now - told < KEY_EVERY:
            return
        self._told[asked] = now
        self._told.move_to_end(asked)
        if len(self._told) > REMEMBERED_KEYS:
            self._told.popitem(last=False)
        owner = found.owner
        subject = Subject(actor=owner.id, display=owner.display_name, department=owner.department, groups=owner.groups)
        content: dict[str, JSON] = {"fault": fault, "ip": origin.ip, "user_agent": origin.user_agent}
        if isinstance(found, FoundKey):
            content["key"] = found.info.id
        index = {"network": (origin.ip,), "credential": (found.credential_id,)}
        entry = Entry(
            action=Event.KEY_REFUSED.value,
            subject=subject,
            effect=Effect.DENY.value,
            reasons=(CODES[fault].value,),
            content=content,
            index=index,
        )
        if not await self._note(entry):
            del self._told[asked]

    async def form(self, credentials: Credentials, origin: Origin) -> None:
        """A request with a session's cookie that no page of ours sent. Whose session is not asked: the answer must not
        depend on whether it is good."""
        now = self._clock()
        self._forms += 1
        if self._form_told is not None and now - self._form_told < FORM_EVERY:
            return
        number, self._forms, self._form_told = self._forms, 0, now
        content: dict[str, JSON] = {
            "times": number,
            "sent_from": (credentials.site_origin or "")[:256],
            "fetch_site": (credentials.fetch_site or "")[:32],
            "ip": origin.ip,
            "user_agent": origin.user_agent,
        }
        entry = Entry(
            action=Event.FORM_REFUSED.value,
            subject=_UNKNOWN,
            effect=Effect.DENY.value,
            reasons=(Code.REQUEST_FOREIGN_FORM.value,),
            content=content,
            index={"network": (origin.ip,)},
        )
        if not await self._note(entry):
            self._forms += number

    async def wait(self, wait: Wait, origin: Origin, account: str) -> None:
        """Too many attempts from a network, or about an account from there: told when the wait begins."""
        entry = Entry(
            action=Event.SIGN_IN_THROTTLE.value,
            subject=_UNKNOWN,
            effect=Effect.DENY.value,
            reasons=(Code.SUBJECT_THROTTLED.value,),
            content={
                "network": network_of(origin.ip),
                "account": account,
                "seconds": round(wait.seconds),
                "ip": origin.ip,
                "user_agent": origin.user_agent,
            },
            index={"network": (origin.ip,)},
        )
        await self._note(entry)

    async def lapse(self, session: Session, cause: str, origin: Origin) -> None:
        """A session ended because its provider, asked again, does not vouch for its person any more."""
        person = session.person
        subject = Subject(
            actor=person.id, display=person.display_name, department=person.department, groups=person.groups
        )
        entry = Entry(
            action=Event.SESSION_LAPSE.value,
            subject=subject,
            effect=Effect.DENY.value,
            reasons=(Code.SUBJECT_LAPSED.value,),
            content={
                "credential": session.credential_id,
                "cause": cause,
                "ip": origin.ip,
                "user_agent": origin.user_agent,
            },
            index={"network": (origin.ip,), "credential": (session.credential_id,)},
        )
        await self._note(entry)

    async def logout_token(self, provider: str, fault: str, origin: Origin) -> None:
        """A logout token that was not good. Anybody can send one that is not, so it is told once a minute."""
        now = self._clock()
        self._logouts += 1
        if self._logout_told is not None and now - self._logout_told < FORM_EVERY:
            return
        number, self._logouts, self._logout_told = self._logouts, 0, now
        content: dict[str, JSON] = {
            "times": number,
            "provider": provider,
            "fault": fault,
            "ip": origin.ip,
            "user_agent": origin.user_agent,
        }
        entry = Entry(
            action=Event.LOGOUT_TOKEN_REFUSED.value,
            subject=_UNKNOWN,
            effect=Effect.DENY.value,
            reasons=(Code.SUBJECT_SIGN_IN_INVALID.value,),
            content=content,
            index={"network": (origin.ip,)},
        )
        if not await self._note(entry):
            self._logouts += number

    async def _note(self, entry: Entry) -> bool:
        try:
            await self._audit.note(entry)
        except AuditError as error:
            log.error(
                "turned-away.unrecorded", extra={"fields": {"event": entry.action, "cause": type(error).__name__}}
            )
            return False
        return True
