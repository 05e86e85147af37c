"""Adding up what a candidate would have done: by request, person, department and reason.

A request is decided in up to four stages and stops at the first refusal. What came after a stop was never seen, so a
candidate that goes on where the record stops is *incomplete*: it would have got further, and nobody knows how far.
Requests are closed in the order they began; only so many stay open at once, so memory does not grow with the days.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.replay.decider import Outcome
from gateway.vocabulary import Effect

MAX_OPEN: Final = 20_000
MAX_SAMPLES: Final = 20
MAX_ALIKE: Final = 3
"""Samples of the same change; the rest is for other ones."""
MAX_LISTED: Final = 100
STOPS: Final = (Effect.DENY, Effect.REVIEW)


@dataclass(slots=True)
class _Request:
    """One request while its stages come in."""

    subject: Mapping[str, Any]
    at: str
    action: str
    model: str
    credits: int
    before: list[Outcome] = field(default_factory=list)
    after: list[Outcome] = field(default_factory=list)
    recorded_stop: bool = False
    lacking: bool = False
    document: Mapping[str, Any] | None = None
    """The input of the first stage that came out differently."""


@dataclass(frozen=True, slots=True)
class _End:
    """How a request ends under one set of rules."""

    effect: Effect
    codes: tuple[str, ...]
    is_known: bool


class Tally:
    """Takes decisions in the order they were made; `report` closes it."""

    def __init__(self, *, minutes_per_review: float) -> None:
        self._minutes = minutes_per_review
        self._open: OrderedDict[str, _Request] = OrderedDict()
        self.decisions = 0
        self._requests = 0
        self._drift = 0
        self._lacking: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._not_replayable = self._incomplete = 0
        self._effects: Counter[tuple[Effect, Effect]] = Counter()
        self._same_effect = Counter[str]()
        self._kinds: Counter[str] = Counter()
        self._people: dict[str, Counter[str]] = defaultdict(Counter)
        self._department_of: dict[str, str] = {}
        self._departments: dict[str, Counter[str]] = defaultdict(Counter)
        self._reasons: dict[str, Counter[str]] = defaultdict(Counter)
        self._credits: Counter[str] = Counter()
        self._reviews: Counter[str] = Counter()
        self._alike: Counter[tuple[Any, ...]] = Counter()
        self.samples: list[dict[str, Any]] = []
        self._first_at = self._last_at = ""

    def add(
        self,
        document: Mapping[str, Any],
        *,
        recorded: Outcome,
        before: Outcome,
        after: Outcome,
        lacking: Sequence[str] = (),
    ) -> None:
        """One decision: as it was recorded, by the rules of comparison, by the candidate."""
        self.decisions += 1
        self._first_at, self._last_at = self._first_at or document["time"], document["time"]
        self._drift += (recorded.effect, recorded.codes) != (before.effect, before.codes)
        self._lacking.update(lacking)
        if after.error:
            self._errors[after.error] += 1
        request = self._open.get(document["request_id"])
        if request is None:
            request = self._open[document["request_id"]] = _Request(
                subject=document["subject"],
                at=document["time"],
                action=document["action"],
                model=document["resource"]["model"],
                credits=document["resource"]["cost_credits"],
            )
            if len(self._open) > MAX_OPEN:
                self._close(*self._open.popitem(last=False))
        request.before.append(before)
        request.after.append(after)
        request.recorded_stop = recorded.effect in STOPS
        request.lacking |= bool(lacking) or bool(after.error)
        if request.document is None and (before.effect, before.codes) != (after.effect, after.codes):
            request.document = document

    def report(self) -> dict[str, Any]:
        """Everything, as JSON; `samples` lack their explanations."""
        while self._open:
            self._close(*self._open.popitem(last=False))
        replayable = self._requests - self._not_replayable
        return {
            "from": self._first_at,
            "to": self._last_at,
            "decisions": self.decisions,
            "requests": self._requests,
            "replayable": {
                "requests": replayable,
                "share": 1.0 if self._requests == 0 else round(replayable / self._requests, 6),
                "incomplete": self._incomplete,
                "lacking_facts": [{"fact": f"input.{name}", "decisions": n} for name, n in self._lacking.most_common()],
                "errors": [{"place": place, "decisions": n} for place, n in self._errors.most_common(MAX_LISTED)],
                "recorded_differently": self._drift,
            },
            **{kind: self._kinds[kind] for kind in KINDS},
            "effects": [
                {"from": before.value, "to": after.value, "requests": n}
                for (before, after), n in sorted(self._effects.items())
            ],
            "same_effect_other_reasons": self._same_effect["reasons"],
            "same_effect_other_obligations": self._same_effect["obligations"],
            "people_affected": len(self._people),
            "people": [
                {"id": actor, "department": self._department_of[actor], **_by_kind(kinds)}
                for actor, kinds in _most(self._people)
            ],
            "departments": [{"name": name, **_by_kind(kinds)} for name, kinds in _most(self._departments)],
            "reasons": [
                {"code": code, "before": counts["before"], "after": counts["after"]}
                for code, counts in sorted(
                    self._reasons.items(), key=lambda item: (-abs(item[1]["after"] - item[1]["before"]), item[0])
                )[:MAX_LISTED]
            ],
            "credits": {"before": self._credits["before"], "after": self._credits["after"]},
            "reviews": {"before": self._reviews["before"], "after": self._reviews["after"]},
            "reviewer_minutes": {
                "before": round(self._reviews["before"] * self._minutes, 1),
                "after": round(self._reviews["after"] * self._minutes, 1),
            },
            "samples": self.samples,
        }

    def _close(self, request_id: str, request: _Request) -> None:
        self._requests += 1
        before, after = _end(request.before, request.recorded_stop), _end(request.after, request.recorded_stop)
        self._incomplete += not after.is_known
        self._not_replayable += request.lacking or not after.is_known
        self._effects[before.effect, after.effect] += 1
        for name, end in (("before", before), ("after", after)):
            for code in end.codes:
                self._reasons[code][name] += 1
            if end.effect in STOPS:
                self._reviews[name] += end.effect is Effect.REVIEW
            else:
                self._credits[name] += request.credits
        kind = kind_of(before.effect, after.effect)
        if not kind:
            obligations = [o.obligations for o in request.before] != [o.obligations for o in request.after]
            self._same_effect["reasons"] += before.codes != after.codes
            self._same_effect["obligations"] += before.codes == after.codes and obligations
            return
        actor, department = request.subject["id"], request.subject["department"]
        self._kinds[kind] += 1
        self._people[actor][kind] += 1
        self._department_of[actor] = department
        self._departments[department][kind] += 1
        alike = (before.effect, after.effect, after.codes or before.codes)
        if len(self.samples) < MAX_SAMPLES and self._alike[alike] < MAX_ALIKE and request.document is not None:
            self._alike[alike] += 1
            self.samples.append(
                {
                    "request_id": request_id,
                    "at": request.at,
                    "person": actor,
                    "department": department,
                    "action": request.action,
                    "model": request.model,
                    "stage": request.document["stage"],
                    "change": kind,
                    "before": {"effect": before.effect.value, "reasons": list(before.codes)},
                    "after": {"effect": after.effect.value, "reasons": list(after.codes), "known": after.is_known},
                    "input": request.document,
                }
            )


KINDS: Final = ("newly_denied", "newly_reviewed", "newly_masked", "newly_allowed", "no_longer_masked")


def kind_of(before: Effect, after: Effect) -> str:
    """What a change of effect is called; empty when there is none."""
    if before is after:
        return ""
    if after is Effect.DENY:
        return "newly_denied"
    if after is Effect.REVIEW:
        return "newly_reviewed"
    if before in STOPS:
        return "newly_allowed"
    return "newly_masked" if after is Effect.MASK else "no_longer_masked"


def _end(stages: Sequence[Outcome], recorded_stop: bool) -> _End:
    codes: list[str] = []
    effect = Effect.ALLOW
    for stage in stages:
        if stage.effect in STOPS:
            return _End(stage.effect, stage.codes, True)
        if stage.effect is Effect.MASK:
            effect = Effect.MASK
        codes += stage.codes
    return _End(effect, tuple(dict.fromkeys(codes)), not recorded_stop)


def _by_kind(kinds: Counter[str]) -> dict[str, int]:
    return {kind: kinds[kind] for kind in KINDS}


def _most(found: Mapping[str, Counter[str]]) -> list[tuple[str, Counter[str]]]:
    return sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))[:MAX_LISTED]


def as_table(report: Mapping[str, Any]) -> str:
    """The report for people at a terminal."""
    can = report["replayable"]
    lines = [
        f"Replayed {report['decisions']} decisions of {report['requests']} requests, from {report['from'] or '-'} "
        f"to {report['to'] or '-'}.",
        f"Rules compared: {report['baseline']['revision']} -> {report['candidate']['revision']}",
        f"Exact for {can['share']:.1%} of requests; {can['incomplete']} would go on where the record stops.",
    ]
    if can["recorded_differently"]:
        lines.append(f"{can['recorded_differently']} decisions were made by other rules then, and differently.")
    for lack in can["lacking_facts"]:
        lines.append(f"  {lack['decisions']} inputs lack {lack['fact']}, which the candidate reads")
    for error in can["errors"]:
        lines.append(f"  {error['decisions']} inputs: the candidate {error['place']}")
    lines.append("")
    lines += [f"{kind.replace('_', ' '):<18}{report[kind]:>8} requests" for kind in KINDS]
    lines.append(f"{'people affected':<18}{report['people_affected']:>8}")
    for name, unit in (("credits", "credits"), ("reviewer_minutes", "minutes")):
        lines.append(f"{name.replace('_', ' '):<18}{report[name]['before']:>8} -> {report[name]['after']} {unit}")
    for title, key, name in (("Departments", "departments", "name"), ("People", "people", "id")):
        if report[key]:
            lines += ["", f"{title:<40}" + "".join(f"{kind.split('_')[-1]:>10}" for kind in KINDS)]
            lines += [f"{row[name] or '-':<40}" + "".join(f"{row[kind]:>10}" for kind in KINDS) for row in report[key]]
    moved = [row for row in report["reasons"] if row["before"] != row["after"]]
    if moved:
        lines += ["", f"{'Reasons':<40}{'before':>10}{'after':>10}"]
        lines += [f"{row['code']:<40}{row['before']:>10}{row['after']:>10}" for row in moved]
    for sample in report["samples"]:
        before, after = sample["before"]["effect"], sample["after"]["effect"]
        lines += ["", f"{sample['request_id']} {sample['at']} {sample['person']}: {before} -> {after}"]
        for reason in (sample.get("explanation") or {}).get("reasons", ()):
            lines.append(f"  {reason['code']}: {reason['rule']} ({reason['path']}:{reason['line']})")
            for condition in reason["conditions"]:
                facts = ", ".join(
                    f"{f['name']} is missing" if f["missing"] else f"{f['name']} = {json.dumps(f['value'])}"
                    for f in condition["facts"]
                )
                lines.append(f"    {condition['path']}:{condition['line']}: {condition['condition']}  {facts}".rstrip())
    return "\n".join(lines)
