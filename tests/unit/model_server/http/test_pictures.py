from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from model_server.http.pictures import encode, scale_up
from model_server.wire import OutputFormat


def edge(size: int = 64) -> Image.Image:
    """Left half black, right half white."""
    picture = Image.new("RGB", (size, size), "white")
    picture.paste((0, 0, 0), (0, 0, size // 2, size))
    return picture


def decode(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


@pytest.mark.parametrize(("output_format", "magic"), [("png", "PNG"), ("webp", "WEBP"), ("jpeg", "JPEG")])
def test_the_picture_has_the_format_asked_for_and_its_size(output_format: OutputFormat, magic: str) -> None:
    picture = decode(encode(edge(256), output_format, 90))
    assert (picture.format, picture.size, picture.mode) == (magic, (256, 256), "RGB")


def test_the_same_pixels_always_give_the_same_text() -> None:
    assert encode(edge(), "png", 100) == encode(edge(), "png", 100)


def test_compression_makes_lossy_files_smaller() -> None:
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    assert len(encode(noise, "jpeg", 20)) < len(encode(noise, "jpeg", 95))
    assert len(encode(noise, "webp", 20)) < len(encode(noise, "webp", 95))


def test_an_edge_stays_sharper_than_one_lanczos_step_would_leave_it() -> None:
    def ramp(picture: Image.Image) -> int:
        row = [picture.getpixel((x, 256)) for x in range(512)]
        return sum(1 for pixel in row if isinstance(pixel, tuple) and 30 < pixel[0] < 225)

    assert ramp(scale_up(edge(), 512, 512)) < ramp(edge().resize((512, 512), Image.Resampling.LANCZOS))


def test_a_flat_picture_stays_flat_and_keeps_its_colour() -> None:
    flat = Image.new("RGB", (64, 64), (90, 140, 220))
    assert scale_up(flat, 512, 512).getcolors() == [(512 * 512, (90, 140, 220))]


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    assert scale_up(edge(256), 256, 256).tobytes() == edge(256).tobytes()


def test_a_size_that_is_no_doubling_is_met_exactly() -> None:
    assert scale_up(edge(), 200, 150).size == (200, 150)


def test_no_metadata_travels_in_the_file() -> None:
    for output_format in ("png", "webp", "jpeg"):
        picture = decode(encode(edge(), output_format, 90))
        assert not set(picture.info) - {"jfif", "jfif_version", "jfif_unit", "jfif_density", "loop", "background"}
