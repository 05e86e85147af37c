"""`/v1/policy/drafts/{id}/forms/…`: rules as forms, for programs. The pages use the same functions.

Saving a form saves a version of the draft, as saving files does: the same right, the same record first.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api import policies
from gateway.api.access import require
from gateway.api.policy_desk import desk_of
from gateway.api.policy_words import draft_json
from gateway.lifecycle.forms import FORMS, changes_of, form_named, is_there, values_of
from gateway.vocabulary import Permission

router = APIRouter(prefix="/v1/policy")


class FormBody(BaseModel):
    """What the form shall say, upon version `after`; sections that are left out stay."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    after: Annotated[int, Field(ge=1, le=1_000_000)]
    values: Annotated[dict[Annotated[str, Field(max_length=100)], Any], Field(max_length=100)]
    note: Annotated[str, Field(max_length=600)] = ""


@router.get("/drafts/{draft_id}/forms")
async def forms(request: Request, draft_id: str) -> dict[str, Any]:
    """Those that the draft has files for."""
    await require(request, Permission.POLICY_READ)
    desk = desk_of(request)
    files = (await desk.drafts.bundle((await desk.drafts.get(draft_id)).version)).files
    found = [
        {"object": "policy.form", "name": form.name, "title": form.title, "path": form.path}
        for form in FORMS.values()
        if is_there(form, files)
    ]
    return {"object": "list", "data": found}


@router.get("/drafts/{draft_id}/forms/{form}")
async def form(request: Request, draft_id: str, form: str) -> dict[str, Any]:
    """What one says in the newest version."""
    await require(request, Permission.POLICY_READ)
    desk, asked = desk_of(request), form_named(form)
    draft = await desk.drafts.get(draft_id)
    return {
        "object": "policy.form",
        "name": asked.name,
        "title": asked.title,
        "path": asked.path,
        "version": draft.version.number,
        "values": values_of(asked, (await desk.drafts.bundle(draft.version)).files),
    }


@router.post("/drafts/{draft_id}/forms/{form}")
async def save(request: Request, draft_id: str, form: str, body: FormBody) -> dict[str, Any]:
    """Save it: a further version of the draft, in which its file says this and all else is as it was. Values that the
    file says already change nothing, and make no version."""
    await require(request, Permission.POLICY_WRITE)
    desk, asked = desk_of(request), form_named(form)
    draft = await desk.drafts.get(draft_id)
    changed = changes_of(asked, (await desk.drafts.bundle(draft.version)).files, body.values)
    if not changed:
        return draft_json(draft)
    files: dict[str, str | None] = dict(changed)
    note = body.note or f"form: {asked.title}"
    return await policies.save(request, draft_id, policies.SaveBody(after=body.after, files=files, note=note))
