"""The door: findings and nothing but findings, whatever happens behind it."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gateway.exchange import Finding, Picture
from gateway.screening import facade as facade_module
from gateway.screening.facade import INLINE_CHARS, Screening
from gateway.screening.rules.errors import RuleError
from gateway.screening.text import scan as scan_module
from gateway.vocabulary import Code, Effect, is_reason_code

SECRET = bytes(range(32))
CARD = "4111 1111 1111 1111"


def types(findings: Sequence[Finding]) -> list[str]:
    return [f.type for f in findings]


async def test_a_finding_tells_everything_but_the_value(screening: Screening) -> None:
    text = f"write jane@corp.com and {CARD} on a mug"
    email, card = await screening.screen_prompt(text)
    assert (email.id, email.type, email.detector) == ("f1", "dlp.email-address", "email-address@1")
    assert text[email.start : email.end] == "jane@corp.com"
    assert email.proposed is Effect.MASK
    assert email.replacement == "someone@example.com"
    assert (card.id, card.type) == ("f2", "dlp.payment-card")
    assert text[card.start : card.end] == CARD
    assert card.proposed is Effect.DENY
    assert len(card.value_hmac) == 32
    for finding in (email, card):
        assert finding.stage == "prompt"
        assert finding.field == "prompt"
        assert len(finding.message) > 40
        shown = repr(finding)
        assert "4111" not in shown
        assert "jane" not in shown


async def test_equal_values_meet_however_written_and_others_do_not(screening: Screening) -> None:
    async def mark(text: str) -> str:
        [finding] = await screening.screen_prompt(text)
        return finding.value_hmac

    plain = await mark(CARD)
    assert await mark("card 4111-1111-1111-1111 again") == plain
    assert await mark("NDExMSAxMTExIDExMTEgMTExMQ==") == plain
    assert await mark("5500 0000 0000 0004") != plain


async def test_a_fingerprint_stands_for_a_prompt_without_telling_it(screening: Screening, policies: Path) -> None:
    assert screening.fingerprint("a cat") == screening.fingerprint("a cat")
    assert screening.fingerprint("a cat") != screening.fingerprint("a cat ")
    assert len(screening.fingerprint("\ud800")) == 32
    [finding] = await screening.screen_prompt("4111111111111111")
    assert finding.value_hmac != screening.fingerprint("4111111111111111")


async def test_another_secret_gives_other_marks(screening: Screening, policies: Path) -> None:
    other = Screening(directory=policies, secret=b"\1" * 32, timeout_seconds=30)
    [ours], [theirs] = await screening.screen_prompt(CARD), await other.screen_prompt(CARD)
    await other.aclose()
    assert ours.value_hmac != theirs.value_hmac


def test_a_short_secret_is_refused_without_being_shown(policies: Path) -> None:
    with pytest.raises(ValueError, match="expected 32 bytes, got 5") as caught:
        Screening(directory=policies, secret=b"hush!")
    assert "hush" not in str(caught.value)


def test_rules_that_do_not_load_open_no_door(tmp_path: Path) -> None:
    with pytest.raises(RuleError):
        Screening(directory=tmp_path, secret=SECRET)


async def test_a_hidden_value_is_not_maskable_and_proposes_to_stop(screening: Screening) -> None:
    [finding] = await screening.screen_prompt("draw amFuZS5yb2VAY29ycC5jb20= now")
    assert finding.type == "dlp.email-address"
    assert not finding.maskable
    assert finding.replacement == ""
    assert finding.proposed is Effect.DENY


async def test_a_subject_is_found_beside_a_value(screening: Screening) -> None:
    findings = await screening.screen_prompt("a naked man holding jane@corp.com")
    assert types(findings) == ["content.sexual", "dlp.email-address"]
    assert not findings[0].maskable


@pytest.mark.parametrize(
    ("text", "proposed"),
    [("joe biden", Effect.REVIEW), ("mickey mouse", Effect.ALLOW), ("a swastika", Effect.DENY)],
)
async def test_a_lexicon_proposes_what_its_file_says(screening: Screening, text: str, proposed: Effect) -> None:
    assert [f.proposed for f in await screening.screen_prompt(text)] == [proposed]


async def test_the_negative_prompt_is_read_too(screening: Screening) -> None:
    [finding] = await screening.screen_prompt(CARD, field="negative_prompt")
    assert finding.field == "negative_prompt"


async def test_a_field_nobody_knows_is_not_waved_through(screening: Screening) -> None:
    assert types(await screening.screen_prompt("a cat", field="caption")) == [Code.SCREENING_UNAVAILABLE]  # type: ignore[arg-type]


async def test_every_type_and_effect_is_one_that_policy_knows(screening: Screening) -> None:
    for type_, rule in screening._book.current.rules.items():
        assert is_reason_code(type_), type_
        assert rule.owner
        assert rule.message.endswith(".")


async def test_hints_are_the_same_findings_without_marks(screening: Screening) -> None:
    text = f"naked, {CARD}, jane@corp.com"
    kept, hinted = await screening.screen_prompt(text), await screening.hints(text)
    assert types(kept) == types(hinted)
    assert all(f.value_hmac for f in kept)
    assert not any(f.value_hmac for f in hinted)


async def test_a_long_prompt_is_read_off_the_event_loop(screening: Screening, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = facade_module.normalise

    def noting(text: str) -> Any:
        seen.append(threading.current_thread().name)
        return real(text)

    monkeypatch.setattr(facade_module, "normalise", noting)
    assert types(await screening.screen_prompt("cat " * INLINE_CHARS + CARD)) == ["dlp.payment-card"]
    await screening.screen_prompt(CARD)
    assert seen[0].startswith("screening")
    assert seen[1] == threading.main_thread().name


async def unavailable_without_trace(screening: Screening, caplog: pytest.LogCaptureFixture, text: str) -> None:
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        [finding] = await screening.screen_prompt(text)
    assert finding.type == Code.SCREENING_UNAVAILABLE
    assert finding.proposed is Effect.DENY
    assert not finding.maskable
    [record] = [r for r in caplog.records if r.name.startswith("gateway.screening")]
    assert record.exc_info is None
    # Without numbers of threads and moments, which hold any four digits one day.
    told = repr({name: value for name, value in vars(record).items() if not isinstance(value, int | float)})
    told += repr(finding)
    assert "4111" not in told
    assert "canary" not in told


@pytest.mark.parametrize("long", [False, True])
async def test_whatever_breaks_the_answer_is_unavailable_and_the_log_says_no_word_of_the_prompt(
    screening: Screening, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, long: bool
) -> None:
    text = f"canary {CARD}" + " x" * (INLINE_CHARS if long else 0)

    def broken(value: str) -> Any:
        raise RuntimeError(f"could not read {value}")

    monkeypatch.setattr(facade_module, "normalise", broken)
    await unavailable_without_trace(screening, caplog, text)


@pytest.mark.parametrize("long", [False, True])
async def test_a_late_scan_is_unavailable(policies: Path, caplog: pytest.LogCaptureFixture, long: bool) -> None:
    late = Screening(directory=policies, secret=SECRET, timeout_seconds=1e-9)
    await unavailable_without_trace(late, caplog, f"canary {CARD}" + " x" * (INLINE_CHARS if long else 0))
    await late.aclose()


async def test_a_scan_that_hangs_does_not_hold_the_answer(
    policies: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()

    def hanging(_: str) -> Any:
        released.wait(20)
        raise RuntimeError

    slow = Screening(directory=policies, secret=SECRET, timeout_seconds=0.05)
    monkeypatch.setattr(facade_module, "normalise", hanging)
    began = time.monotonic()
    try:
        await unavailable_without_trace(slow, caplog, f"canary {CARD}" + " x" * INLINE_CHARS)
        assert time.monotonic() - began < 10
    finally:
        released.set()
        await slow.aclose()


async def test_an_overwhelming_prompt_is_unavailable(screening: Screening, caplog: pytest.LogCaptureFixture) -> None:
    text = "canary " + " ".join(f"a{i}@corp.com" for i in range(scan_module.MAX_HITS + 1))
    await unavailable_without_trace(screening, caplog, text)


async def test_an_overwhelming_number_of_subjects_is_unavailable(screening: Screening) -> None:
    assert types(await screening.screen_prompt("naked, " * (scan_module.MAX_HITS + 1))) == [Code.SCREENING_UNAVAILABLE]


async def test_cancelling_a_request_is_not_swallowed(screening: Screening) -> None:
    task = asyncio.create_task(screening.screen_prompt("cat " * 200_000))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_changed_rules_serve_the_next_request(policies: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dlp"
    folder.mkdir()
    rule = (policies / "dlp" / "iban.yaml").read_text("utf-8")
    (folder / "iban.yaml").write_text(rule)
    told: list[tuple[bool, str, str]] = []
    live = Screening(directory=tmp_path, secret=SECRET, timeout_seconds=30, reload_seconds=0,
                     on_reload=lambda *what: told.append(what))  # fmt: skip
    before = live.revision
    iban = "DE89 3704 0044 0532 0130 00"
    assert types(await live.screen_prompt(iban)) == ["dlp.iban"]

    (folder / "iban.yaml").write_text("broken: [")
    assert types(await live.screen_prompt(iban)) == ["dlp.iban"], "the old rules stay"
    health = live.health()
    assert not health.ok
    assert health.error.startswith("dlp/iban.yaml:1: ")
    assert (health.revision, health.rules) == (before, 1)

    (folder / "iban.yaml").write_text(rule.replace("version: 1", "version: 12"))
    [finding] = await live.screen_prompt(iban)
    assert finding.detector == "iban@12"
    assert live.health().ok
    assert [ok for ok, *_ in told] == [False, True]
    await live.aclose()


def encoded(size: int = 16) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size)).save(out, "PNG")
    return out.getvalue()


def picture(index: int, data: bytes | None = None) -> Picture:
    return Picture(index=index, data=data or encoded(), media_type="image/png", width=16, height=16, sha256="")


async def test_whole_pictures_give_no_finding(screening: Screening) -> None:
    assert await screening.screen_pictures([picture(0), picture(1)]) == ()
    assert await screening.screen_pictures([]) == ()


async def test_each_broken_picture_is_told_by_its_place(screening: Screening, caplog: pytest.LogCaptureFixture) -> None:
    findings = await screening.screen_pictures([picture(0), picture(1, b"canary"), picture(2, encoded(17))])
    assert types(findings) == [Code.SCREENING_UNAVAILABLE] * 2
    assert [(f.id, f.stage, f.field) for f in findings] == [
        ("output.f1", "output", "pictures[1]"),
        ("output.f2", "output", "pictures[2]"),
    ]
    assert "canary" not in repr([r.__dict__ for r in caplog.records])


async def test_pictures_that_take_too_long_are_unavailable(policies: Path) -> None:
    late = Screening(directory=policies, secret=SECRET, picture_timeout_seconds=1e-9)
    assert types(await late.screen_pictures([picture(0)])) == [Code.SCREENING_UNAVAILABLE]
    await late.aclose()


async def test_after_closing_nothing_is_waved_through(policies: Path) -> None:
    closed = Screening(directory=policies, secret=SECRET)
    await closed.aclose()
    assert types(await closed.screen_pictures([picture(0)])) == [Code.SCREENING_UNAVAILABLE]
    assert types(await closed.screen_prompt("cat " * INLINE_CHARS)) == [Code.SCREENING_UNAVAILABLE]


ODD = st.text(alphabet=st.characters(), max_size=300)
SIGNS = st.text(alphabet="0123456789 -.@%&#;=+/\\xABCDEFabcdefone two at dot\u200b\ud800\U000e0041é\n", max_size=300)


@settings(deadline=None)
@given(text=st.one_of(ODD, SIGNS))
async def test_no_text_upsets_screening_and_spans_lie_within_it(screening: Screening, text: str) -> None:
    findings = await screening.screen_prompt(text)
    assert Code.SCREENING_UNAVAILABLE not in types(findings)
    assert [f.id for f in findings] == [f"f{n}" for n in range(1, len(findings) + 1)]
    assert all(0 <= f.start < f.end <= len(text) for f in findings)
