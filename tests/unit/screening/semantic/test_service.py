"""Reading beside the event loop, and what screening makes of it: findings, or `screening.unavailable`."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import wiring
from gateway.exchange import Finding
from gateway.screening.facade import Screening
from gateway.screening.semantic.errors import MeaningUnavailable
from gateway.screening.semantic.reader import Meant, Reader
from gateway.screening.semantic.service import Meaning
from gateway.screening.semantic.weights import CATEGORIES, VERSION
from gateway.settings import ScreeningSettings
from gateway.vocabulary import Effect, Severity

SECRET = bytes(range(32))


class Said:
    """A reader that gives a fixed answer, or does what it is told to."""

    def __init__(self, *meant: Meant, then: Callable[[], object] = lambda: None) -> None:
        self._meant, self._then = meant, then
        self.texts: list[str] = []

    def read(self, text: str, is_late: Callable[[], bool] = lambda: False) -> list[Meant]:
        self.texts.append(text)
        self._then()
        return list(self._meant)


def meaning(reader: Any, timeout_seconds: float = 30) -> Meaning:
    return Meaning(timeout_seconds=timeout_seconds, load=lambda: reader)


@asynccontextmanager
async def screening_with(policies: Path, reader: Any, timeout_seconds: float = 30) -> AsyncIterator[Screening]:
    made = Screening(directory=policies, secret=SECRET, timeout_seconds=30, meaning=meaning(reader, timeout_seconds))
    try:
        yield made
    finally:
        await made.aclose()


async def found(policies: Path, text: str, *meant: Meant) -> list[Finding]:
    async with screening_with(policies, Said(*meant)) as screening:
        return [f for f in await screening.screen_prompt(text) if f.detector.startswith("semantic@")]


async def test_the_reader_that_ships_answers_through_screening(policies: Path, reader: Reader) -> None:
    text = "a man beating a woman to death with a hammer while she screams"
    async with screening_with(policies, reader) as screening:
        found = await screening.screen_prompt(text)
        assert await screening.screen_prompt("a fox in the snow, linocut") == ()
    [finding] = [f for f in found if (f.type, f.detector) == ("content.violence", f"semantic@{VERSION}")]
    assert finding.score >= 0.8
    assert finding.severity is Severity.HIGH
    assert (finding.start, finding.end) == (0, len(text))
    assert not finding.maskable
    assert len(finding.value_hmac) == 32
    assert "ask for a review" in finding.message
    assert "hammer" not in repr(finding)


async def test_a_high_score_proposes_to_refuse_a_lower_one_to_hold(policies: Path) -> None:
    [sure] = await found(policies, "these are some more words", Meant("violence", 0.95, 0, 5))
    [held] = await found(policies, "these are some more words", Meant("violence", 0.94, 0, 5))
    assert (sure.proposed, held.proposed) == (Effect.DENY, Effect.REVIEW)
    assert await found(policies, "these are some more words", Meant("violence", 0.79, 0, 5)) == []


async def test_few_words_alone_are_held_when_the_score_is_high_and_never_refused(policies: Path) -> None:
    [held] = await found(policies, "both in one picture", Meant("violence", 1.0, 0, 5))
    assert held.proposed is Effect.REVIEW
    assert await found(policies, "both in one picture", Meant("violence", 0.94, 0, 5)) == []
    [beside] = await found(policies, "a severed head", Meant("violence", 0.95, 0, 5))
    assert beside.proposed is Effect.DENY
    few = await found(policies, "a schoolgirl here", Meant("sexual", 0.85, 0, 5))
    assert [f.type for f in few] == ["content.minors"]


async def test_a_lower_score_counts_beside_a_word_of_its_category_only(policies: Path) -> None:
    half = Meant("violence", 0.5, 0, 5)
    assert [f.type for f in await found(policies, "a severed head", half)] == ["content.violence"]
    assert await found(policies, "a naked man", half) == []


async def test_a_sexual_subject_and_a_word_for_a_child_is_about_minors(policies: Path) -> None:
    sexual = Meant("sexual", 0.85, 0, 5)
    types = {f.type: f.severity for f in await found(policies, "a schoolgirl in a room", sexual)}
    assert types == {"content.sexual": Severity.HIGH, "content.minors": Severity.CRITICAL}
    assert [f.type for f in await found(policies, "a woman in a room", sexual)] == ["content.sexual"]
    assert await found(policies, "a schoolgirl in a room", Meant("sexual", 0.79, 0, 5)) == []


def changed(policies: Path, tmp_path: Path, old: str, new: str) -> Path:
    """A folder with the violence lexicon only, changed in one place."""
    (tmp_path / "content").mkdir()
    text = (policies / "content" / "violence.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "content" / "violence.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    return tmp_path


async def test_the_category_s_file_governs_its_head(policies: Path, tmp_path: Path) -> None:
    sure = Meant("violence", 1.0, 0, 5)
    [watched] = await found(changed(policies, tmp_path, "mode: enforce", "mode: monitor"), "some words", sure)
    assert watched.proposed is Effect.ALLOW
    (tmp_path / "content" / "violence.yaml").unlink()
    (tmp_path / "content").rmdir()
    assert await found(changed(policies, tmp_path, "mode: enforce", 'mode: "off"'), "some words", sure) == []


async def test_a_field_outside_the_category_s_scope_is_left_alone(policies: Path, tmp_path: Path) -> None:
    reader = Said(Meant("violence", 1.0, 0, 5))
    folder = changed(policies, tmp_path, "scope: [prompt,", "scope: [filename] # [prompt,")
    async with screening_with(folder, reader) as screening:
        assert await screening.screen_prompt("some words") == ()


async def test_a_negative_prompt_is_not_read_for_its_meaning(policies: Path) -> None:
    reader = Said(Meant("violence", 1.0, 0, 5))
    async with screening_with(policies, reader) as screening:
        assert await screening.screen_prompt("some words", field="negative_prompt") == ()
    assert reader.texts == []


@pytest.mark.parametrize(
    ("field", "text", "is_read"),
    [
        ("prompt", "EXIT", False),
        ("prompt", "kill me", True),
        ("ocr_output", "EXIT", False),
        ("ocr_output", "50% SALE open 24h No 7", False),
        ("ocr_output", "how to make a pipe bomb", True),
        ("ocr_upload", "Bakery since 1987", False),
        ("ocr_upload", "come closer and nobody will hear you", True),
    ],
)
async def test_a_few_letters_in_a_picture_have_no_meaning(policies: Path, field: Any, text: str, is_read: bool) -> None:
    reader = Said()
    async with screening_with(policies, reader) as screening:
        await screening.screen_prompt(text, field=field)
    assert bool(reader.texts) is is_read


async def test_what_is_read_is_the_text_made_plain_and_its_place_is_in_the_original(policies: Path) -> None:
    text = "\u200bs\u200bome\u200b words"
    reader = Said(Meant("violence", 1.0, 0, 4))
    async with screening_with(policies, reader) as screening:
        [finding] = await screening.screen_prompt(text)
    assert reader.texts == ["some words"]
    assert text[finding.start : finding.end].replace("\u200b", "") == "some"


async def test_findings_of_words_and_of_meaning_are_numbered_together(policies: Path) -> None:
    async with screening_with(policies, Said(Meant("violence", 1.0, 0, 30))) as screening:
        findings = await screening.screen_prompt("a long way to joe biden and a severed head")
    assert [f.id for f in findings] == ["f1", "f2", "f3"]
    assert [f.detector.split("@")[0] for f in findings] == ["semantic", "political-figure", "violence"]


async def test_a_hint_says_the_same_without_the_mark(policies: Path) -> None:
    async with screening_with(policies, Said(Meant("violence", 1.0, 0, 5))) as screening:
        [hint] = await screening.hints("some words")
    assert (hint.type, hint.value_hmac) == ("content.violence", "")


def broken() -> None:
    raise MeaningUnavailable("encoder gave no number")


def defective() -> None:
    raise RuntimeError("quotes words of yours")


@pytest.mark.parametrize("then", [broken, defective])
async def test_a_reader_that_fails_is_no_yes(
    policies: Path, then: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    async with screening_with(policies, Said(then=then)) as screening:
        assert [f.type for f in await screening.screen_prompt("joe biden")] == ["screening.unavailable"]
    assert "words of yours" not in caplog.text


async def test_a_reader_that_is_late_is_no_yes(policies: Path) -> None:
    hold = threading.Event()
    async with screening_with(policies, Said(then=lambda: hold.wait(10)), timeout_seconds=0.05) as screening:
        assert [f.type for f in await screening.screen_prompt("some words")] == ["screening.unavailable"]
        hold.set()


async def test_a_model_that_is_missing_is_no_yes_and_is_tried_again(policies: Path) -> None:
    tries = []

    def load() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise MeaningUnavailable("heads can't be read: FileNotFoundError")
        return Said()

    made = Screening(
        directory=policies, secret=SECRET, timeout_seconds=30, meaning=Meaning(timeout_seconds=30, load=load)
    )
    assert [f.type for f in await made.screen_prompt("some words")] == ["screening.unavailable"]
    assert await made.screen_prompt("some words") == ()
    assert await made.screen_prompt("some words") == ()
    assert len(tries) == 2
    await made.aclose()


async def test_a_text_s_deadline_does_not_pay_for_loading(policies: Path) -> None:
    def load() -> Any:
        time.sleep(0.2)
        return Said()

    slow = Meaning(timeout_seconds=0.15, load=load)
    assert await slow.find("some words") == []
    await slow.aclose()


async def test_the_deadline_reaches_the_reader(policies: Path) -> None:
    told = []

    class Asks:
        def read(self, text: str, is_late: Callable[[], bool]) -> list[Meant]:
            told.append(is_late())
            now[0] = 100.0
            told.append(is_late())
            return []

    now = [0.0]
    asks: Any = Asks()
    made = Meaning(timeout_seconds=30, load=lambda: asks, clock=lambda: now[0])
    await made.find("some words")
    await made.aclose()
    assert told == [False, True]


async def test_the_revision_names_the_weights(policies: Path) -> None:
    async with screening_with(policies, Said()) as read, screening_with(policies, Said()) as again:
        plain = Screening(directory=policies, secret=SECRET)
        assert read.revision == again.revision
        assert read.revision.startswith(f"{plain.revision}.")
        await plain.aclose()


async def test_only_the_operator_s_word_turns_it_off() -> None:
    on = wiring._meaning(ScreeningSettings())
    assert on is not None
    await on.aclose()
    assert wiring._meaning(ScreeningSettings(semantic="off")) is None


def test_each_head_has_its_category_s_file(policies: Path) -> None:
    assert set(CATEGORIES) <= {path.stem for path in (policies / "content").glob("*.yaml")}
