"""Each change that a directory makes, in the audit log before it is kept. Ids and names of attributes, no values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from audit import AuditUnavailable as LogUnavailable
from audit import Entry, Subject
from gateway.errors import AuditUnavailable
from gateway.exchange import Origin
from gateway.identity.deprovision import Holdings
from gateway.scim.clients import Client
from gateway.vocabulary import Code, Effect, Event

Note = Callable[[Entry], Awaitable[Any]]
"""`AuditLog.note`: durable when it returns."""

MAX_IDS: Final = 1_000
"""Most ids of members in one record; the number beside them is always the whole."""


class Records:
    """Writes as one directory, for one request of it. Raises AuditUnavailable."""

    def __init__(self, note: Note, client: Client, origin: Origin) -> None:
        self._note = note
        self._client = client
        self._origin = origin

    async def provision(self, id: str, actor: str | None, *, is_active: bool, is_back: bool) -> None:
        """Somebody may come in from now on; `is_back`: they had been taken out."""
        content = {"id": id, "person": actor or "", "active": is_active, "is_back": is_back}
        await self._write(Event.PERSON_PROVISION, content)

    async def update(self, id: str, actor: str | None, changed: Iterable[str]) -> None:
        """Something else about them changed."""
        await self._write(Event.PERSON_UPDATE, {"id": id, "person": actor or "", "changed": sorted(changed)})

    async def deprovision(self, id: str, actor: str | None, holdings: Holdings | None, *, is_deleted: bool) -> None:
        """Somebody is taken out."""
        content: dict[str, Any] = {"id": id, "person": actor or "", "is_deleted": is_deleted}
        if holdings is not None:
            content["ended"] = holdings.content()
        await self._write(Event.PERSON_DEPROVISION, content, (Code.SUBJECT_DEPROVISIONED,))

    async def group(
        self,
        id: str,
        change: str,
        *,
        changed: Iterable[str] = (),
        added: Iterable[str] = (),
        removed: Iterable[str] = (),
    ) -> None:
        """A group came, changed or went."""
        came, went = sorted(added), sorted(removed)
        content = {
            "id": id,
            "change": change,
            "changed": sorted(changed),
            "added": came[:MAX_IDS],
            "added_number": len(came),
            "removed": went[:MAX_IDS],
            "removed_number": len(went),
        }
        await self._write(Event.GROUP_CHANGE, content)

    async def _write(self, event: Event, content: dict[str, Any], reasons: Iterable[Code] = ()) -> None:
        entry = Entry(
            action=event.value,
            subject=subject_of(self._client),
            effect=Effect.ALLOW.value,
            reasons=tuple(code.value for code in reasons),
            content={
                "provider": self._client.provider,
                **content,
                "ip": self._origin.ip,
                "user_agent": self._origin.user_agent,
            },
            index={"network": (self._origin.ip,)},
        )
        try:
            await self._note(entry)
        except LogUnavailable as error:
            raise AuditUnavailable(
                "The audit log can't be written, so the change is not kept. Send it again in a moment.",
                retry_after_seconds=5,
            ) from error


def subject_of(client: Client) -> Subject:
    """A directory as the log names it."""
    return Subject(actor=f"system:scim-{client.provider}", display=f"directory of {client.provider}")
