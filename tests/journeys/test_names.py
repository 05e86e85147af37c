"""Names of people beside a cue, from outside: a rule that watches stops nobody, one in force has a person look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from demo.stack import Stack
from tests.support.person import PersonAt

pytestmark = pytest.mark.timeout(240)

RULE = "dlp/person-name-in-context.yaml"
NAMED = "a birthday card for our customer Anna Berger"
TYPE = "dlp.person-name-in-context"
OTHERS = (
    "portrait of Ada Lovelace",
    "a happy customer in a bakery, by Greg Rutkowski",
    "a card for our customer Jane Doe",
)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("names"), say=lambda _: None) as made:
        yield made


async def test_a_rule_that_watches_stops_nobody_and_one_in_force_has_a_person_look(company: Stack) -> None:
    async with PersonAt(company, "alice") as alice, PersonAt(company, "bob") as bob:
        made = await alice.generate(NAMED)
        assert made.status_code == 200, made.text[:500]
        said = await alice.client.post("/v1/moderations", json={"input": NAMED}, headers=alice.unsafe)
        [result] = said.raise_for_status().json()["results"]
        [finding] = result["findings"]
        assert (finding["type"], finding["effect"], result["flagged"]) == (TYPE, "allow", False)
        assert NAMED[finding["start"] : finding["end"]] == "Anna Berger"

        path = company.policies / RULE
        path.write_text(path.read_text("utf-8").replace("mode: monitor", "mode: enforce"), encoding="utf-8")
        async with asyncio.timeout(30):
            while (held := await alice.generate(NAMED)).status_code == 200:
                await asyncio.sleep(0.5)
        assert held.status_code == 403, held.text[:500]
        assert TYPE in held.text
        assert "made-up" in held.text
        assert "Anna Berger" not in held.text
        before = await alice.credits()
        row = await bob.effect_of((await alice.generate(NAMED)).headers["x-request-id"])
        assert row["effect"] == "review"
        assert await alice.credits() == before
        for prompt in OTHERS:
            answer = await alice.generate(prompt)
            assert answer.status_code == 200, (prompt, answer.text[:500])
