"""`/rules/drafts/{id}`: the files of a draft and the editor; save, add, take out, as it was; remarks on lines.

Works without scripts: the editor is a text area. What could not be saved comes back as it was written, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api import policies
from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.checking import Report
from gateway.lifecycle.content import Files
from gateway.lifecycle.drafts import Comment, Draft
from gateway.policy.bundle import Problem, is_test
from gateway.web.rules_lines import spans
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

FIRST: Final = ("gateway/image/authz/authz.rego", ".manifest")
"""What an editor opens when the draft changes nothing yet: the first of these that is there."""


@dataclass(slots=True, kw_only=True)
class Leaf:
    """One file of the tree."""

    path: str
    name: str
    status: str = ""
    """`changed`, `added`, `removed`; empty = as in the base."""
    problems: int = 0
    comments: int = 0
    coverage: float | None = None


@dataclass(slots=True, kw_only=True)
class Folder:
    """A folder of the tree, by its path; its files and how many of them were changed."""

    path: str
    leaves: list[Leaf] = field(default_factory=list)

    @property
    def changed(self) -> int:
        return sum(bool(leaf.status) for leaf in self.leaves)

    @property
    def problems(self) -> int:
        return sum(leaf.problems for leaf in self.leaves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Something at a line of the file that is open."""

    kind: str
    """`problem`, `warning`, `comment`, `missed`."""
    line: int
    column: int
    text: str
    last: int = 0
    """The last line, where it is of several."""


@router.get("/rules/drafts/{draft_id}")
async def draft(request: Request, draft_id: str) -> Response:
    """The editor, with one file open."""
    actor, desk, found = await draft_of(request, draft_id)
    return await _editor(request, actor, desk, found)


@router.post("/rules/drafts/{draft_id}")
async def save(request: Request, draft_id: str) -> Response:
    """What the editor's buttons do: save (and check), as it was, take out, add a file."""
    form = await read_fields(request)
    act = form["act"] or "save"
    path, text = form["file"], form["content"]
    done = await attempt(_save(request, draft_id, act, form), may_step_up=len(text) > LONG)
    if not isinstance(done, Trouble):
        if act == "check":
            return RedirectResponse(address(draft_id, "check", run=1), 303)
        return RedirectResponse(address(draft_id, file="" if act == "remove" else path, done=act), 303)
    if done.step_up:
        return kept(request, form, done)
    actor, desk, found = await draft_of(request, draft_id)
    written = text if act in ("save", "check") else None
    return await _editor(request, actor, desk, found, trouble=done, path=path, text=written, note=form["note"])


@router.post("/rules/drafts/{draft_id}/comments")
async def comment(request: Request, draft_id: str) -> Response:
    """Say something of a line, a file, or the whole."""
    form = await read_fields(request)
    path, line = form["file"], form["line"].strip() or "0"
    said = body(policies.CommentBody, text=form["text"][:8000], path=path[:500], line=line)
    done = await attempt(policies.add_comment(request, draft_id, said))
    if not isinstance(done, Trouble):
        return RedirectResponse(address(draft_id, file=path, done="comment") + "#remarks", 303)
    actor, desk, found = await draft_of(request, draft_id)
    return await _editor(request, actor, desk, found, trouble=done, path=path, said=form["text"])


@router.get("/rules/drafts/{draft_id}/comments")
async def commented(request: Request, draft_id: str) -> Response:
    """Back from a second factor."""
    return RedirectResponse(address(draft_id), 303)


async def _save(request: Request, draft_id: str, act: str, form: Fields) -> None:
    path, after = form["file"], form.number("after", 1)
    files: dict[str, str | None] = {}
    revert: list[str] = []
    if act == "revert":
        revert.append(path)
    elif act == "remove":
        files[path] = None
    elif act in ("save", "check"):
        files[path] = await _as_before(request, draft_id, path, form["content"])
    elif act == "add":
        files[path.strip()] = _beginning(path.strip())
    else:
        raise InvalidRequest("A file is saved, checked, added, taken out, or set back.", param="act")
    sent = body(policies.SaveBody, after=after, files=files, revert=revert, note=form["note"][:600])
    await policies.save(request, draft_id, sent)


async def _as_before(request: Request, draft_id: str, path: str, text: str) -> str:
    """The text with the line ends that the file has."""
    _, desk, found = await draft_of(request, draft_id)
    return with_line_ends(text, (await desk.drafts.bundle(found.version)).files.get(path, b""))


def _beginning(path: str) -> str:
    """What a new file holds: enough to be a file of its kind. A package is the path of its folder (OPA's style)."""
    if not path.endswith(".rego"):
        return ""
    package = ".".join(path.split("/")[:-1]) or "gateway"
    if is_test(path):
        # Without an import: lint asks that rules are named in full.
        return f"package {package}_test\n\n# test_something if data.{package}.something with input as {{}}\n"
    return (
        "# METADATA\n# title: What these rules are about\n# scope: package\n# custom:\n#   owner: security-team\n"
        f"package {package}\n"
    )


async def _editor(
    request: Request,
    actor: Actor,
    desk: PolicyDesk,
    found: Draft,
    *,
    trouble: Trouble | None = None,
    path: str = "",
    text: str | None = None,
    note: str = "",
    said: str = "",
) -> Response:
    files = (await desk.drafts.bundle(found.version)).files
    base = await desk.drafts.base_files(found.version)
    report = await desk.checker.known(found.version.digest)
    comments = await desk.drafts.comments(found.id)
    path = path or request.query_params.get("file", "") or _first(found, files)
    is_there = path in files
    stored = files.get(path, base.get(path, b"")).decode(errors="replace")
    here = [one for one in comments if one.path == path]
    status = _status(path, base, files)
    context: Mapping[str, Any] = {
        "folders": _tree(base, files, report, comments),
        "path": path,
        "is_there": is_there,
        "is_known": is_there or path in base,
        "status": status,
        "content": stored if text is None else text,
        "lines": stored.count("\n") + 1,
        "markers": _markers(path, report, here),
        "elsewhere": [] if report is None else [p for p in report.problems if p.path != path],
        "remarks": here,
        "coverage": None if report is None else report.files.get(path),
        "note": note,
        "said": said,
        "at_line": request.query_params.get("line", ""),
        "done": request.query_params.get("done", ""),
        "whole": [one for one in comments if not one.path],
    }
    return await draft_page(request, actor, desk, found, "rules_draft.html", context, trouble)


def _first(found: Draft, files: Files) -> str:
    changed = sorted(path for path, name in found.version.changes.items() if name is not None)
    return next((path for path in (*changed, *FIRST) if path in files), next(iter(sorted(files)), ""))


def _status(path: str, base: Files, files: Files) -> str:
    if base.get(path) == files.get(path):
        return ""
    return "added" if path not in base else "removed" if path not in files else "changed"


def _tree(base: Files, files: Files, report: Report | None, comments: Sequence[Comment]) -> list[Folder]:
    """Folders in order, those of rules first: what is edited most stands on top."""
    problems: Sequence[Problem] = () if report is None else report.problems
    folders: dict[str, Folder] = {}
    for path in sorted({*base, *files}):
        folder, _, name = path.rpartition("/")
        leaf = Leaf(
            path=path,
            name=name,
            status=_status(path, base, files),
            problems=sum(one.path == path for one in problems),
            comments=sum(one.path == path for one in comments),
            coverage=None if report is None else report.files.get(path),
        )
        folders.setdefault(folder, Folder(path=folder)).leaves.append(leaf)
    return sorted(folders.values(), key=lambda one: (not one.path.startswith("gateway/"), one.path))


def _markers(path: str, report: Report | None, comments: Sequence[Comment]) -> list[Marker]:
    """Problems, warnings, remarks and lines without a test of this file, by line."""
    found = [Marker(kind="comment", line=one.line, column=0, text=one.text) for one in comments if one.line]
    if report is not None:
        for kind, problems in (("problem", report.problems), ("warning", report.warnings)):
            found += [
                Marker(kind=kind, line=p.line, column=p.column, text=p.message) for p in problems if p.path == path
            ]
        found += [
            Marker(kind="missed", line=first, column=0, text="", last=last)
            for first, last in spans(report.missed.get(path, ()))
        ]
    return sorted(found, key=lambda marker: (marker.line, marker.column))
