"""What is looked at while rules are exchanged is looked at again, once: pictures as well as texts."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gateway.exchange import FileFacts, Finding, Picture, Upload
from gateway.screening.facade import Screening

POLICIES = Path(__file__).parents[4] / "policies"


class MovingGallery:
    """Finds nothing; rules are exchanged while it looks, as often as `times` says."""

    def __init__(self, screening: Screening) -> None:
        self._screening = screening
        self.times = self.looks = 0

    async def look(self, pictures: Sequence[tuple[str, Picture]], **_: Any) -> tuple[Finding, ...]:
        self.looks += 1
        if self.times:
            self.times -= 1
            self._screening.put_in_force(self._screening.prepare(POLICIES))
        return ()

    async def aclose(self) -> None: ...


@pytest.fixture
async def screening() -> AsyncIterator[Screening]:
    made = Screening(directory=POLICIES, secret=bytes(range(32)), timeout_seconds=30)
    await made._gallery.aclose()
    made._gallery = MovingGallery(made)  # type: ignore[assignment]
    yield made
    await made.aclose()


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(out, "PNG")
    return out.getvalue()


PICTURE = Picture(index=0, data=png(), media_type="image/png", width=64, height=64, sha256="")
FACTS = FileFacts(sha256="00", size_bytes=len(png()), media_type="image/png", width=64, height=64)
UPLOAD = Upload(field="image", data=png(), facts=FACTS)


@pytest.mark.parametrize(("times", "looks", "found"), [(0, 1, []), (1, 2, []), (2, 2, ["screening.unavailable"])])
async def test_pictures_are_looked_at_again(screening: Screening, times: int, looks: int, found: list[str]) -> None:
    gallery: Any = screening._gallery
    gallery.times = times
    assert [finding.type for finding in await screening.screen_pictures([PICTURE])] == found
    assert gallery.looks == looks


@pytest.mark.parametrize(("times", "looks", "found"), [(0, 1, []), (1, 2, []), (2, 2, ["screening.unavailable"])])
async def test_uploads_too_and_without_an_answer_nothing_goes_on(
    screening: Screening, times: int, looks: int, found: list[str]
) -> None:
    gallery: Any = screening._gallery
    gallery.times = times
    clean, findings = await screening.clean_uploads([UPLOAD])
    assert [finding.type for finding in findings] == found
    assert (len(clean), gallery.looks) == (0 if found else 1, looks)
