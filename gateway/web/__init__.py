"""The pages people see: thin routes over templates. What they may see is decided by `gateway.api.access`, what they do
goes through the same `/v1` API that programs use.

* `front.py` the door · `account.py` one's own account · `studio.py` the employee's place · `keys.py` API keys
* `check.py` where a picture comes from, for everybody
* `services.py` service accounts, `people.py`, `mapping.py`, `access_review.py` the administrator's
* `rules.py`, `rules_draft.py`, `rules_story.py`, `rules_rebase.py`, `rules_try.py`, `rules_forms.py` the rules, and how
  they change
* `proposals.py` what takes two people · `emergency.py` the door for when no other opens
* `records.py`, `cases.py`, `holds.py`, `subjects.py`, `retention.py` the auditor's, over `governing.py`
* `drafts.py` a form that met "first a fresh second factor" comes back filled
* `templates.py` + `templates/`, `words.py` how things are said · `static_files.py` + `static/` how they look and move
* `proof_drawing.py` an inclusion proof as a picture · `record_query.py`, `record_views.py` between form, log and page
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from gateway.web import (
    access_review,
    account,
    cases,
    check,
    emergency,
    front,
    holds,
    keys,
    mapping,
    people,
    proposals,
    records,
    retention,
    rules,
    rules_draft,
    rules_forms,
    rules_rebase,
    rules_story,
    rules_try,
    services,
    studio,
    subjects,
)
from gateway.web.drafts import keep as keep_form
from gateway.web.pages import problem_page
from gateway.web.static_files import PREFIX, static_tree

__all__ = ["keep_form", "mount_static", "problem_page", "router"]


def router() -> APIRouter:
    """Every page route."""
    pages = APIRouter(include_in_schema=False)
    for module in (
        front,
        emergency,
        account,
        studio,
        check,
        keys,
        services,
        proposals,
        people,
        mapping,
        access_review,
        cases,
        holds,
        subjects,
        retention,
        records,
        rules,
        rules_draft,
        rules_forms,
        rules_rebase,
        rules_story,
        rules_try,
    ):
        pages.include_router(module.router)
    return pages


def mount_static(app: FastAPI) -> None:
    """Stylesheets, scripts and fonts under `/static`. They are the same for everybody and need no sign-in."""
    app.mount(PREFIX, static_tree(), name="static")
