"""`Scim`: a request of a directory in, an answer out."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from scim2_models import Error, PayloadTooLargeException, SCIMException, UnauthorizedException
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from sqlalchemy.exc import SQLAlchemyError

from audit import AuditError, Entry, Subject
from gateway.errors import AuditUnavailable, ImprimaturError, PayloadTooLarge, RateLimited
from gateway.exchange import ActorId, Origin
from gateway.identity import deprovision
from gateway.identity.provisioned import Provisioned
from gateway.scim.clients import Addressed, Clients
from gateway.scim.dialects import translate
from gateway.scim.handler import Handler
from gateway.scim.records import Note, Records
from gateway.scim.schemas import description
from gateway.scim.service import Service
from gateway.scim.storage import Storage
from gateway.settings import Provider
from gateway.storage.database import Database
from gateway.vocabulary import Code, Effect, Event

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 512 * 1024
"""Largest body: some 8,000 members of a group at once. Larger groups come in parts, by PATCH."""
REFUSED_EVERY: Final = timedelta(minutes=1)
"""How often requests without the right token are told to the log, with how many they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimCall:
    """A request as it came. `path` is below /scim/v2; `read` gets the body, and is called for those we know only."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    read: Callable[[int], Awaitable[bytes]] = field(repr=False)
    """Takes the most bytes that make sense; may give one more. Raises PayloadTooLarge."""
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimAnswer:
    """What to send back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Scim:
    """All directories. Raises ValueError when a token would be unsafe: the gateway then does not start.

    `on_refused` is told of each request that shows no good token and raises RateLimited when there were too many;
    `on_gone` of each person who was taken out, as soon as that is durable.
    """

    def __init__(
        self,
        *,
        providers: Iterable[Provider],
        public_url: str,
        database: Database,
        provisioned: Provisioned,
        note: Note,
        clock: Callable[[], datetime],
        on_refused: Callable[[Origin], Awaitable[None]],
        on_gone: Callable[[ActorId, Code], object],
    ) -> None:
        self._clients = Clients(providers)
        self._url = f"{public_url.rstrip('/')}/scim/v2"
        self._database = database
        self._provisioned = provisioned
        self._note = note
        self._clock = clock
        self._on_refused = on_refused
        self._on_gone = on_gone
        self._description = description()
        self._service = Service(self._description)
        self._refused = 0
        self._refused_told: datetime | None = None

    async def answer(self, call: ScimCall) -> ScimAnswer:
        """Never raises: whatever goes wrong is an answer in SCIM's own form (RFC 7644, section 3.12)."""
        try:
            addressed = self._clients.find(call.path, call.headers.get("authorization"))
            if addressed is None:
                await self._refuse(call)
                raise UnauthorizedException(detail="This needs the bearer token that this directory was given.")
            return _sent(await self._serve(addressed, call))
        except SCIMException as error:
            return _sent(self._service.error_response(error))
        except ImprimaturError as error:
            return refused(error)
        except (SQLAlchemyError, OSError) as error:
            log.error("scim.unavailable", extra={"fields": {"cause": type(error).__name__}})
            return _failed(
                503, "The gateway's database doesn't answer, so nothing was kept. Send it again in a moment."
            )
        except Exception as error:
            # The type and the place only: what a validation says can hold what somebody is called.
            log.error("scim.crashed", extra={"fields": {"cause": type(error).__name__, "at": _place(error)}})
            return _failed(500, "Something went wrong on our side. Your operators can find it by the request id.")

    async def _serve(self, addressed: Addressed, call: ScimCall) -> ScimResponse:
        body = await call.read(MAX_BODY_BYTES)
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLargeException(
                detail=f"A body may have {MAX_BODY_BYTES:,} bytes. Send a large group in parts, by PATCH."
            )
        method = call.method.upper()
        storage = Storage(
            client=addressed.client,
            description=self._description,
            database=self._database,
            records=Records(self._note, addressed.client, call.origin),
            provisioned=self._provisioned,
            clock=self._clock,
            is_reading=method == "GET" or addressed.path.endswith("/.search"),
        )
        request = ScimRequest(
            method=method,
            base_url=self._url + addressed.base,
            path=addressed.path,
            query=call.query,
            headers=call.headers,
            body=translate(method, addressed.path, body),
        )
        try:
            response = await Handler(self._service, storage).handle(request)
        except AuditUnavailable:
            await self._shut(storage.leaving)
            raise
        for actor in storage.leaving:
            self._on_gone(actor, Code.SUBJECT_DEPROVISIONED)
        return response

    async def _shut(self, leaving: set[ActorId]) -> None:
        """The log is down, so a deprovisioning was not kept and will be sent again; but a log that can't be written
        must not hold a door open. The doors are shut; the directory's own rows stay, so that it is recorded then."""
        if not leaving:
            return
        async with self._database.transaction() as tx:
            for actor in sorted(leaving):
                await deprovision.close(tx, actor, self._clock())
        for actor in leaving:
            self._on_gone(actor, Code.SUBJECT_DEPROVISIONED)
            log.error("scim.shut-unrecorded", extra={"fields": {"people": len(leaving)}})

    async def _refuse(self, call: ScimCall) -> None:
        """Tell the log, at most once a minute; slow down who goes on."""
        self._refused += 1
        now = self._clock()
        if self._refused_told is None or now - self._refused_told >= REFUSED_EVERY:
            number, self._refused, self._refused_told = self._refused, 0, now
            entry = Entry(
                action=Event.SCIM_REFUSED.value,
                subject=Subject(actor="-", display="not signed in"),
                effect=Effect.DENY.value,
                reasons=(Code.SUBJECT_SIGN_IN_REFUSED.value,),
                content={"times": number, "ip": call.origin.ip, "user_agent": call.origin.user_agent},
                index={"network": (call.origin.ip,)},
            )
            try:
                await self._note(entry)
            except AuditError as error:  # the refusal stands whatever becomes of the telling
                self._refused += number
                log.error("scim.unrecorded", extra={"fields": {"cause": type(error).__name__}})
        await self._on_refused(call.origin)


def refused(error: ImprimaturError) -> ScimAnswer:
    """An error of ours in SCIM's form."""
    headers = {}
    if isinstance(error, RateLimited) or error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds or 1)))
    detail = error.message if not isinstance(error, PayloadTooLarge) else f"{error.message} Large groups go by PATCH."
    return _failed(error.status, detail, headers)


def _failed(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ScimAnswer:
    body = json.dumps(Error(status=status, detail=detail).model_dump()).encode()
    return ScimAnswer(status=status, body=body, headers={"Content-Type": SCIM_MEDIA_TYPE, **(headers or {})})


def _sent(response: ScimResponse) -> ScimAnswer:
    if response.body is None:
        headers = {name: value for name, value in response.headers.items() if name.lower() != "content-type"}
        return ScimAnswer(status=int(response.status), body=b"", headers=headers)
    return ScimAnswer(status=int(response.status), body=json.dumps(response.body).encode(), headers=response.headers)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
