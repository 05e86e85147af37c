"""The door to the process that decodes uploads: what it gives, what it names, and that no answer is never a yes."""

from __future__ import annotations

import hashlib
import io

import pytest
from PIL import Image

from gateway.errors import InvalidRequest, RateLimited
from gateway.exchange import FileFacts, Upload
from gateway.room import Room
from gateway.screening.facade import Screening
from gateway.screening.image import uploads as door
from gateway.screening.image.uploads import UploadCleaner, UploadsUnavailable
from gateway.vocabulary import Code, Effect
from tests.support.image_server import png

UNHURRIED_SECONDS = 60.0


def upload(data: bytes, field: str = "image") -> Upload:
    facts = FileFacts(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), media_type="")
    return Upload(field=field, data=data, facts=facts)


def mask(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (width, height)).save(out, "PNG")
    return out.getvalue()


def nothing(_size_bytes: int) -> None:
    """Room for everything."""


async def test_it_tells_what_came_and_what_may_go_on() -> None:
    sent = upload(png(40, 30, "olive"))
    (clean,) = await UploadCleaner(UNHURRIED_SECONDS).clean([sent], nothing)
    assert (clean.field, clean.sent.sha256, clean.sent.media_type) == ("image", sent.facts.sha256, "image/png")
    assert (clean.sent.width, clean.sent.height) == (40, 30)
    assert clean.forwarded.sha256 == hashlib.sha256(clean.data).hexdigest() != clean.sent.sha256
    assert clean.forwarded.size_bytes == len(clean.data)


async def test_several_come_back_in_order() -> None:
    colours = ["navy", "olive", "maroon"]
    sent = [upload(png(8, 8, colour), f"image[{i}]") for i, colour in enumerate(colours)]
    found = await UploadCleaner(UNHURRIED_SECONDS).clean(sent, nothing)
    assert [clean.field for clean in found] == ["image[0]", "image[1]", "image[2]"]
    wanted = [Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in colours]
    assert [Image.open(io.BytesIO(clean.data)).getpixel((0, 0)) for clean in found] == wanted


async def test_the_file_that_can_not_be_taken_is_named_and_not_shown() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await UploadCleaner(UNHURRIED_SECONDS).clean(
            [upload(png(), "image[0]"), upload(b"canary" * 99, "image[1]")], nothing
        )
    assert (caught.value.param, caught.value.code) == ("image[1]", "invalid_image")
    assert "canary" not in caught.value.message


async def test_room_is_asked_for_before_the_pictures_are_taken_in() -> None:
    with pytest.raises(RateLimited):
        await UploadCleaner(UNHURRIED_SECONDS).clean([upload(png())], Room(10).lease().hold)


async def test_pictures_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_CLEAN_BYTES", 150)
    with pytest.raises(InvalidRequest, match="too large together"):
        await UploadCleaner(UNHURRIED_SECONDS).clean([upload(png(), f"image[{i}]") for i in range(3)], nothing)


async def test_too_late_is_no_answer() -> None:
    with pytest.raises(UploadsUnavailable, match="late"):
        await UploadCleaner(0.001).clean([upload(png())], nothing)


async def test_a_decoder_that_dies_takes_nobody_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.child.sys.executable", "/bin/false")
    with pytest.raises(UploadsUnavailable, match="no answer"):
        await UploadCleaner(UNHURRIED_SECONDS).clean([upload(png())], nothing)


async def test_a_decoder_without_memory_is_no_answer_and_no_fault_of_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "MEMORY_BYTES", 1 << 20)
    with pytest.raises(UploadsUnavailable):
        await UploadCleaner(UNHURRIED_SECONDS).clean([upload(png(3000, 3000))], nothing)


async def test_no_answer_is_a_finding_that_policy_never_allows(
    screening: Screening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "_cleaner", UploadCleaner(0.001))
    clean, (finding,) = await screening.clean_uploads([upload(png())])
    assert clean == ()
    assert (finding.stage, finding.type, finding.proposed) == ("upload", Code.SCREENING_UNAVAILABLE, Effect.DENY)


async def test_a_picture_to_vary_is_square(screening: Screening) -> None:
    assert (await screening.clean_uploads([upload(png(16, 16))], to_vary=True))[0]
    with pytest.raises(InvalidRequest, match="only a square picture"):
        await screening.clean_uploads([upload(png(16, 17))], to_vary=True)


async def test_a_mask_has_the_size_of_the_first_picture(screening: Screening) -> None:
    images = [upload(png(16, 16), "image[0]"), upload(png(8, 8), "image[1]")]
    assert len((await screening.clean_uploads([*images, upload(mask(16, 16), "mask")]))[0]) == 3
    with pytest.raises(InvalidRequest) as caught:
        await screening.clean_uploads([*images, upload(mask(8, 8), "mask")])
    assert caught.value.param == "mask"
