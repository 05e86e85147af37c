"""`/v1/policy/…`: revisions, drafts, what is in force; check, propose.

Rights are policy's (`policy:read`, `policy:write`); agreeing to a proposal is `/v1/organization/proposals`, with
`policy:approve`; what one person may put in force is `policy_force`. Each step is recorded before it is stored.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import origin_of, require
from gateway.api.policy_desk import desk_of
from gateway.api.policy_words import (
    activation_json,
    comment_json,
    difference_json,
    draft_json,
    revision_json,
    version_json,
)
from gateway.api.proposing import proposal_json, submit
from gateway.errors import NotFound
from gateway.exchange import Actor
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.content import Files, difference
from gateway.lifecycle.drafts import Version
from gateway.lifecycle.refusals import Conflict
from gateway.lifecycle.store import MOVED
from gateway.packs.drafting import pack_changes
from gateway.services import services_of
from gateway.vocabulary import Event, Permission

router = APIRouter(prefix="/v1/policy")

Path = Annotated[str, Field(max_length=500)]
Text = Annotated[str, Field(max_length=600)]
Content = Annotated[str, Field(max_length=2 << 20)]
Number = Annotated[int, Field(ge=1, le=1_000_000)]
FilesBody = Annotated[dict[Path, Content | None], Field(max_length=2_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class DraftBody(_Body):
    """A new draft upon the rules in force, or upon `base`. A file's content, or null for one that goes; `pack` begins
    it with what a policy pack and its `options` make otherwise, and `files` go upon that."""

    title: Text
    files: FilesBody = {}
    pack: Annotated[str, Field(max_length=64)] = ""
    options: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=20)] = []
    note: Text = ""
    base: Annotated[str, Field(max_length=64)] = ""


class SaveBody(_Body):
    """Further changes upon version `after`."""

    after: Number
    files: FilesBody = {}
    revert: Annotated[list[Path], Field(max_length=2_000)] = []
    note: Text = ""


class RestoreBody(_Body):
    """An old version, again."""

    after: Number
    version: Number


class RebaseBody(_Body):
    """The newest version upon the rules in force. `files` says of each file that both changed how it shall be there;
    whoever looked at them names the rules that they saw in force, `onto`."""

    after: Number
    files: FilesBody = {}
    onto: Annotated[str, Field(max_length=64)] = ""


class CommentBody(_Body):
    """A remark; on a line of a file, on a file, or on the whole."""

    text: Annotated[str, Field(max_length=8_000)]
    path: Path = ""
    line: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class StageBody(_Body):
    """Whom it is for at first, and the shares to which one person may widen that; a last share of 100 is everybody."""

    groups: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=100)] = []
    percent: Annotated[float, Field(ge=0, le=100)] = 0
    steps: Annotated[list[Annotated[float, Field(ge=0, le=100)]], Field(max_length=100)] = []


class ProposeBody(_Body):
    """What a second person shall agree to; `impact` is the id of a replay of exactly this."""

    version: Number
    note: Text
    stage: StageBody | None = None
    impact: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9-]+$")] | None = None


@router.get("/status")
async def status(request: Request) -> dict[str, Any]:
    """What is in force, and what this process runs."""
    _, desk = await _reader(request)
    follower, policy = desk.follower, services_of(request).policy
    return {
        "object": "policy.status",
        "in_force": activation_json(await desk.store.in_force()),
        "here": {
            "revision": follower.digest,
            "name": policy.revision,
            "detectors": services_of(request).screening.revision,
            "behind_since": None if follower.behind_since is None else follower.behind_since.isoformat(),
            "error": follower.error,
        },
    }


@router.get("/activations")
async def activations(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> dict[str, Any]:
    """What was in force, the newest first."""
    _, desk = await _reader(request)
    return _list([activation_json(one) for one in await desk.store.history(limit, before)])


@router.get("/revisions")
async def revisions(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> dict[str, Any]:
    """All revisions, the newest first; those that nobody agreed to among them."""
    _, desk = await _reader(request)
    return _list([revision_json(one) for one in await desk.store.list(limit)])


@router.get("/revisions/{revision}")
async def revision(request: Request, revision: str) -> dict[str, Any]:
    """One of them, with the names of its files."""
    _, desk = await _reader(request)
    found = await desk.store.find(revision)
    return {**revision_json(found), "files": dict(found.files)}


@router.get("/revisions/{revision}/files/{path:path}")
async def revision_file(request: Request, revision: str, path: str) -> dict[str, Any]:
    """One file as it is there."""
    _, desk = await _reader(request)
    found = await desk.store.find(revision)
    return _file_json(path, (await desk.store.bundle(found.digest)).files)


@router.get("/revisions/{revision}/diff")
async def revision_diff(
    request: Request, revision: str, against: Annotated[str, Query(max_length=64)] = ""
) -> dict[str, Any]:
    """What is otherwise than in `against`; without it, than in its parent."""
    _, desk = await _reader(request)
    found = await desk.store.find(revision)
    other = (await desk.store.find(against)).digest if against else found.parent
    old: Files = (await desk.store.bundle(other)).files if other else {}
    new = (await desk.store.bundle(found.digest)).files
    return _list([difference_json(one) for one in difference(old, new)])


@router.get("/drafts")
async def drafts(request: Request, state: Annotated[str, Query(pattern="^(open|all)$")] = "open") -> dict[str, Any]:
    """Drafts, the newest first."""
    _, desk = await _reader(request)
    return _list([draft_json(one) for one in await desk.drafts.list(only_open=state == "open")])


@router.post("/drafts", status_code=201)
async def open_draft(request: Request, body: DraftBody) -> dict[str, Any]:
    """Open one."""
    actor, desk = await _writer(request)
    base = (await desk.store.find(body.base)).digest if body.base else (await desk.store.in_force()).standing
    changes: dict[str, bytes | None] = {}
    if body.pack:
        changes = pack_changes((await desk.store.bundle(base)).files, body.pack, body.options)
    changes |= _changes(body.files)
    unsaved = await desk.drafts.first(base=base, changes=changes, by=actor.id, note=body.note)
    draft = desk.drafts.named(body.title, actor.id, unsaved.version)
    await _record_version(request, actor, unsaved.version, draft.title)
    await desk.drafts.open(draft, unsaved)
    return draft_json(draft)


@router.get("/drafts/{draft_id}")
async def draft(request: Request, draft_id: str) -> dict[str, Any]:
    """One, with what its checks found, if they ran."""
    _, desk = await _reader(request)
    found = await desk.drafts.get(draft_id)
    report = await desk.checker.known(found.version.digest)
    active = await desk.store.in_force()
    return {
        **draft_json(found),
        "is_upon_rules_in_force": found.version.base == active.standing,
        "check": None if report is None else report.as_json(),
    }


@router.post("/drafts/{draft_id}")
async def save(request: Request, draft_id: str, body: SaveBody) -> dict[str, Any]:
    """Save a further version."""
    actor, desk = await _writer(request)
    found = await desk.drafts.get(draft_id)
    unsaved = await desk.drafts.next(
        found, after=body.after, changes=_changes(body.files), by=actor.id, note=body.note, revert=body.revert
    )
    await _record_version(request, actor, unsaved.version, found.title)
    return draft_json(await desk.drafts.save(unsaved))


@router.delete("/drafts/{draft_id}")
async def close(request: Request, draft_id: str) -> dict[str, Any]:
    """Close it. It stays readable, with all its versions."""
    actor, desk = await _writer(request)
    found = await desk.drafts.get(draft_id)
    await services_of(request).record(
        Event.POLICY_DRAFT_CLOSE, actor, origin_of(request), content={"draft": found.id, "title": found.title}
    )
    await desk.drafts.close(found)
    return {"object": "policy.draft.closed", "id": found.id, "closed": True}


@router.post("/drafts/{draft_id}/restore")
async def restore(request: Request, draft_id: str, body: RestoreBody) -> dict[str, Any]:
    """Go back to a version; it becomes the newest."""
    actor, desk = await _writer(request)
    found = await desk.drafts.get(draft_id)
    unsaved = await desk.drafts.restored(found, after=body.after, number=body.version, by=actor.id)
    await _record_version(request, actor, unsaved.version, found.title)
    return draft_json(await desk.drafts.save(unsaved))


@router.post("/drafts/{draft_id}/rebase")
async def rebase(request: Request, draft_id: str, body: RebaseBody) -> dict[str, Any]:
    """Put the same changes upon the rules in force now. 409 names the files that both changed and `files` does not."""
    actor, desk = await _writer(request)
    found, active = await desk.drafts.get(draft_id), await desk.store.in_force()
    if body.onto not in ("", active.standing):
        raise Conflict(MOVED, param="onto")
    unsaved = await desk.drafts.rebased(
        found, after=body.after, onto=active.standing, by=actor.id, decided=_changes(body.files)
    )
    await _record_version(request, actor, unsaved.version, found.title)
    return draft_json(await desk.drafts.save(unsaved))


@router.get("/drafts/{draft_id}/versions")
async def versions(request: Request, draft_id: str) -> dict[str, Any]:
    """Every version, the newest first."""
    _, desk = await _reader(request)
    found = await desk.drafts.get(draft_id)
    return _list([version_json(one) for one in await desk.drafts.versions(found.id)])


@router.get("/drafts/{draft_id}/diff")
async def draft_diff(
    request: Request,
    draft_id: str,
    version: Annotated[int | None, Query(ge=1)] = None,
    against: Annotated[str, Query(pattern=r"^(base|in_force|[1-9][0-9]{0,6})$")] = "base",
) -> dict[str, Any]:
    """What a version changes, file by file: in its base, in the rules in force, or in another version."""
    _, desk = await _reader(request)
    found = await desk.drafts.get(draft_id)
    chosen = found.version if version is None else await desk.drafts.version(found.id, version)
    if against == "base":
        old = await desk.drafts.base_files(chosen)
    elif against == "in_force":
        old = (await desk.store.bundle((await desk.store.in_force()).digest)).files
    else:
        old = (await desk.drafts.bundle(await desk.drafts.version(found.id, int(against)))).files
    new = (await desk.drafts.bundle(chosen)).files
    return _list([difference_json(one) for one in difference(old, new)])


@router.get("/drafts/{draft_id}/files/{path:path}")
async def draft_file(request: Request, draft_id: str, path: str) -> dict[str, Any]:
    """One file as it is in the newest version."""
    _, desk = await _reader(request)
    found = await desk.drafts.get(draft_id)
    return _file_json(path, (await desk.drafts.bundle(found.version)).files)


@router.get("/drafts/{draft_id}/comments")
async def comments(request: Request, draft_id: str) -> dict[str, Any]:
    """What was said of it, the oldest first."""
    _, desk = await _reader(request)
    found = await desk.drafts.get(draft_id)
    return _list([comment_json(one) for one in await desk.drafts.comments(found.id)])


@router.post("/drafts/{draft_id}/comments", status_code=201)
async def add_comment(request: Request, draft_id: str, body: CommentBody) -> dict[str, Any]:
    """Say something. Whoever reads rules may: a comment changes nothing."""
    actor, desk = await _reader(request)
    found = await desk.drafts.get(draft_id)
    comment = desk.drafts.comment(found, path=body.path, line=body.line, text=body.text, by=actor.id)
    content = {"draft": found.id, "comment": comment.id, "path": comment.path, "line": comment.line}
    await services_of(request).record(
        Event.POLICY_DRAFT_COMMENT, actor, origin_of(request), content={**content, "text": comment.text}
    )
    await desk.drafts.add_comment(comment)
    return comment_json(comment)


@router.post("/drafts/{draft_id}/check")
async def check(request: Request, draft_id: str) -> dict[str, Any]:
    """Trial, lint, tests with coverage, detectors' tests, on the newest version. `passed` says whether it may be
    proposed; `problems` name file, line and column."""
    actor, desk = await _writer(request)
    found = await desk.drafts.get(draft_id)
    report = await desk.check(found)
    content = {
        "draft": found.id,
        "version": found.version.number,
        "revision": report.digest,
        "problems": [str(problem) for problem in report.problems[:20]],
        "tests": report.tests,
        "failed": report.failed,
        "coverage": report.coverage,
    }
    effect = "allow" if report.passed else "deny"
    await services_of(request).record(
        Event.POLICY_DRAFT_CHECK, actor, origin_of(request), effect=effect, content=content
    )
    return report.as_json()


@router.post("/drafts/{draft_id}/propose", status_code=202)
async def propose(request: Request, draft_id: str, body: ProposeBody) -> dict[str, Any]:
    """Ask for a second person. Answers with the proposal; another agrees at `/v1/organization/proposals/{id}`."""
    actor, desk = await _writer(request)
    found = await desk.drafts.get(draft_id)
    stage = None if body.stage is None else body.stage.model_dump()
    proposal = await desk.proposal(
        found, version=body.version, note=body.note, by=actor, impact=body.impact, stage=stage
    )
    submitted = await submit(request, actor, proposal)
    await desk.keep_proposed(found, proposal)
    return proposal_json(submitted)


async def _reader(request: Request) -> tuple[Actor, PolicyDesk]:
    return await require(request, Permission.POLICY_READ), desk_of(request)


async def _writer(request: Request) -> tuple[Actor, PolicyDesk]:
    return await require(request, Permission.POLICY_WRITE), desk_of(request)


async def _record_version(request: Request, actor: Actor, version: Version, title: str) -> None:
    content = {
        "draft": version.draft,
        "title": title,
        "version": version.number,
        "base": version.base,
        "revision": version.digest,
        "files": dict(version.changes),
        "note": version.note,
    }
    await services_of(request).record(Event.POLICY_DRAFT_SAVE, actor, origin_of(request), content=content)


def _changes(files: dict[str, str | None]) -> dict[str, bytes | None]:
    # A lone surrogate is no text: it becomes bytes that are no UTF-8, and is refused with its place.
    return {path: None if text is None else text.encode("utf-8", "surrogatepass") for path, text in files.items()}


def _file_json(path: str, files: Files) -> dict[str, Any]:
    if path not in files:
        raise NotFound("There is no such file.")
    return {"object": "policy.file", "path": path, "content": files[path].decode(errors="replace")}


def _list(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": data}
