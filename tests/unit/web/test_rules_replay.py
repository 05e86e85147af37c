"""The page of a replay, over a report as the replay makes it: whatever people and rules are called, it is text."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from starlette.requests import Request

from gateway.lifecycle.drafts import Draft, Version
from gateway.replay.decider import Outcome
from gateway.replay.jobs import LOST, Job, State
from gateway.replay.report import KINDS, Tally
from gateway.vocabulary import Effect
from gateway.web.rules_shared import address
from gateway.web.templates import render

AT = datetime(2026, 11, 26, tzinfo=UTC)
HOSTILE = "<script>document.title='pwned'</script>"


def outcome(effect: Effect, *codes: str) -> Outcome:
    return Outcome(effect=effect, codes=codes, rules=codes, obligations="{}", error="")


def report() -> dict[str, Any]:
    tally = Tally(minutes_per_review=4)
    changes = (
        (Effect.ALLOW, Effect.DENY),
        (Effect.ALLOW, Effect.REVIEW),
        (Effect.DENY, Effect.ALLOW),
        (Effect.ALLOW, Effect.ALLOW),
    )
    for n, (before, after) in enumerate(changes):
        document = {
            "request_id": f"r{n}",
            "time": "2026-11-25T10:00:00Z",
            "action": "image:generate",
            "stage": "request",
            "subject": {"id": f"company|{HOSTILE}{n}", "department": HOSTILE},
            "resource": {"model": HOSTILE, "cost_credits": 1},
        }
        was, would = outcome(before, "hours.closed"), outcome(after, "count.not-permitted")
        tally.add(document, recorded=was, before=was, after=would, lacking=["subject.country"])
    return {"days": 7, **tally.report()}


def shown(job: Job | None, **more: Any) -> str:
    version = Version(
        draft="d", number=2, base="b" * 64, changes={}, digest="c" * 64, saved_by="ann", saved_at=AT, note=""
    )
    draft = Draft(id="d", title=HOSTILE, state="open", opened_by="ann", opened_at=AT, version=version)
    visitor = SimpleNamespace(
        name="Ann", email="", department="", roles=(), places=(), own_places=(), csrf_token="t", conflicts=()
    )
    context = {
        "visitor": visitor,
        "draft": draft,
        "address": address,
        "is_upon": True,
        "report": None,
        "may_write": True,
        "may_replay": True,
        "trouble": None,
        "job": job,
        "jobs": [] if job is None else [job],
        "is_over": job is not None and job.has_ended,
        "is_newest": True,
        "kinds": KINDS,
        "most_days": 30,
    }
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b"", "state": {}}
    return render("rules_replay.html", Request(scope), context | more)


def job(state: State, **more: Any) -> Job:
    return Job(
        id="j1", by="ann", days=7, created_at=AT, candidate_digest="c" * 64, against_digest="", state=state, **more
    )


def test_a_report_says_whom_it_hits_and_shows_names_as_text() -> None:
    html = shown(job(State.DONE, report=report()))
    assert HOSTILE not in html
    assert "now denied" in html
    assert "too many pictures at once" in html
    assert "input.subject.country" in html
    assert html.count("Try this one") == 3
    assert "/rules/drafts/d/preview?request=r0" in html


def test_every_state_of_a_replay_has_its_words() -> None:
    assert "Replay" in shown(None)
    assert "Waits for another replay" in shown(job(State.WAITING))
    running = shown(job(State.RUNNING, done=1200, total=5000))
    assert "1,200 of 5,000 decisions" in running
    assert 'value="cancel"' in running
    assert "is being cancelled" in shown(job(State.RUNNING, is_cancel_asked=True))
    assert LOST in shown(job(State.LOST, failure=LOST))
    assert "was cancelled" in shown(job(State.CANCELLED))
    assert "took too long" in shown(job(State.FAILED, failure="took too long"))
    assert "nothing to replay" in shown(job(State.DONE, report={"days": 7, **Tally(minutes_per_review=1).report()}))
    assert "earlier version" in shown(job(State.DONE, report=report()), is_newest=False)
    assert "does not replay" in shown(None, may_replay=False)
