from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from model_server.errors import InvalidRequest
from model_server.http.uploads import read_mask, read_picture

MAX_PIXELS = 1_000_000
ORIENTATION = 0x0112


def sample(mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Image.Image:
    """A picture whose corners differ."""
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 4), np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def saved(picture: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, image_format, **options)
    return buffer.getvalue()


def read(data: bytes) -> Image.Image:
    return read_picture(data, "image", MAX_PIXELS)


def refusal(data: bytes, field: str = "image") -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_picture(data, field, MAX_PIXELS)
    assert (caught.value.param, caught.value.code, caught.value.status) == (field, "invalid_image", 400)
    return caught.value.message


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(extra: bytes, picture: Image.Image | None = None) -> bytes:
    """A PNG with more chunks after its header."""
    data = saved(picture or sample())
    return data[:33] + extra + data[33:]


def png_header(width: int, height: int, depth: int = 8, colours: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "JPEG"])
def test_each_of_the_three_formats_is_read(image_format: str) -> None:
    options = {"lossless": True} if image_format == "WEBP" else {}
    picture = read(saved(sample(), image_format, **options))
    assert (picture.mode, picture.size) == ("RGB", (6, 4))
    if image_format != "JPEG":
        assert picture.tobytes() == sample().tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_common_kind_of_pixel_becomes_rgb(mode: str) -> None:
    assert read(saved(sample(mode))).mode == "RGB"


def test_transparent_parts_are_laid_on_white() -> None:
    picture = Image.new("RGBA", (4, 4), (200, 0, 0, 255))
    picture.putpixel((0, 0), (0, 0, 0, 0))
    made = read(saved(picture))
    assert (made.getpixel((0, 0)), made.getpixel((1, 1))) == ((255, 255, 255), (200, 0, 0))
    palette = Image.new("P", (2, 1))
    palette.putpalette([9, 9, 9, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    made = read(saved(palette, transparency=0))
    assert (made.getpixel((0, 0)), made.getpixel((1, 0))) == ((255, 255, 255), (200, 0, 0))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_and_then_gone(image_format: str, orientation: int) -> None:
    upright = Image.new("RGB", (64, 32), "white")
    upright.paste((200, 0, 0), (0, 0, 32, 16))  # red in the corner at the top left
    turns: dict[int, Callable[[Image.Image], Image.Image]] = {
        1: lambda p: p,
        2: lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda p: p.transpose(Image.Transpose.ROTATE_180),
        4: lambda p: p.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda p: p.transpose(Image.Transpose.TRANSPOSE),
        6: lambda p: p.transpose(Image.Transpose.ROTATE_90),
        7: lambda p: p.transpose(Image.Transpose.TRANSVERSE),
        8: lambda p: p.transpose(Image.Transpose.ROTATE_270),
    }
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if image_format == "WEBP" else {"quality": 95} if image_format == "JPEG" else {}
    picture = read(saved(turns[orientation](upright), image_format, exif=exif, **options))
    assert picture.size == (64, 32)
    corner = picture.getpixel((8, 4))
    assert isinstance(corner, tuple)
    assert corner[0] > 180
    assert corner[1] < 60
    assert not picture.info
    assert ORIENTATION not in picture.getexif()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a PNG, WebP or JPEG"),
        (b"hello", "not a PNG, WebP or JPEG"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not a PNG, WebP or JPEG"),
        (b"\x89PNG\r\n\x1a\n<svg/>", "sound PNG|cut off"),
        (saved(sample(), "GIF"), "not a PNG, WebP or JPEG"),
        (saved(sample(), "BMP"), "not a PNG, WebP or JPEG"),
        (saved(sample(), "TIFF"), "not a PNG, WebP or JPEG"),
        (saved(sample().convert("CMYK"), "JPEG"), "CMYK"),
        (saved(Image.fromarray(np.zeros((4, 4), np.uint16))), "16 bits"),
        (png_header(0, 10), "no pixels"),
        (png_header(10, 0), "no pixels"),
        (png_header(100_000, 100_000), "too many pixels"),
        (png_header(20_000, 1), "too many pixels"),
        (png_header(2**32 - 1, 2**32 - 1), "too many pixels"),
        (png_header(6, 4, 8, 7), "can't be decoded"),
        (png_header(600, 400), "can't be decoded"),
        (saved(sample()) + b"PK\x03\x04", "bytes after its end"),
        (saved(sample(), "JPEG") + b"<script>", "bytes after its end"),
        (saved(sample(), "WEBP") + b"\0", "bytes after its end"),
        (saved(sample(), save_all=True, append_images=[sample("L").convert("RGB")]), "animated"),
        (saved(sample(), "WEBP", save_all=True, append_images=[sample("L").convert("RGB")]), "animated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_plain_picture_is_refused_and_said_why(data: bytes, says: str) -> None:
    message = refusal(data)
    assert any(word in message for word in says.split("|"))
    assert message.startswith("'image' ")


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "JPEG"])
def test_every_truncation_is_refused(image_format: str) -> None:
    data = saved(sample("RGB", (24, 16)), image_format)
    for length in range(len(data)):
        refusal(data[:length])


def test_a_jpeg_of_thousands_of_scans_is_refused_and_a_progressive_one_is_not() -> None:
    data = saved(sample("RGB", (64, 64)), "JPEG", progressive=True)
    assert read(data).size == (64, 64)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert "too many scans" in refusal(data[:-2] + scan * 1000 + b"\xff\xd9")


def test_pixels_missing_in_a_file_with_a_sound_end_are_refused() -> None:
    data = saved(sample("RGB", (64, 64)))
    cut = data[:33] + chunk(b"IDAT", data[41 : len(data) // 2]) + chunk(b"IEND", b"")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    refusal(cut)


def test_texts_and_profiles_that_unpack_to_gigabytes_are_never_unpacked() -> None:
    bomb = zlib.compress(b"\0" * 50_000_000, 9)
    extra = chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb) + chunk(b"iCCP", b"p\0\0" + bomb)
    extra += chunk(b"iTXt", b"a\0\x01\0\0\0" + bomb) + chunk(b"tEXt", b"a\0" + b"x" * 100_000)
    data = png_with(extra)
    tracemalloc.start()
    try:
        assert read(data).tobytes() == sample().tobytes()
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_bomb_is_refused_before_a_pixel_is_unpacked() -> None:
    size = 30_000
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(b"\0" * (1 + size * 3)) for _ in range(50)) + rows.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16_000, 16_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        assert "too many pixels" in refusal(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_place_and_camera_do_not_survive() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 0.0)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "someone")
    for data in (saved(sample(), exif=exif, pnginfo=texts), saved(sample(), "JPEG", exif=exif)):
        picture = read(data)
        assert not picture.info
        assert not dict(picture.getexif())


def test_damaged_metadata_is_dropped_like_any_other() -> None:
    data = saved(sample(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert read(data).size == (6, 4)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["PNG", "WEBP", "JPEG"]), st.data())
def test_flipped_bytes_give_a_picture_or_a_refusal_and_nothing_worse(image_format: str, data: st.DataObject) -> None:
    content = bytearray(saved(sample("RGB", (24, 16)), image_format))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert read(bytes(content)).mode == "RGB"
    except InvalidRequest as error:
        assert error.param == "image"


# --- masks ---


def mask_of(picture: Image.Image, size: tuple[int, int] = (4, 2)) -> Image.Image:
    return read_mask(saved(picture), "mask", size, MAX_PIXELS)


def mask_refusal(picture: Image.Image, size: tuple[int, int] = (4, 2)) -> str:
    with pytest.raises(InvalidRequest) as caught:
        mask_of(picture, size)
    assert (caught.value.param, caught.value.status) == ("mask", 400)
    return caught.value.message


def test_transparent_is_where_to_paint() -> None:
    picture = Image.new("RGBA", (4, 2), (10, 20, 30, 255))
    picture.putpixel((1, 0), (10, 20, 30, 0))
    picture.putpixel((2, 0), (10, 20, 30, 127))
    picture.putpixel((3, 0), (10, 20, 30, 128))
    mask = mask_of(picture)
    assert mask.mode == "L"
    assert mask.tobytes() == bytes([0, 255, 255, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_without_transparency_white_is_where_to_paint(mode: str) -> None:
    picture = Image.new("L", (4, 2), 0)
    picture.putpixel((1, 1), 255)
    assert mask_of(picture.convert(mode)).tobytes() == bytes([0, 0, 0, 0, 0, 255, 0, 0])


def test_a_mask_of_another_size_is_refused_naming_both() -> None:
    assert "expected 5x2, got 4x2" in mask_refusal(Image.new("RGBA", (4, 2)), (5, 2))


def test_a_mask_with_nothing_to_paint_is_refused_and_told_how() -> None:
    assert "nothing to paint" in mask_refusal(Image.new("RGBA", (4, 2), "white"))
    assert "nothing to paint" in mask_refusal(Image.new("L", (4, 2), 0))


def test_a_coloured_picture_is_no_mask() -> None:
    assert "neither transparency nor only greys" in mask_refusal(Image.new("RGB", (4, 2), (255, 0, 0)))
