"""Through the door of screening, with real workers and real nets: what pictures show becomes findings."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gateway.exchange import FileFacts, Upload
from gateway.prints import windows
from gateway.prints.fingerprint import fingerprint
from gateway.prints.window_list import written
from gateway.screening.facade import Screening
from gateway.screening.image import pool
from gateway.screening.image.seen import Classifier
from gateway.vocabulary import Code, Effect
from tests.support.drawn import as_picture, encoded, lettered
from tests.unit.provenance.pictures import made
from tests.unit.screening.conftest import POLICIES, SECRET

CARD = "Card 4111 1111 1111 1111"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder of rules that is quick to read."""
    for rule in ("dlp/payment-card.yaml", "content/violence.yaml"):
        (tmp_path / "rules" / rule).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(POLICIES / rule, tmp_path / "rules" / rule)
    return tmp_path / "rules"


@pytest.fixture
async def screening(few: Path) -> AsyncIterator[Screening]:
    made = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60)
    yield made
    await made.aclose()


def scene(seed: int = 7) -> Image.Image:
    """Shapes that a fingerprint can tell from others."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (256, 256), "gray")
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, size = rng.integers(0, 220, 3)
        draw.ellipse((x, y, x + size // 3 + 8, y + size // 4 + 8), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return image


def upload(image: Image.Image, field: str = "image") -> Upload:
    data = encoded(image)
    return Upload(
        field=field,
        data=data,
        facts=FileFacts(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), media_type=""),
    )


@pytest.mark.parametrize("turned", [0, 17, 90, 180])
async def test_a_card_number_in_an_upload_is_found_however_it_lies(screening: Screening, turned: int) -> None:
    (clean,), found = await screening.clean_uploads([upload(lettered(CARD, turned=turned), "image[1]")])
    (card,) = [finding for finding in found if finding.type == "dlp.payment-card"]
    assert (card.stage, card.field, card.maskable, card.id) == ("upload", "image[1]", False, "upload.f1")
    assert clean.field == "image[1]"


async def test_what_a_small_output_says_is_read_too(screening: Screening) -> None:
    plain, said = lettered("", side=128), lettered("4111 1111 1111 1111", side=128, letters=10)
    found = await screening.screen_pictures([as_picture(plain), as_picture(said, 1)])
    assert [(f.type, f.stage, f.field) for f in found] == [("dlp.payment-card", "output", "pictures[1]")]


async def test_text_that_only_transparency_draws_is_read(screening: Screening) -> None:
    hidden = Image.new("RGBA", (512, 512), (255, 255, 255, 255))
    hidden.putalpha(lettered(CARD).convert("L"))
    _, found = await screening.clean_uploads([upload(hidden)])
    assert "dlp.payment-card" in {finding.type for finding in found}


async def test_a_listed_picture_is_blocked_mirrored_and_saved_again_and_from_when_it_is_listed(
    few: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "blocked.txt"
    listed.write_text(f"{fingerprint(np.asarray(scene(1)))} other\n")
    made = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60, block_list=listed)
    mirrored = as_picture(scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((200, 200)))
    assert Code.PICTURE_BLOCKED not in {f.type for f in await made.screen_pictures([mirrored])}
    with listed.open("a") as file:
        file.write(f"{fingerprint(np.asarray(scene()))} case-7\n")
    found = await made.screen_pictures([mirrored])
    assert [f.proposed for f in found if f.type == Code.PICTURE_BLOCKED] == [Effect.DENY]
    listed.unlink()
    assert [f.type for f in await made.screen_pictures([mirrored])] == [Code.SCREENING_UNAVAILABLE]
    await made.aclose()


async def test_what_is_left_of_a_listed_picture_is_blocked_where_windows_of_it_are_listed(
    few: Path, tmp_path: Path
) -> None:
    pixels = made("clouds", 3, 256)
    listed = tmp_path / "blocked.txt"
    listed.write_text(f"{fingerprint(pixels)} case-7\n")
    screening = Screening(
        directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60, block_list=listed
    )
    left = as_picture(Image.fromarray(np.ascontiguousarray(pixels[30:, 12:-20])))
    assert Code.PICTURE_BLOCKED not in {f.type for f in await screening.screen_pictures([left])}
    with listed.open("a") as file:
        file.write(written(windows.listed(pixels), "case-7"))
    found = await screening.screen_pictures([left])
    assert [f.proposed for f in found if f.type == Code.PICTURE_BLOCKED] == [Effect.DENY]
    listed.write_text("#window torn case-7\n")
    assert [f.type for f in await screening.screen_pictures([left])] == [Code.SCREENING_UNAVAILABLE]
    await screening.aclose()


async def test_a_classifier_that_is_another_file_than_declared_is_no_answer(few: Path, tmp_path: Path) -> None:
    net = tmp_path / "violence.onnx"
    net.write_bytes(b"no net")
    one = Classifier(name="company", category="violence", path=str(net), sha256="0" * 64)
    made = Screening(
        directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60, picture_classifiers=[one]
    )
    found = await made.screen_pictures([as_picture(scene())])
    assert [f.type for f in found] == [Code.SCREENING_UNAVAILABLE]
    await made.aclose()


async def test_a_category_that_policy_requires_and_nothing_can_tell_goes_to_review(few: Path) -> None:
    config = few / "gateway/config/pictures/data.yaml"
    config.parent.mkdir(parents=True)
    config.write_text('required: {upload: [], output: ["violence"]}\n')
    made = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60)
    found = await made.screen_pictures([as_picture(scene())])
    assert [(f.type, f.proposed) for f in found] == [(Code.PICTURE_UNCHECKED, Effect.REVIEW)]
    assert await made.screen_pictures([as_picture(scene())], stage="upload") == ()
    config.write_text("required: 3\n")
    assert [f.type for f in await made.screen_pictures([as_picture(scene())])] == [Code.SCREENING_UNAVAILABLE]
    await made.aclose()


async def test_a_worker_that_dies_is_no_answer_and_the_next_picture_has_another(
    few: Path, screening: Screening, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await screening.screen_pictures([as_picture(scene())]) == ()
    pool.end_kept()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    other = Screening(directory=few, secret=SECRET, picture_timeout_seconds=60)
    assert [f.type for f in await other.screen_pictures([as_picture(scene())])] == [Code.SCREENING_UNAVAILABLE]
    monkeypatch.undo()
    assert await other.screen_pictures([as_picture(scene())]) == ()
    await other.aclose()


async def test_what_is_late_is_ended_and_no_answer(few: Path) -> None:
    late = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=0.01)
    found = await late.screen_pictures([as_picture(lettered(CARD, side=1024))])
    assert [(f.type, f.field) for f in found] == [(Code.SCREENING_UNAVAILABLE, "pictures[0]")]
    await late.aclose()


async def test_an_idle_worker_that_ended_of_itself_is_no_harm(screening: Screening) -> None:
    assert await screening.screen_pictures([as_picture(scene())]) == ()
    (worker,) = screening._gallery._pool._idle
    worker.kill()
    assert await screening.screen_pictures([as_picture(scene())]) == ()


async def test_workers_are_kept_from_one_screening_to_the_next_and_end_when_told(few: Path) -> None:
    pool.end_kept()
    first = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60)
    assert await first.screen_pictures([as_picture(scene())]) == ()
    (worker,) = first._gallery._pool._idle
    await first.aclose()
    second = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60)
    assert await second.screen_pictures([as_picture(scene())]) == ()
    assert second._gallery._pool._idle == [worker]
    await second.aclose()
    pool.end_kept()
    assert not worker.is_alive()


@pytest.mark.parametrize(
    "answer",
    [
        '{"text": "", "fingerprints": [], "quality": 0, "realistic": 2, "doubtful": 0, "nudity": 0, "classes": {}, '
        '"failed": [], "broken": "", "windows": ""}',
        '{"text": 3, "fingerprints": [], "quality": 0, "realistic": 0, "doubtful": 0, "nudity": 0, "classes": {}, '
        '"failed": [], "broken": "", "windows": ""}',
        '{"text": "", "fingerprints": [], "quality": 0, "realistic": 0, "doubtful": 0, "nudity": NaN, "classes": {}, '
        '"failed": [], "broken": "", "windows": ""}',
        '{"text": "", "fingerprints": [], "quality": 0, "realistic": 0, "doubtful": 0, "nudity": 0, "classes": {}, '
        '"failed": [], "broken": "", "windows": 3}',
        '{"text": "", "fingerprints": [], "quality": 0, "realistic": 0, "doubtful": 0, "nudity": 0, "classes": {}, '
        '"failed": [], "broken": "", "windows": "AAAA"}',
        "{}",
        "no json",
    ],
)
async def test_an_answer_of_another_shape_is_no_answer(few: Path, tmp_path: Path, answer: str) -> None:
    """A picture that took its worker over could say what it likes; a program that does just that stands in for it."""
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!/bin/sh\nread line\ncat <<'END'\n{answer}\nEND\nsleep 9\n")
    stand_in.chmod(0o700)
    pool.end_kept()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(stand_in))
        made = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60)
        assert [f.type for f in await made.screen_pictures([as_picture(scene())])] == [Code.SCREENING_UNAVAILABLE]
    await made.aclose()
