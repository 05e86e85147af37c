"""What the pages of rules share: their forms, what went wrong with one, the head of a draft's pages.

What somebody does here goes through the same functions as `/v1/policy/…`: the same rights, the same record first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from gateway.api.access import require
from gateway.errors import Denied, InvalidRequest, NotFound, PayloadTooLarge, RateLimited, StepUpRequired
from gateway.exchange import Actor
from gateway.identity.csrf import FORM_FIELD
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.drafts import Draft
from gateway.lifecycle.refusals import DraftRefused
from gateway.policy.bundle import Problem
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.pages import page

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)

MAX_FORM_BYTES: Final = 4 << 20
"""A file of a megabyte, as a form writes it: three bytes for many a sign."""
MAX_FIELDS: Final = 5_000
LONG: Final = 2_000
"""A text of more signs does not fit into the cookie that brings a form back after a step-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What kept a form from being done: said on the form's own page, with what was written still in it."""

    status: int
    message: str
    problems: tuple[Problem, ...] = ()
    step_up: bool = False
    """Whether a fresh second factor is what is missing."""

    @property
    def is_conflict(self) -> bool:
        return self.status == 409


class Fields:
    """A form as it was sent: a name may stand in it several times."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        self._last = dict(pairs)

    def __getitem__(self, name: str) -> str:
        """The last of this name; empty when there is none."""
        return self._last.get(name, "")

    def __contains__(self, name: str) -> bool:
        return name in self._last

    def all(self, name: str) -> list[str]:
        """Every one of this name, in order."""
        return [text for known, text in self.pairs if known == name]

    def number(self, name: str, least: int = 0) -> int:
        """A whole number. Raises InvalidRequest."""
        text = self[name].strip()
        if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < least:
            raise InvalidRequest(f"{name}: expected a whole number from {least} on.", param=name)
        return int(text)


async def read_fields(request: Request, *, limit: int = MAX_FORM_BYTES) -> Fields:
    """The form that was sent, before anybody is asked who sent it: the token is one of its fields."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > limit:
            raise PayloadTooLarge("The form is too long.")
    try:
        pairs = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidRequest("The form has too many fields.") from error
    request.state.csrf_token = dict(pairs).get(FORM_FIELD)
    kept = [(name, text) for name, text in pairs if name != FORM_FIELD]
    request.state.form = dict(kept)  # comes back filled after a step-up (`drafts.py`)
    return Fields(kept)


def body(model: type[B], **values: Any) -> B:
    """What a program would have sent. Raises InvalidRequest."""
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "form"
        raise InvalidRequest(f"{name}: {first['msg']}.", param=name) from None


async def attempt(act: Awaitable[T], *, may_step_up: bool = False) -> T | Trouble:
    """What `act` gives, or what to say on the form's page. Refusals of the person go on to their own page; a missing
    second factor too, unless `may_step_up` (where the form would not survive the way there and back)."""
    try:
        return await act
    except DraftRefused as error:
        return Trouble(status=400, message="These files can’t become rules.", problems=error.problems)
    except (InvalidRequest, NotFound, RateLimited) as error:
        return Trouble(status=error.status, message=error.message)
    except StepUpRequired as error:
        if not may_step_up:
            raise
        return Trouble(status=error.status, message=error.message, step_up=True)


def kept(request: Request, fields: Fields, why: Trouble) -> Response:
    """What somebody sent, on a page of its own, when a second factor is missing and no cookie can hold the form: they
    confirm in another tab and send it again. It shows nothing but what they sent."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    pairs = [(name, text.replace("\r\n", "\n")) for name, text in fields.pairs]
    longest = max((name for name, _ in pairs), key=lambda name: len(fields[name]), default="")
    context = {"fields": pairs, "action": here, "message": why.message, "longest": longest}
    return page(request, request.state.actor, "rules_kept.html", context, why.status)


async def may(request: Request, permission: Permission) -> bool:
    """Whether this person's roles let them, now or after a fresh second factor: what a page offers. The act itself
    asks again."""
    try:
        await require(request, permission)
    except StepUpRequired:
        return True
    except Denied:
        return False
    return True


async def reader(request: Request) -> tuple[Actor, PolicyDesk | None]:
    """Who reads rules here, and the desk; None where the folder's word counts. Raises what `require` does."""
    actor = await require(request, Permission.POLICY_READ)
    return actor, services_of(request).policy_desk


async def draft_of(request: Request, draft_id: str) -> tuple[Actor, PolicyDesk, Draft]:
    """Who reads a draft, and the draft. Raises what `require` does, NotFound."""
    actor, desk = await reader(request)
    if desk is None:
        raise NotFound("The rules of this gateway come from a folder (policy.source), and are changed there.")
    return actor, desk, await desk.drafts.get(draft_id)


def with_line_ends(text: str, before: bytes) -> str:
    """The text with the line ends that the file has: a browser sends CR LF whatever it got (HTML, 4.10.11.5)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n", "\r\n") if b"\r\n" in before and b"\n" not in before.replace(b"\r\n", b"") else text


def address(draft: Draft | str, place: str = "", **query: str | int) -> str:
    """The address of a page of a draft."""
    found = draft if isinstance(draft, str) else draft.id
    asked = "&".join(f"{name}={quote(str(value), safe='/')}" for name, value in query.items() if value != "")
    return f"/rules/drafts/{found}{'/' + place if place else ''}{'?' + asked if asked else ''}"


async def draft_page(
    request: Request,
    actor: Actor,
    desk: PolicyDesk,
    draft: Draft,
    template: str,
    context: Mapping[str, Any],
    trouble: Trouble | None = None,
) -> Response:
    """One of a draft's pages, under the head that all of them have."""
    active = await desk.store.in_force()
    head = {
        "draft": draft,
        "address": address,
        "active": active,
        "is_upon": draft.version.base == active.standing,
        "is_same": draft.version.digest == active.standing,
        "report": await desk.checker.known(draft.version.digest),
        "comments": await desk.drafts.comments(draft.id),
        "may_write": draft.state != "closed" and await may(request, Permission.POLICY_WRITE),
        "may_replay": await may(request, Permission.POLICY_REPLAY),
        "may_activate": draft.state != "closed" and await may(request, Permission.POLICY_ACTIVATE),
        "trouble": trouble,
    }
    status = 200 if trouble is None else trouble.status
    return page(request, actor, template, {**head, **context}, status)
