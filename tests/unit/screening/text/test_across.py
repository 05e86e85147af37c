"""A value cut in two over two prompts is found; what is kept for that is little, and is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import screening_corpus as corpus
from gateway.screening.exact.key import ListKey
from gateway.screening.exact.lists import build, write
from gateway.screening.facade import Screening
from gateway.screening.text import recent as recent_module
from gateway.screening.text.recent import KEEP_SECONDS, MAX_PIECES, Recent, pieces_of
from gateway.vocabulary import Effect

POLICIES = Path(__file__).resolve().parents[4] / "policies"
SECRET = bytes(range(32))


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def made(clock: Clock) -> Screening:
    return Screening(directory=POLICIES, secret=SECRET, timeout_seconds=30, clock=clock)


@pytest.fixture
def fresh(made: Screening) -> Screening:
    """The rules take a second to load: one screening for all tests, in which nobody has sent anything yet."""
    for actor in ("p1", "p2"):
        made.forget(actor)
    return made


async def sent(screening: Screening, *prompts: str, actor: str = "p1") -> list[str]:
    """The types found at the last of several prompts."""
    found: list[str] = []
    for prompt in prompts:
        found = [finding.type for finding in await screening.screen_across(actor, prompt)]
    return found


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("a poster that reads 4111 1111", "the same, but 1111 1111", "dlp.payment-card"),
        ("a mug with 41111111", "now add 11111111 in gold", "dlp.payment-card"),
        ("a mug with 4111-1111-", "and 1111-1111 please", "dlp.payment-card"),
        ("an invoice, DE89 3704 0044", "then 0532 0130 00 below", "dlp.iban"),
        ("my ssn begins with 536-90", "and ends with 4399", "dlp.us-ssn"),
        ("a terminal with ghp_16C7e42F292c6912", "then E7710c838347Ae178B4a", "dlp.github-token"),
        ("４１１１ １１１１ wide", "1111 1111", "dlp.payment-card"),
    ],
)
async def test_a_value_over_two_prompts_is_found(fresh: Screening, first: str, second: str, kind: str) -> None:
    assert await sent(fresh, first) == []
    assert await sent(fresh, second) == [kind]


async def test_a_value_over_three_prompts_is_found(fresh: Screening) -> None:
    assert await sent(fresh, "say 4111", "say 1111", "say 1111 1111") == ["dlp.payment-card"]


async def test_the_finding_stops_the_request_and_says_why(fresh: Screening) -> None:
    await fresh.screen_across("p1", "a poster that reads 4111 1111")
    text = "the same, but 1111 1111 in red"
    [finding] = await fresh.screen_across("p1", text)
    assert text[finding.start : finding.end] == "1111 1111"
    assert finding.id == "before.f1"
    assert not finding.maskable
    assert finding.proposed is Effect.DENY
    assert finding.message.startswith("Put together with what you asked for just before:")
    assert finding.value_hmac == (await fresh.screen_prompt("4111 1111 1111 1111"))[0].value_hmac


async def test_another_person_s_prompt_completes_nothing(fresh: Screening) -> None:
    await sent(fresh, "a poster that reads 4111 1111", actor="p1")
    assert await sent(fresh, "the same, but 1111 1111", actor="p2") == []


async def test_after_ten_minutes_nothing_is_left(fresh: Screening, clock: Clock) -> None:
    await sent(fresh, "a poster that reads 4111 1111")
    clock.now += KEEP_SECONDS + 1
    assert await sent(fresh, "the same, but 1111 1111") == []


async def test_just_before_that_it_is_still_there(fresh: Screening, clock: Clock) -> None:
    await sent(fresh, "a poster that reads 4111 1111")
    clock.now += KEEP_SECONDS - 1
    assert await sent(fresh, "the same, but 1111 1111") == ["dlp.payment-card"]


async def test_a_person_can_be_forgotten(fresh: Screening) -> None:
    await sent(fresh, "a poster that reads 4111 1111")
    fresh.forget("p1")
    assert await sent(fresh, "the same, but 1111 1111") == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a cat, seed 4111111111", "a cat, seed 111111"),
        ("a cat, --seed 41111111", "a dog, --seed 11111111"),
        ("a cat, ISO 4111", "steps 111111111111"),
        ("the years 1999 2024", "and 2025"),
        ("a poster 4111 1111 1111 1112", "a poster 4111 1111 1111 1112"),
    ],
)
async def test_numbers_of_the_picture_are_not_put_together(fresh: Screening, first: str, second: str) -> None:
    assert await sent(fresh, first, second) == []


async def test_one_harmless_prompt_after_another_stops_nobody(fresh: Screening) -> None:
    stopped = [seed for seed in range(600) if await sent(fresh, corpus.benign(seed))]
    assert stopped == []


async def test_two_values_of_a_customer_in_two_prompts_are_found(tmp_path: Path, policies: Path) -> None:
    key = ListKey(SECRET)
    rows = [{"name": "Jane Roe", "account": "KD-48291"}, {"name": "Jürgen Müller", "account": "KD-48292"}]
    body, kept = build(key, rows, ("name", "account"))
    write(tmp_path / "customers.edm", key, ("name", "account"), body, kept.rows)
    screening = Screening(directory=policies, secret=SECRET, timeout_seconds=30, lists=tmp_path)
    assert await sent(screening, "a card for Jane Roe", "with KD-48292 on it") == []
    assert await sent(screening, "with KD-48291 on it") == ["dlp.customer-list"]


def test_little_is_kept(clock: Clock) -> None:
    memory = Recent(clock=clock)
    text = "Jane Roe of Berlin, " + ", ".join(f"no {number}" for number in range(1000, 1020)) + " and her secrets"
    memory.keep("p1", pieces_of(text), frozenset(), {})
    assert memory.before("p1").pieces == ("1016", "1017", "1018", "1019")
    assert len(memory.before("p1").pieces) == MAX_PIECES
    assert "1019" not in repr(memory) + repr(memory.before("p1")) + repr(pieces_of(text))


def test_the_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "MAX_ACTORS", 3)
    memory = Recent(clock=clock)
    for actor in "abcde":
        memory.keep(actor, pieces_of("say 4111"), frozenset(), {})
    assert len(memory) == 3
    assert memory.before("a").pieces == ()
    clock.now += KEEP_SECONDS + 1
    assert len(memory) == 0


async def test_screening_that_breaks_here_is_no_yes(fresh: Screening, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gateway.screening.facade.across", broken)
    assert await sent(fresh, "a cat") == ["screening.unavailable"]


async def test_no_piece_reaches_a_log(fresh: Screening, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    await sent(fresh, "a poster that reads 4111 1111", "the same, but 1111 1111")
    assert "1111" not in caplog.text
