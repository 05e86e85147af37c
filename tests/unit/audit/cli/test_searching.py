"""``python -m audit search`` with the query language."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from typer.testing import CliRunner

from audit.cli import app

runner = CliRunner()


def invoke(*arguments: object, code: int = 0) -> str:
    # In a thread: the command runs an event loop of its own, and the tests have one already.
    with ThreadPoolExecutor(1) as executor:
        result = executor.submit(runner.invoke, app, [str(argument) for argument in arguments]).result()
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
async def place(house: Any, make: Any) -> Any:
    async with house.open() as log:
        await make.request(log, "alice", "deny", reasons=("dlp.payment-card",))
        await make.request(log, "bob")
        await make.request(log, "alice")
    house.options = ("--kek", house.settings.kek_path, "--signing-key", house.settings.signing_key_path)
    house.options += ("--reader", "dana", "--now", "2026-11-22T13:00:00Z")
    return house


async def test_a_text_and_the_options_must_both_hold(place: Any) -> None:
    found = json.loads(
        invoke("search", place.store, "actor:alice created:2h", *place.options, "--effect", "deny", "--json")
    )
    assert [row["reasons"] for row in found["rows"]] == [["dlp.payment-card"]]
    nothing = invoke("search", place.store, "created:30min", *place.options, "--actor", "alice")
    assert nothing == ""


async def test_counts_are_told_on_request(place: Any) -> None:
    text = invoke("search", place.store, "action:image:*", *place.options, "--facets")
    assert "3 found\n" in text
    assert "  effect   allow 2  deny 1\n" in text
    assert "  reason   dlp.* 1\n" in text
    assert "Alice" not in text[text.index("3 found") :]


async def test_a_search_with_a_relative_time_goes_on_as_it_was_understood(place: Any) -> None:
    first = invoke("search", place.store, "created:2h actor:alice", *place.options, "--limit", "1").splitlines()
    understood, cursor = first[1].removeprefix("as understood: "), first[2].split()[-1]
    later = [*place.options[:-1], "2026-11-22T13:30:00Z"]
    rest = invoke("search", place.store, understood, *later, "--cursor", cursor)
    assert "deny  Alice" in rest
    assert len(rest.splitlines()) == 1
    refused = invoke("search", place.store, "created:2h actor:alice", *later, "--cursor", cursor, code=2)
    assert "cursor belongs to a search with other conditions" in refused
