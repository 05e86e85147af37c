"""Searching gives, on every store, what a plain scan of the plain text would give.

Hypothesis makes up what happens to a log (requests of several days, tenants and classes, accesses, purges, erasures)
and what is asked of it, with more happening between two pages of one answer. ``Plain`` keeps all of it as plain values
and answers the same questions in a few lines of Python.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from audit import AuditLog, AuditSettings, Entry, Query, QueryInvalid, Subject, Ticket
from audit.migrations.migrate import upgrade
from audit.query import Condition, Field, Page
from audit.record import LATENCY_BUCKETS_MS
from tests.support.postgres import fresh_database

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)

ACTORS = ("alice", "bob", 'carol "c", o\\n')
GROUPS = ("writers", "readers")
WORDS = ("fox", "wolf", "bär", "quarterly", "report")
ACTIONS = ("image:generate", "image:edit", "auth:sign-in")
EFFECTS = ("allow", "deny", "mask", "unknown")
REASONS = ("dlp.payment-card", "dlp.iban", "dlp", "dlpx.other", "mfa.stale")
MODELS = ("", "small", "small-2", "large")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody does, in plain text."""

    actor: str
    groups: tuple[str, ...]
    words: tuple[str, ...]
    action: str
    model: str
    class_: str
    tenant: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    effect: str
    reasons: tuple[str, ...]
    model: str
    class_: str
    credits: int
    latency_ms: int | None
    findings: tuple[str, ...]


@dataclass(kw_only=True)
class Known:
    """One event, as it really was."""

    event_id: str
    day: date
    seq: int
    at: datetime
    phase: str
    terms: set[tuple[str, str]]
    request: Request
    about: str = ""
    effect: str = ""
    ticket: Ticket | None = None
    outcome: Outcome | None = None
    outcome_seq: int | None = None
    is_erased: bool = False

    @property
    def effect_now(self) -> str:
        return self.outcome.effect if self.outcome else self.effect

    @property
    def models(self) -> set[str]:
        return {self.request.model} | ({self.outcome.model} if self.outcome else set())

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.outcome.reasons if self.outcome else ()

    @property
    def classes(self) -> set[str]:
        return {self.request.class_} | ({self.outcome.class_} if self.outcome else set())


@dataclass
class Plain:
    """The oracle."""

    kept_days: dict[str, int]
    events: list[Known] = field(default_factory=list)
    destroyed: set[tuple[date, str]] = field(default_factory=set)
    now: datetime = START

    def is_alive(self, day: date, class_: str) -> bool:
        return (day, class_) not in self.destroyed

    def purge(self) -> None:
        days = {event.day for event in self.events}
        for day, (class_, kept) in itertools.product(days, self.kept_days.items()):
            if self.now.date() > day + timedelta(days=kept):
                self.destroyed.add((day, class_))

    def matching(self, query: Query, below: tuple[date, int], horizon: int) -> list[Known]:
        """Newest first."""
        found = [
            event
            for event in self.events
            if event.request.tenant == query.tenant
            and event.seq < horizon
            and (event.day, event.seq) < below
            and (query.created_from is None or event.at >= query.created_from)
            and (query.created_to is None or event.at < query.created_to)
            and all(self._holds(condition, event) for condition in query.conditions)
        ]
        return sorted(found, key=lambda event: (event.day, event.seq), reverse=True)

    def _holds(self, condition: Condition, event: Known) -> bool:
        kind = BLIND.get(condition.field)
        if kind is not None:
            if condition.negated:
                is_known = all(self.is_alive(event.day, class_) for class_ in event.classes) and not event.is_erased
                return is_known and not any(self._has(event, kind, value) for value in condition.values)
            return any(self._has(event, kind, value) for value in condition.values)
        return any(PLAIN[condition.field](event, value) for value in condition.values) is not condition.negated

    def _has(self, event: Known, kind: str, value: str) -> bool:
        if event.is_erased:
            return False
        terms = value.split(" ") if kind == "word" else [value]
        # The head's terms go with the head's class, the outcome's with its own; the actor is in both.
        alive = {term for term in event.terms if self.is_alive(event.day, event.request.class_)}
        if event.outcome and self.is_alive(event.day, event.outcome.class_):
            alive |= {("actor", event.request.actor)} | {("finding", finding) for finding in event.outcome.findings}
        return all((kind, term) in alive for term in terms)


BLIND = {
    Field.ACTOR: "actor",
    Field.GROUP: "group",
    Field.FINDING: "finding",
    Field.TARGET: "target",
    Field.TEXT: "word",
}


def means(value: str, text: str) -> bool:
    return text.startswith(value[:-1]) if value.endswith("*") else text == value


def latency(event: Known, value: str) -> bool:
    if event.outcome is None or event.outcome.latency_ms is None:
        return False
    exact = event.outcome.latency_ms
    bound = next((bound for bound in LATENCY_BUCKETS_MS if exact <= bound), 10**9)
    low, _, high = value.partition("..")
    return int(low or 0) <= bound <= int(high or 10**12)


def credits_(event: Known, value: str) -> bool:
    low, dots, high = value.partition("..")
    spent = event.outcome.credits if event.outcome else 0
    return int(low or 0) <= spent <= int(high or 10**12) if dots else spent == int(low)


def stretch(value: str) -> tuple[datetime, datetime]:
    first, _, last = value.partition("..")
    return (
        datetime.fromisoformat(first).replace(tzinfo=UTC),
        datetime.fromisoformat(last or first).replace(tzinfo=UTC) + timedelta(days=1),
    )


PLAIN: dict[Field, Callable[[Known, str], bool]] = {
    Field.ACTION: lambda event, value: means(value, event.request.action),
    Field.EFFECT: lambda event, value: event.effect_now == ("" if value == "open" else value),
    Field.REASON: lambda event, value: any(means(value, reason) for reason in event.reasons),
    Field.MODEL: lambda event, value: any(means(value, model) for model in event.models),
    Field.PHASE: lambda event, value: event.outcome is not None if value == "outcome" else event.phase == value,
    Field.CLASS: lambda event, value: value in event.classes,
    Field.ID: lambda event, value: event.event_id == value,
    Field.ABOUT: lambda event, value: means(value, event.about),
    Field.NODE: lambda _, value: value == "node",
    Field.DAY: lambda event, value: stretch(value)[0].date() <= event.day < stretch(value)[1].date(),
    Field.CREATED: lambda event, value: stretch(value)[0] <= event.at < stretch(value)[1],
    Field.CREDITS: credits_,
    Field.LATENCY: latency,
    Field.BUNDLE: lambda event, value: event.outcome is not None and means(value, "2026.11.1"),
}

# -- what happens and what is asked. Stories are long, or rare meetings (a word in a purged class) never occur.

HAPPENINGS, QUESTIONS = 45, 40
VALUES: dict[Field, tuple[str, ...]] = {
    Field.ACTOR: (*ACTORS, "dana", "nobody"),
    Field.GROUP: (*GROUPS, "none"),
    Field.FINDING: ("dlp.iban", "face"),
    Field.TEXT: (*WORDS, "quarterly report", "fox wolf", "report bär", "wolf report fox"),
    Field.ACTION: (*ACTIONS, "image:*", "auth:*", "image:gen*", "audit:*"),
    Field.EFFECT: (*EFFECTS, "open"),
    Field.REASON: ("dlp.*", "dlp", "dlp.iban", "mfa.*", "d*", "x.*"),
    Field.MODEL: ("small", "small*", "large", "none"),
    Field.PHASE: ("intent", "outcome", "access", "admin"),
    Field.CLASS: ("standard", "abuse", "zero"),
    Field.NODE: ("node", "other"),
    Field.DAY: ("2026-11-20", "2026-11-21..2026-11-22", "2026-11-23"),
    Field.CREATED: ("2026-11-20", "2026-11-21..2026-11-22", "2026-11-23"),
    Field.CREDITS: ("0", "1..2", "3..", "..1"),
    Field.LATENCY: ("..50", "100..", "51..2000"),
    Field.BUNDLE: ("2026.11.1", "2026.*", "2027.*"),
}
OFTEN_ASKED = (
    *(Field.ACTOR, Field.GROUP, Field.TEXT, Field.TEXT, Field.FINDING),
    *(Field.EFFECT, Field.REASON, Field.ACTION),
)
Step = tuple[str, Any, Any]


def a_few(dice: Random, values: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(dice.sample(values, dice.randint(0, most)))


def a_request(dice: Random) -> Request:
    return Request(
        actor=dice.choice(ACTORS),
        groups=a_few(dice, GROUPS, 2),
        words=a_few(dice, WORDS, 4),
        action=dice.choice(ACTIONS),
        model=dice.choice(MODELS),
        class_=dice.choice(("standard", "standard", "standard", "zero")),
        tenant=dice.choice(("acme", "acme", "acme", "other")),
    )


def an_outcome(dice: Random) -> Outcome:
    return Outcome(
        effect=dice.choice(EFFECTS),
        reasons=a_few(dice, REASONS, 2),
        model=dice.choice(MODELS),
        class_=dice.choice(("standard", "standard", "abuse")),
        credits=dice.randint(0, 4),
        latency_ms=dice.choice((None, 20, 50, 51, 900, 400_000)),
        findings=a_few(dice, ("dlp.iban", "face"), 2),
    )


def a_happening(dice: Random) -> Step:
    kind = dice.choices(("request", "conclude", "show", "wait", "purge", "erase"), (12, 4, 2, 4, 1, 1))[0]
    if kind == "request":
        return kind, a_request(dice), an_outcome(dice) if dice.random() < 0.7 else None
    if kind == "conclude":
        return kind, dice.randint(0, 99), an_outcome(dice)
    if kind == "wait":
        return kind, dice.choice((60, 7_200, 40_000, 90_000)), None
    return kind, dice.randint(0, 99), None


def a_condition(dice: Random) -> Condition:
    name = dice.choice(OFTEN_ASKED) if dice.random() < 0.6 else dice.choice(list(VALUES))
    values = dice.sample(VALUES[name], dice.choice((1, 1, 2)))
    return Condition(name, tuple(values), dice.random() < 0.3)


def a_question(dice: Random) -> Step:
    moments = sorted(START + timedelta(seconds=dice.randint(0, 400_000)) for _ in range(2))
    asked = {
        "conditions": [a_condition(dice) for _ in range(dice.choice((0, 1, 1, 2, 2, 3)))],
        "about": (dice.choice((Field.ID, Field.TARGET, Field.ABOUT)), dice.randint(0, 99), dice.random() < 0.3)
        if dice.random() < 0.15
        else None,
        "created": tuple(moment if dice.random() < 0.2 else None for moment in moments),
        "limit": dice.choice((2, 5, 50, 50)),
        "tenant": dice.choice(("acme", "acme", "acme", "other")),
    }
    return "ask", asked, [a_happening(dice) for _ in range(2)]  # what happens between its pages


def a_story(dice: Random) -> list[Step]:
    told = [a_happening(dice) for _ in range(HAPPENINGS)]
    asked = [a_question(dice) for _ in range(QUESTIONS)]
    early = asked[: QUESTIONS // 3]  # most are asked at the end, of a log that has seen something
    for step in early:
        told.insert(dice.randint(5, len(told)), step)
    return told + asked[QUESTIONS // 3 :]


class Teller:
    """Plays a story to a real log and to the oracle."""

    def __init__(self, log: AuditLog, plain: Plain) -> None:
        self._log = log
        self._plain = plain

    async def play(self, step: Step) -> None:
        kind, what, more = step
        await getattr(self, f"_{kind}")(what, more)

    async def _wait(self, seconds: int, _: None) -> None:
        self._plain.now += timedelta(seconds=seconds)

    async def _request(self, request: Request, outcome: Outcome | None) -> None:
        if request.class_ == "zero":
            request = Request(**{**vars(request), "words": ()})
        entry = Entry(
            action=request.action,
            subject=Subject(actor=request.actor, groups=request.groups),
            class_=request.class_,
            tenant=request.tenant,
            model=request.model,
            index={"group": request.groups, "word": request.words},
        )
        ticket = await self._log.intend(entry)
        terms = {("actor", request.actor)}
        terms |= {("group", group) for group in request.groups} | {("word", word) for word in request.words}
        self._plain.events.append(
            Known(
                event_id=ticket.event_id,
                day=ticket.day,
                seq=ticket.seq,
                at=ticket.opened_at,
                phase="intent",
                terms=terms,
                request=request,
                ticket=ticket,
            )
        )
        if outcome is not None:
            await self._conclude_one(self._plain.events[-1], outcome)

    async def _conclude(self, number: int, outcome: Outcome) -> None:
        still_open = [
            event
            for event in self._plain.events
            if event.ticket and not event.outcome and not event.is_erased and self._is_writable(event.day)
        ]
        if still_open:
            await self._conclude_one(still_open[number % len(still_open)], outcome)

    def _is_writable(self, day: date) -> bool:
        return not any(destroyed == day for destroyed, _ in self._plain.destroyed)

    async def _conclude_one(self, event: Known, outcome: Outcome) -> None:
        if event.request.class_ == "zero" and outcome.class_ != "abuse":
            outcome = Outcome(**{**vars(outcome), "class_": "zero"})
        assert event.ticket is not None
        reference = await self._log.conclude(
            event.ticket,
            Entry(
                action=event.request.action,
                subject=Subject(actor=event.request.actor),
                class_=outcome.class_,
                tenant=event.request.tenant,
                effect=outcome.effect,
                reasons=outcome.reasons,
                model=outcome.model,
                bundle_revision="2026.11.1",
                credits=outcome.credits,
                latency_ms=outcome.latency_ms,
                index={"finding": outcome.findings},
            ),
        )
        event.outcome, event.outcome_seq = outcome, reference.seq

    async def _show(self, number: int, _: None) -> None:
        if self._plain.events:
            event = self._plain.events[number % len(self._plain.events)]
            view = await self._log.get(event.event_id, looked_by=Subject(actor="dana"), tenant=event.request.tenant)
            self._access(view.access, "audit:record:show", event.request.tenant, event.event_id)

    def _access(self, access: Any, action: str, tenant: str, target: str = "") -> None:
        self._plain.events.append(
            Known(
                event_id=access.event_id,
                day=access.recorded_at.date(),
                seq=access.seq,
                at=access.recorded_at,
                phase="access",
                terms={("actor", "dana")} | ({("target", target)} if target else set()),
                request=Request(
                    actor="dana", groups=(), words=(), action=action, model="", class_="standard", tenant=tenant
                ),
                about=target,
                effect="allow",
            )
        )

    async def _purge(self, _: None, __: None) -> None:
        await self._log.purge()
        self._plain.purge()

    async def _erase(self, number: int, _: None) -> None:
        whole = [
            event
            for event in self._plain.events
            if not event.is_erased and event.outcome and self._is_writable(event.day)
        ]
        if whole:
            event = whole[number % len(whole)]
            event.is_erased = True
            seqs = [event.seq, *([event.outcome_seq] if event.outcome_seq is not None else [])]
            await asyncio.to_thread(self._log._store.erase, seqs)

    async def _ask(self, asked: dict[str, Any], between: list[Any]) -> None:
        conditions = list(asked["conditions"])
        if asked["about"] is not None and self._plain.events:
            name, number, negated = asked["about"]
            target = self._plain.events[number % len(self._plain.events)].event_id
            conditions.append(Condition(name, (target,), negated))
        since, until = asked["created"]
        tenant, limit = asked["tenant"], asked["limit"]
        asking = {"tenant": tenant, "conditions": conditions, "created_from": since, "created_to": until}
        try:
            Query(**asking)
        except QueryInvalid as error:  # two stretches of time that have nothing in common
            assert "before it begins" in str(error)
            return
        cursor, below, horizon = None, (date.max, 0), None
        meanwhile = iter(between)
        while True:
            query = Query(**asking, limit=limit, cursor=cursor, with_facets=True)
            page = await self._log.search(query, searched_by=Subject(actor="dana"))
            horizon = page.access.seq if horizon is None else horizon
            expected = self._plain.matching(query, below, horizon)
            assert [row.event_id for row in page.rows] == [event.event_id for event in expected[:limit]]
            for row, event in zip(page.rows, expected, strict=False):
                self._check_row(row, event)
            self._check_counts(page, self._plain.matching(query, (date.max, 0), horizon))
            self._access(page.access, "audit:record:search", tenant)
            assert (page.next_cursor is not None) == (len(expected) > limit)
            if page.next_cursor is None:
                return
            cursor, last = page.next_cursor, expected[limit - 1]
            below = (last.day, last.seq)
            step = next(meanwhile, None)
            if step is not None:
                await self.play(step)

    def _check_row(self, row: Any, event: Known) -> None:
        readable = (
            not event.is_erased
            and event.request.class_ != "zero"
            and self._plain.is_alive(event.day, event.request.class_)
        )
        assert (row.subject.actor if row.subject else None) == (event.request.actor if readable else None)
        assert (row.effect, row.action, row.tenant) == (event.effect_now, event.request.action, event.request.tenant)

    def _check_counts(self, page: Page, matching: list[Known]) -> None:
        assert page.count is not None
        assert (page.count.number, page.count.is_exact) == (len(matching), True)
        counted = {name: {value.value: value.number for value in values} for name, values in page.facets.items()}
        assert counted == {
            "effect": Counter(event.effect_now or "open" for event in matching),
            "action": Counter(event.request.action for event in matching),
            "reason": Counter(
                family
                for event in matching
                for family in {f"{code.split('.')[0]}.*" if "." in code else code for code in event.reasons}
            ),
            "model": Counter(model for event in matching for model in event.models - {""}),
            "phase": Counter(event.phase for event in matching),
            "day": Counter(event.day.isoformat() for event in matching),
        }


async def tell(place: dict[str, Any], folder: Path, dice: Random) -> None:
    abuse = dice.choice((1, 5))  # a half may be gone before the other, whichever it is
    plain = Plain({"standard": 2, "zero": 2, "abuse": abuse})
    log = await AuditLog.open(
        AuditSettings(
            directory=folder / "log",
            kek_path=folder / "kek",
            signing_key_path=folder / "signing.pem",
            origin="example.com/audit",
            create_keys=True,
            checkpoint_interval_seconds=3600,
            retention_days=2,
            retention_days_by_class={"abuse": abuse},
            **place,
        ),
        clock=lambda: plain.now,
    )
    try:
        teller = Teller(log, plain)
        for step in a_story(dice):
            await teller.play(step)
    finally:
        await log.aclose()


@contextmanager
def _no_database() -> Iterator[dict[str, Any]]:
    yield {}


@contextmanager
def _database() -> Iterator[dict[str, Any]]:
    with fresh_database(upgrade) as url:
        yield {"database_url": url}


def _tell(place: Callable[[], AbstractContextManager[dict[str, Any]]], number: int) -> None:
    with place() as where, tempfile.TemporaryDirectory() as folder:
        asyncio.run(tell(where, Path(folder), Random(number)))


# A failing story is told again by its number; to shrink one takes longer than to read it.
TOLD = {"deadline": None, "phases": [Phase.explicit, Phase.reuse, Phase.generate]}


@settings(max_examples=12, **TOLD)
@given(number=st.integers(0, 2**32))
def test_search_equals_a_scan_of_the_plain_text_sqlite(number: int) -> None:
    _tell(_no_database, number)


@settings(max_examples=5, **TOLD)  # each in a database of its own
@given(number=st.integers(0, 2**32))
def test_search_equals_a_scan_of_the_plain_text_postgres(number: int) -> None:
    _tell(_database, number)
