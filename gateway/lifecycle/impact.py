"""Whom a change would have hit: a replay's findings, frozen into the proposal that they speak for.

The second person agrees to a digest over the proposal, so to these figures too. A replay of other files, or against
other rules than those that the change is upon, speaks for another change and is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.errors import InvalidRequest

COUNTS: Final = ("newly_denied", "newly_reviewed", "newly_masked", "newly_allowed", "no_longer_masked")
MAX_DEPARTMENTS: Final = 20
LITTLE: Final = 0.9
"""Below this share an impact report is marked."""
REPLAY: Final = "Replay"
"""The line that names the replay."""
NO_IMPACT: Final = "Nobody made an impact report: whom this would have hit on past requests is not known."


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A replay that ended, as far as it matters here."""

    id: str
    candidate: str
    baseline: str
    """Digests of the two sets of files."""
    days: int
    ended_at: datetime | None
    """None while it runs."""
    report: Mapping[str, Any] | None
    """None unless it is done."""


FindReplay = Callable[[str], Awaitable[Replayed]]
"""By id. Raises NotFound."""


def frozen(replayed: Replayed, *, digest: str, base: str) -> dict[str, Any]:
    """What a proposal keeps of it. Names no person: a proposal is kept for ever. Raises InvalidRequest."""
    if replayed.report is None or replayed.ended_at is None:
        raise InvalidRequest("That replay has no report: it is not done, or it failed.", param="impact")
    if replayed.candidate != digest:
        raise InvalidRequest(
            f"That replay was of {replayed.candidate[:12]}, the draft is {digest[:12]}. Replay the draft as it is now.",
            param="impact",
        )
    if replayed.baseline != base:
        raise InvalidRequest(
            f"That replay was against {replayed.baseline[:12]}, the draft is upon {base[:12]}. Replay it again.",
            param="impact",
        )
    report = replayed.report
    return {
        "replay": replayed.id,
        "made_at": replayed.ended_at.isoformat(),
        "days": replayed.days,
        "requests": report["requests"],
        "replayable_share": report["replayable"]["share"],
        **{name: report[name] for name in COUNTS},
        "people": report["people_affected"],
        "departments": [
            {"name": one["name"], "requests": sum(one[name] for name in COUNTS)}
            for one in report["departments"][:MAX_DEPARTMENTS]
        ],
        "reviewer_minutes": dict(report["reviewer_minutes"]),
    }


def lines_of(impact: Mapping[str, Any] | None, now: datetime) -> list[tuple[str, str]]:
    """The same in words."""
    if impact is None:
        return [("Impact", NO_IMPACT)]
    hours = (now - datetime.fromisoformat(impact["made_at"])).total_seconds() / 3600
    age = f"{hours * 60:.0f} minutes" if hours < 1 else f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    counted = ", ".join(f"{impact[name]} {name.replace('_', ' ')}" for name in COUNTS if impact[name])
    hit = ", ".join(f"{one['name'] or 'no department'} ({one['requests']})" for one in impact["departments"])
    before, after = impact["reviewer_minutes"]["before"], impact["reviewer_minutes"]["after"]
    return [
        ("Impact", f"{counted or 'no request ends otherwise'}, of {impact['requests']} in {impact['days']} days"),
        ("People whom it hits", f"{impact['people']}"),
        *([("Departments", hit)] if hit else []),
        ("Minutes of reviewers", f"{before:g} before, {after:g} after"),
        ("How far to trust it", f"exact for {impact['replayable_share']:.1%} of the requests, made {age} ago"),
        (REPLAY, str(impact["replay"])),
    ]


def warnings_of(impact: Mapping[str, Any] | None) -> list[str]:
    """What the second person should look at twice."""
    if impact is None:
        return [NO_IMPACT]
    if not impact["requests"]:
        return ["The impact report knows no past requests: whom this hits is not known."]
    if impact["replayable_share"] < LITTLE:
        return [f"Only {impact['replayable_share']:.0%} of the requests could be replayed exactly."]
    return []
