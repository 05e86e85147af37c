"""`/rules/drafts/{id}/rebase`: a draft goes upon the rules in force, file by file where both were changed.

Nothing is merged by the machine: whoever decides reads what came into force and what the draft wants, and says of each
file how it shall be. They say it of the rules that they saw: when others come into force meanwhile, they look again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api import policies
from gateway.api.access import require
from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.content import Files, conflicts, difference
from gateway.lifecycle.drafts import Draft
from gateway.vocabulary import Permission
from gateway.web.rules_diff import FileDiff, file_diffs
from gateway.web.rules_shared import (
    LONG,
    Fields,
    Trouble,
    address,
    attempt,
    body,
    draft_of,
    draft_page,
    kept,
    read_fields,
    with_line_ends,
)

router = APIRouter(include_in_schema=False)

MINE: Final = "mine"
THEIRS: Final = "theirs"
WRITTEN: Final = "written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A file that the draft and the rules in force both changed, and not to the same."""

    path: str
    theirs: list[FileDiff]
    """What came into force since, against what the draft is upon."""
    mine: list[FileDiff]
    """What the draft changes, against the same."""
    is_gone_here: bool
    is_gone_there: bool
    how: str = ""
    """What was chosen, when the form comes back."""
    text: str = ""
    """What the text field holds."""


@router.get("/rules/drafts/{draft_id}/rebase")
async def to_rebase(request: Request, draft_id: str) -> Response:
    """What both changed, side by side, and the form that decides it."""
    actor, desk, found = await draft_of(request, draft_id)
    return await _shown(request, actor, desk, found)


@router.post("/rules/drafts/{draft_id}/rebase")
async def rebase(request: Request, draft_id: str) -> Response:
    """Put it upon the rules in force, each file as it was decided."""
    form = await read_fields(request)
    is_long = any(len(text) > LONG for _, text in form.pairs)
    done = await attempt(_decide(request, draft_id, form), may_step_up=is_long)
    if not isinstance(done, Trouble):
        return RedirectResponse(address(draft_id, "history", done="rebase"), 303)
    if done.step_up:
        return kept(request, form, done)
    actor, desk, found = await draft_of(request, draft_id)
    return await _shown(request, actor, desk, found, done, form)


async def clashes(desk: PolicyDesk, found: Draft, onto: str, form: Fields | None = None) -> list[Clash]:
    """Each file that both changed, with what `form` said of it."""
    if found.version.base == onto:
        return []
    old, new = (await desk.store.bundle(found.version.base)).files, (await desk.store.bundle(onto)).files
    here = (await desk.drafts.bundle(found.version)).files
    said = {} if form is None else _said(form)
    return [
        _clash(path, old, new, here, *said.get(path, ("", None)))
        for path in conflicts(await desk.drafts.changes_of(found.version), old, new)
    ]


def _clash(path: str, old: Files, new: Files, here: Files, how: str, text: str | None) -> Clash:
    def against(files: Files) -> list[FileDiff]:
        return file_diffs(difference(_only(path, old), _only(path, files)))

    stored = here.get(path, new.get(path, b"")).decode(errors="replace")
    return Clash(
        path=path,
        theirs=against(new),
        mine=against(here),
        is_gone_here=path not in here,
        is_gone_there=path not in new,
        how=how,
        text=stored if text is None else text,
    )


def _only(path: str, files: Files) -> Files:
    return {path: files[path]} if path in files else {}


def _said(form: Fields) -> dict[str, tuple[str, str]]:
    """Path -> what was chosen of it, and the text that stood in its field."""
    return {path: (form[f"how-{n}"], form[f"text-{n}"]) for n, path in enumerate(form.all("file"))}


async def _decide(request: Request, draft_id: str, form: Fields) -> None:
    await require(request, Permission.POLICY_WRITE)
    _, desk, found = await draft_of(request, draft_id)
    here = (await desk.drafts.bundle(found.version)).files
    onto = form["onto"]
    there = (await desk.store.bundle((await desk.store.find(onto)).digest)).files
    files: dict[str, str | None] = {}
    for path, (how, text) in _said(form).items():
        if how == WRITTEN:
            files[path] = with_line_ends(text, here.get(path, there.get(path, b"")))
        elif how in (MINE, THEIRS):
            body_there = (here if how == MINE else there).get(path)
            files[path] = None if body_there is None else body_there.decode()
        else:
            raise InvalidRequest(f"{path}: say how it shall be.", param="files")
    sent = body(policies.RebaseBody, after=form.number("after", 1), files=files, onto=onto)
    await policies.rebase(request, draft_id, sent)


async def _shown(
    request: Request,
    actor: Actor,
    desk: PolicyDesk,
    found: Draft,
    trouble: Trouble | None = None,
    form: Fields | None = None,
) -> Response:
    active = await desk.store.in_force()
    context: Mapping[str, object] = {"clashes": await clashes(desk, found, active.standing, form)}
    return await draft_page(request, actor, desk, found, "rules_rebase.html", context, trouble)
