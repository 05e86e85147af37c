"""A company's directory played against `Scim` without HTTP, and a log that can be taken away."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from audit import AuditUnavailable, Entry
from gateway.errors import RateLimited
from gateway.exchange import ActorId, Origin
from gateway.identity import Identity
from gateway.scim import Scim, ScimAnswer, ScimCall
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from gateway.vocabulary import Code
from tests.support.scim import TOKEN

HERE = Origin(ip="198.51.100.7", user_agent="a-directory/1")
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass
class Log:
    """What was recorded, in order."""

    entries: list[Entry] = field(default_factory=list)
    is_down: bool = False

    async def note(self, entry: Entry) -> None:
        if self.is_down:
            raise AuditUnavailable("the log is away")
        self.entries.append(entry)

    def actions(self) -> list[str]:
        return [entry.action for entry in self.entries]

    def last(self, action: str) -> Mapping[str, Any]:
        """The content of the newest entry of an event."""
        return next(entry.content for entry in reversed(self.entries) if entry.action == action)


@dataclass(frozen=True)
class Said:
    """An answer, read."""

    status: int
    headers: Mapping[str, str]
    json: Any


class Directory:
    """Sends requests as the directory of `company`."""

    def __init__(
        self, settings: IdentitySettings, identity: Identity, database: Database, clock: Callable[[], datetime]
    ) -> None:
        self.log = Log()
        self.refused = 0
        self.allowed_refusals = 1_000_000
        self.gone: list[tuple[ActorId, Code]] = []
        self.scim = Scim(
            providers=settings.providers,
            public_url="https://imprimatur.example",
            database=database,
            provisioned=identity.provisioned,
            note=self.log.note,
            clock=clock,
            on_refused=self._on_refused,
            on_gone=lambda actor, code: self.gone.append((actor, code)),
        )

    async def _on_refused(self, origin: Origin) -> None:
        self.refused += 1
        if self.refused > self.allowed_refusals:
            raise RateLimited("Slower.", retry_after_seconds=60)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | None = None,
        base: str = "company",
    ) -> Said:
        """One request below `base`; `body` is JSON, or bytes as they are."""
        path, _, query = path.partition("?")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

        async def read(limit: int) -> bytes:
            return raw[: limit + 1]

        sent = {"content-type": "application/scim+json", **(headers or {})}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        call = ScimCall(
            method=method,
            path=f"{base}{path}",
            query=dict(parse_qsl(quote(query, safe="=&%"), keep_blank_values=True)),
            headers=sent,
            read=read,
            origin=HERE,
        )
        answer: ScimAnswer = await self.scim.answer(call)
        return Said(answer.status, answer.headers, json.loads(answer.body) if answer.body else None)

    async def hire(self, name: str, *, subject: str | None = None, **attributes: Any) -> str:
        """A new user; returns its id here."""
        body = {"schemas": [USER], "userName": name, "externalId": subject or name, "active": True, **attributes}
        said = await self.send("POST", "/Users", body)
        assert said.status == 201, said
        return str(said.json["id"])

    async def patch(self, path: str, *operations: Mapping[str, Any], **options: Any) -> Said:
        return await self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **options)

    async def set_active(self, id: str, is_active: bool) -> Said:
        return await self.patch(f"/Users/{id}", {"op": "replace", "value": {"active": is_active}})

    async def group(self, name: str, *members: str) -> str:
        """A new group; returns its id here."""
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": id} for id in members]}
        said = await self.send("POST", "/Groups", body)
        assert said.status == 201, said
        return str(said.json["id"])


def with_scim(settings: IdentitySettings, folder: Path, **scim: Any) -> IdentitySettings:
    """The same settings, and the only provider has a directory."""
    (folder / "scim.token").write_text(TOKEN)
    plain = settings.model_dump()
    plain["providers"][0]["scim"] = {"token_path": folder / "scim.token", **scim}
    return IdentitySettings.model_validate(plain)
