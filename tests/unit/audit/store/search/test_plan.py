"""How a day is searched. Plans are looked at, not the clock: a sort, or a scan of everything, costs seconds at a
million records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from audit.query import Condition, Field, read_query
from audit.store.files.day_file import DayReader
from audit.store.port import DayView, StoreReader
from audit.store.search.choice import Part
from audit.store.search.plan import DayPlan, plan_days
from audit.store.search.tokens import DayClasses

T = TypeVar("T")
EVENT = "01a20320-a200-793b-b904-15780e4f403f"


@pytest.fixture
async def log(house: Any, make: Any) -> Any:
    async with house.open() as log:
        for number in range(60):
            effect, reasons = ("deny", ("dlp.iban",)) if number % 20 == 0 else ("allow", ())
            entry = make.intent("alice", index={"word": ("fox", "rare") if number == 7 else ("fox",)})
            ticket = await log.intend(entry)
            await log.conclude(ticket, make.outcome("alice", effect, reasons=reasons, class_="abuse"))
        await log.intend(make.intent("bob", action="image:edit"))
        yield log


async def planned(log: Any, house: Any, text: str, look: Callable[[DayPlan, DayView], T]) -> T:
    query = read_query(text, now=house.clock())

    def read(reader: StoreReader) -> T:
        day = reader.days()[-1]
        view = reader.day(day)
        assert view is not None
        plans = plan_days(query, reader, [Part(view, DayClasses(log._ring, query.tenant).on(day), 10_000)])
        assert plans, "nothing can match"
        return look(plans[0], view)

    found: T = await log._store.read(read)
    return found


def steps(plan: DayPlan, view: DayView) -> list[str]:
    assert isinstance(view, DayReader)
    merged = plan.merged(51)
    return [str(row[3]) for row in view.select(f"explain query plan {merged.text}", merged.parameters)]


@pytest.mark.parametrize(
    "text",
    [
        "actor:alice",
        "actor:alice,bob",
        "fox",
        '"fox rare"',
        "actor:alice fox -actor:bob",
        "effect:deny",
        "effect:deny,mask",
        "reason:dlp.iban",
        "reason:dlp.*",
        "action:image:*",
        "",
        "model:small",
        f"id:{EVENT}",
        "effect:deny -reason:mfa.* class:standard credits:0.. created:2026-11-22",
    ],
)
async def test_every_kind_of_query_walks_indexes_in_their_order_and_sorts_nothing(
    log: Any, house: Any, text: str
) -> None:
    found = await planned(log, house, text, steps)
    assert not any("TEMP B-TREE" in step for step in found), found
    # Without any condition that leads, the records are walked from the newest on: a table scanned by its key.
    leads = not text or text == "model:small"
    assert leads or not any(step.startswith("SCAN") for step in found), found


@pytest.mark.parametrize(
    ("text", "leader"),
    [
        ("actor:alice effect:deny", Field.EFFECT),
        ("actor:bob effect:deny", Field.ACTOR),  # both few
        ("fox rare", Field.TEXT),
        ("effect:deny reason:dlp.*", Field.EFFECT),
        ("action:image:* reason:dlp.*", Field.REASON),
        ("action:image:generate action:image:edit", Field.ACTION),
        ("effect:open actor:bob", Field.ACTOR),
        (f"actor:alice id:{EVENT}", Field.ID),
        ("model:small", None),
        ("-actor:alice", None),
        ("effect:open", None),
    ],
)
async def test_the_best_condition_leads(log: Any, house: Any, text: str, leader: Field | None) -> None:
    lead = await planned(log, house, text, lambda plan, _: plan.lead)
    assert (lead.condition.field if lead.condition else None) is leader


async def test_a_rare_condition_leads_before_a_frequent_one(log: Any, house: Any) -> None:
    lead = await planned(log, house, "group:writers action:image:edit", lambda plan, _: plan.lead)
    assert lead.condition is None or lead.condition.field is Field.GROUP  # an unknown group is the rarest of all
    frequent, rare = Condition(Field.TEXT, ("fox",)), Condition(Field.ACTION, ("image:edit",))
    lead = await planned(log, house, f"{frequent.text} {rare.text}", lambda plan, _: plan.lead)
    assert lead.condition == rare
    lead = await planned(log, house, '"fox rare"', lambda plan, _: plan.lead)
    assert not lead.is_exact


async def test_a_family_without_codes_on_a_day_ends_the_search_of_it(log: Any, house: Any) -> None:
    with pytest.raises(AssertionError, match="nothing can match"):
        await planned(log, house, "reason:mfa.* actor:alice", lambda plan, _: plan)
