"""`/rules/drafts/{id}/forms`: hours, networks, models, limits, detectors and thresholds without Rego or YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api import policy_forms
from gateway.api.access import require
from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.drafts import Draft
from gateway.lifecycle.forms import FORMS, form_named, is_there, parsed, values_of
from gateway.vocabulary import Permission
from gateway.web.rules_shared import Fields, Trouble, address, attempt, body, draft_of, draft_page, kept, read_fields

router = APIRouter(include_in_schema=False)

NEW_ROWS: Final = 1
"""Empty rows below a table; saved, there is the next."""


@router.get("/rules/drafts/{draft_id}/forms")
async def forms(request: Request, draft_id: str) -> Response:
    """Which there are, and which this draft changes."""
    actor, desk, found = await draft_of(request, draft_id)
    files = (await desk.drafts.bundle(found.version)).files
    context = {
        "forms": [form for form in FORMS.values() if is_there(form, files)],
        "changed": {
            form.name: any(path == form.path or path.startswith(f"{form.path}/") for path in found.version.changes)
            for form in FORMS.values()
        },
    }
    return await draft_page(request, actor, desk, found, "rules_forms.html", context)


@router.get("/rules/drafts/{draft_id}/forms/{name}")
async def form(request: Request, draft_id: str, name: str) -> Response:
    """One of them, filled with what the draft says."""
    actor, desk, found = await draft_of(request, draft_id)
    return await _form(request, actor, desk, found, name)


@router.post("/rules/drafts/{draft_id}/forms/{name}")
async def save(request: Request, draft_id: str, name: str) -> Response:
    """Save it as a further version of the draft."""
    fields = await read_fields(request)
    done = await attempt(_save(request, draft_id, name, fields), may_step_up=True)
    if not isinstance(done, Trouble):
        return RedirectResponse(address(draft_id, f"forms/{name}", done=done), 303)
    if done.step_up:
        return kept(request, fields, done)
    actor, desk, found = await draft_of(request, draft_id)
    return await _form(request, actor, desk, found, name, fields, done)


async def _save(request: Request, draft_id: str, name: str, fields: Fields) -> str:
    await require(request, Permission.POLICY_WRITE)
    _, desk, found = await draft_of(request, draft_id)
    asked, after = form_named(name), fields.number("after", 1)
    # The fields belong to the version that the page showed: rows are told by their number in it.
    shown = await desk.drafts.version(found.id, after)
    before = values_of(asked, (await desk.drafts.bundle(shown)).files)
    sent = body(policy_forms.FormBody, after=after, values=parsed(asked, fields.all, before), note=fields["note"][:600])
    made = await policy_forms.save(request, draft_id, name, sent)
    return "saved" if made["version"]["number"] != found.version.number else "same"


async def _form(
    request: Request,
    actor: Actor,
    desk: PolicyDesk,
    found: Draft,
    name: str,
    fields: Fields | None = None,
    trouble: Trouble | None = None,
) -> Response:
    asked = form_named(name)
    files = (await desk.drafts.bundle(found.version)).files
    values: Mapping[str, Any] = {}
    unshown = ""
    try:
        values = values_of(asked, files)
    except InvalidRequest as error:
        unshown = error.message
    context = {
        "form": asked,
        "values": values,
        "unshown": unshown,
        "sent": fields,
        "new_rows": NEW_ROWS,
        "done": request.query_params.get("done", ""),
        "after": found.version.number if fields is None else fields["after"],
    }
    return await draft_page(request, actor, desk, found, "rules_form.html", context, trouble)
