"""`/v1/policy/replays`, `/v1/policy/previews` and `/v1/policy/shadow`: what other rules would have done, or would do.

Each start is recorded first: reports name people. None of it changes a decision.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import origin_of, require
from gateway.errors import InvalidRequest, NotFound
from gateway.policy.bundle import MAX_BYTES, MAX_FILES, Bundle, BundleRefused, Problem, bundle_of
from gateway.policy.trial import try_out
from gateway.replay.desk import TRIAL_DECISION_SECONDS
from gateway.replay.jobs import Job
from gateway.replay.runner import ReplayFailed
from gateway.services import services_of
from gateway.vocabulary import Event, Permission

router = APIRouter()

MAX_DAYS = 30
MAX_PROBLEMS = 50
Files = Annotated[dict[Annotated[str, Field(max_length=512)], str], Field(min_length=1, max_length=MAX_FILES)]
"""Path in the folder -> its bytes in base64."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class RulesBody(_Body):
    """Rules to try: files, or where rules are managed a draft's newest version, or a revision. One of the three."""

    files: Files | None = None
    draft: Annotated[str, Field(max_length=64)] = ""
    revision: Annotated[str, Field(max_length=64)] = ""


class ReplayBody(RulesBody):
    """A candidate, and what to hold it against: the rules in force, or others."""

    against: RulesBody | None = None
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 7


class PreviewBody(RulesBody):
    """A candidate and one input: that of a past request, or one that somebody wrote."""

    request_id: Annotated[str, Field(max_length=64)] = ""
    stage: Annotated[str, Field(pattern="^(request|prompt|upload|output|)$")] = ""
    input: dict[str, Any] | None = None


@router.post("/v1/policy/replays", status_code=202)
async def start(request: Request, body: ReplayBody) -> dict[str, Any]:
    """Begin one; ask for it by its id until it is done."""
    actor = await require(request, Permission.POLICY_REPLAY)
    services = services_of(request)
    candidate = await _rules(request, body)
    against = None if body.against is None else await _rules(request, body.against)
    content = {"candidate": candidate.digest, "against": "" if against is None else against.digest, "days": body.days}
    await services.record(Event.POLICY_REPLAY, actor, origin_of(request), content=content)
    return job_json(await services.replaying.replays.start(candidate, against, days=body.days, by=actor.id))


@router.get("/v1/policy/replays")
async def replays(request: Request) -> dict[str, Any]:
    """Those that are kept, whichever gateway runs them: the newest first, without their reports."""
    await require(request, Permission.POLICY_REPLAY)
    found = await services_of(request).replaying.replays.list()
    return {"object": "list", "data": [job_json(job) for job in found]}


@router.get("/v1/policy/replays/{replay_id}")
async def replay(request: Request, replay_id: str) -> dict[str, Any]:
    """How far it is, or its report."""
    await require(request, Permission.POLICY_REPLAY)
    return job_json(await services_of(request).replaying.replays.get(replay_id))


@router.delete("/v1/policy/replays/{replay_id}")
async def cancel(request: Request, replay_id: str) -> dict[str, Any]:
    """End it, whichever gateway runs it. One that goes on a moment longer says so: `cancel_asked`."""
    await require(request, Permission.POLICY_REPLAY)
    return job_json(await services_of(request).replaying.replays.cancel(replay_id))


@router.post("/v1/policy/previews")
async def preview(request: Request, body: PreviewBody) -> dict[str, Any]:
    """One decision by a candidate and by the rules in force, explained."""
    actor = await require(request, Permission.POLICY_REPLAY)
    services = services_of(request)
    if (body.input is None) == (not body.request_id):
        raise InvalidRequest("Give the id of a past request, or an input: one of the two.", param="input")
    candidate = await _rules(request, body)
    content = {"candidate": candidate.digest, "request_id": body.request_id}
    await services.record(Event.POLICY_PREVIEW, actor, origin_of(request), content=content)
    document = body.input or await services.replaying.replays.input_of(body.request_id, body.stage)
    try:
        told = await services.replaying.replays.preview(candidate, document)
    except BundleRefused as refused:
        raise _refused(refused) from refused
    except ReplayFailed as failed:
        raise InvalidRequest(f"There is no answer: {failed}.", param="files") from failed
    return {"object": "policy.preview", "request_id": body.request_id, "input": document, **told}


@router.put("/v1/policy/shadow")
async def start_shadow(request: Request, body: RulesBody) -> dict[str, Any]:
    """From now on the candidate decides beside the rules in force, and changes nothing."""
    actor = await require(request, Permission.POLICY_REPLAY)
    services = services_of(request)
    candidate = await _rules(request, body)
    try:
        rules = await try_out(candidate, decision_seconds=TRIAL_DECISION_SECONDS)
    except BundleRefused as refused:
        raise _refused(refused) from refused
    await services.record(Event.SHADOW_START, actor, origin_of(request), content={"candidate": candidate.digest})
    shadow = await services.replaying.shadows.start(rules, by=actor.id)
    return {"object": "policy.shadow", **shadow.report()}


@router.get("/v1/policy/shadow")
async def shadow(request: Request) -> dict[str, Any]:
    """How it compares so far."""
    await require(request, Permission.POLICY_REPLAY)
    current = services_of(request).replaying.shadows.current
    if current is None:
        raise NotFound("No rules are in the shadow.")
    return {"object": "policy.shadow", **current.report()}


@router.delete("/v1/policy/shadow")
async def stop_shadow(request: Request) -> dict[str, Any]:
    """End it; answers with the last report."""
    actor = await require(request, Permission.POLICY_REPLAY)
    services = services_of(request)
    ended = await services.replaying.shadows.stop()
    if ended is None:
        raise NotFound("No rules are in the shadow.")
    report = ended.report()
    told = {name: report[name] for name in ("candidate", "compared", "dropped", "different", "changes")}
    await services.record(Event.SHADOW_END, actor, origin_of(request), content=told)
    return {"object": "policy.shadow", **report}


def job_json(job: Job) -> dict[str, Any]:
    """A replay as programs see it."""
    return {
        "object": "policy.replay",
        "id": job.id,
        "status": job.state.value,
        "by": job.by,
        "days": job.days,
        "created_at": job.created_at.isoformat(),
        "candidate": job.candidate_digest,
        "against": job.against_digest or None,
        "baseline": job.baseline_digest or None,
        "done": job.done,
        "total": job.total,
        "cancel_asked": job.is_cancel_asked,
        "failure": job.failure,
        "problems": [problem_json(problem) for problem in job.problems[:MAX_PROBLEMS]],
        "report": job.report,
    }


def problem_json(problem: Problem) -> dict[str, Any]:
    """What is wrong with a file, and where."""
    return {"path": problem.path, "line": problem.line, "column": problem.column, "message": problem.message}


async def _rules(request: Request, body: RulesBody) -> Bundle:
    """Raises InvalidRequest, NotFound."""
    if sum(map(bool, (body.files, body.draft, body.revision))) != 1:
        raise InvalidRequest("Give files, a draft or a revision: one of the three.", param="files")
    if body.files is not None:
        return _bundle(body.files, "files")
    desk = services_of(request).policy_desk
    if desk is None:
        raise NotFound("The rules of this gateway come from a folder (policy.source): send files.")
    if body.draft:
        return await desk.drafts.bundle((await desk.drafts.get(body.draft)).version)
    return await desk.store.bundle((await desk.store.find(body.revision)).digest)


def _bundle(files: Mapping[str, str], param: str) -> Bundle:
    """Raises InvalidRequest."""
    found: dict[str, bytes] = {}
    for path, text in files.items():
        parts = path.split("/")
        if not path.isprintable() or "\\" in path or any(part in ("", ".", "..") for part in parts):
            raise InvalidRequest(f"{param}: a path must be relative, with / between plain names.", param=param)
        try:
            found[path] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequest(f"{param}: the contents of files are expected in base64.", param=param) from None
    if sum(map(len, found.values())) > MAX_BYTES:
        raise InvalidRequest(f"{param}: more than {MAX_BYTES} bytes together.", param=param)
    return bundle_of(found)


def _refused(refused: BundleRefused) -> InvalidRequest:
    told = "; ".join(map(str, refused.problems[:5]))
    return InvalidRequest(f"These rules could not come into force: {told}"[:2000], param="files")
