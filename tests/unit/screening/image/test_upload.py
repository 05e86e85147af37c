"""What comes out of an upload: pixels, and nothing that rode along with them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from gateway.screening.image.upload import BadUpload, clean

TYPES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def colourful(mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Image.Image:
    image = Image.new("RGB", size)
    image.putdata([(x * 10 % 256, y * 15 % 256, (x + y) * 6 % 256) for y in range(size[1]) for x in range(size[0])])
    return image.convert(mode)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def gps() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "canary-in-the-description"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return exif


@pytest.mark.parametrize("kind", TYPES)
def test_it_is_encoded_anew_as_png(kind: str) -> None:
    found = clean(encode(colourful(), TYPES[kind]))
    assert (found.media_type, found.width, found.height) == (kind, 24, 16)
    assert opened(found.data).format == "PNG"


def test_the_pixels_of_a_plain_picture_stay_to_the_bit() -> None:
    assert opened(clean(encode(colourful())).data).tobytes() == colourful().tobytes()


def test_it_is_decided_by_content_and_not_by_a_name() -> None:
    assert clean(encode(colourful(), "JPEG")).media_type == "image/jpeg"


@pytest.mark.parametrize("kind", TYPES.values())
def test_where_a_photo_was_taken_stays_behind(kind: str) -> None:
    data = encode(colourful(), kind, exif=gps())
    assert b"canary-in-the-description" in data
    found = clean(data)
    assert b"canary" not in found.data
    assert not opened(found.data).getexif()


def test_no_chunk_of_the_persons_file_goes_on() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "canary-text")
    info.add_itxt("XML:com.adobe.xmp", "<x>canary-xmp</x>")
    info.add(b"prVt", b"canary-private")
    found = clean(encode(colourful(), pnginfo=info, icc_profile=b"canary-profile" * 20, dpi=(300, 300)))
    chunks, at = [], 8
    while at < len(found.data):
        (length,) = struct.unpack_from(">I", found.data, at)
        chunks.append(found.data[at + 4 : at + 8])
        at += 12 + length
    assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}


def test_a_photo_taken_sideways_is_put_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    found = clean(encode(colourful(), "JPEG", exif=exif, quality=95))
    assert (found.width, found.height) == (16, 24)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(mode: str) -> None:
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    found = opened(clean(encode(colourful(mode), kind)).data)
    assert (found.mode, found.size) == ("RGB", (24, 16))


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped() -> None:
    deep = Image.new("I;16", (24, 16), 0x8000)
    found = opened(clean(encode(deep)).data)
    assert found.mode == "RGB"
    assert found.getpixel((3, 3)) == (128, 128, 128)


def test_sixteen_bits_of_colour_become_eight() -> None:
    raw = b"".join(b"\0" + struct.pack(">3H", 0xFFFF, 0x8000, 0) * 4 for _ in range(4))
    found = opened(clean(png_of(4, 4, raw, depth=16)).data)
    assert (found.mode, found.getpixel((1, 1))) == ("RGB", (255, 128, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_shows_through_still_does(mode: str) -> None:
    image = colourful("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    kind = {"PA": "WEBP"}.get(mode, "PNG")
    found = opened(clean(encode(image.convert(mode) if kind == "PNG" else image, kind, lossless=True)).data)
    assert found.mode == "RGBA"


def test_a_transparent_colour_of_a_palette_shows_through() -> None:
    assert opened(clean(encode(colourful("P"), transparency=0)).data).mode == "RGBA"


def test_transparency_that_is_nowhere_goes() -> None:
    assert opened(clean(encode(colourful("RGBA"))).data).mode == "RGB"


def test_a_picture_hidden_under_transparency_is_not_let_through() -> None:
    hidden = colourful("RGBA")
    hidden.putalpha(Image.new("L", hidden.size, 0))
    found = opened(clean(encode(hidden)).data)
    assert found.convert("RGB").getextrema() == ((0, 0), (0, 0), (0, 0))


def test_of_a_mask_only_its_transparency_goes_on() -> None:
    mask = colourful("RGBA")
    alpha = Image.new("L", mask.size, 255)
    alpha.paste(0, (4, 4, 12, 12))
    mask.putalpha(alpha)
    found = opened(clean(encode(mask), is_mask=True).data)
    assert found.getchannel("A").tobytes() == alpha.tobytes()
    assert found.convert("RGB").getextrema() == ((0, 0), (0, 0), (0, 0))


def test_a_photo_to_vary_is_made_smaller_until_it_fits_and_no_other_is() -> None:
    photo = encode(Image.effect_noise((400, 300), 80).convert("RGB"), "JPEG")
    found = clean(photo, most_bytes=50_000, may_shrink=True)
    assert len(found.data) <= 50_000
    assert (found.width, found.height) == opened(found.data).size
    assert (found.sent_width, found.sent_height) == (400, 300)
    assert abs(found.width / found.height - 4 / 3) < 0.05
    with pytest.raises(BadUpload, match="large"):
        clean(photo, most_bytes=50_000)


def png_of(width: int, height: int, raw: bytes, *, depth: int = 8) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def moving(kind: str) -> bytes:
    frames = [Image.new("RGB", (24, 16), (i * 100, 0, 0)) for i in range(2)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:])


PLAIN = encode(colourful())
BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "one byte": (b"\x89", "type"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "type"),
    "GIF": (encode(colourful("P"), "GIF"), "type"),
    "TIFF": (encode(colourful(), "TIFF"), "type"),
    "BMP": (encode(colourful(), "BMP"), "type"),
    "PDF": (b"%PDF-1.7\n", "type"),
    "a page": (b"<!doctype html><script>alert(1)</script>", "type"),
    "SVG with the first bytes of a PNG": (b"\x89PNG\r\n\x1a\n<svg/>", "decode"),
    "a cut PNG": (encode(colourful(size=(64, 64)))[:-40], "decode"),
    "a cut JPEG": (encode(colourful(size=(64, 64)), "JPEG")[:-40], "decode"),
    "a cut WebP": (encode(colourful(size=(64, 64)), "WEBP")[:-40], "decode"),
    "a broken checksum": (PLAIN.replace(b"IDAT", b"IDAX", 1), "decode"),
    "an archive behind a PNG": (PLAIN + b"PK\x03\x04", "trailing"),
    "an archive behind a JPEG": (encode(colourful(), "JPEG") + b"PK\x03\x04", "trailing"),
    "an archive behind a WebP": (encode(colourful(), "WEBP") + b"PK\x03\x04", "trailing"),
    "two PNGs": (PLAIN * 2, "trailing"),
    "a moving PNG": (moving("PNG"), "frames"),
    "a moving WebP": (moving("WEBP"), "frames"),
    "a JPEG with a second one inside": (moving("MPO"), "frames"),
    "a bomb": (png_of(100_000, 100_000, b"\0" * 99), "pixels"),
    "a smaller bomb": (png_of(5_000, 5_000, b"\0" * 99), "pixels"),
    "a ribbon": (png_of(2**31 - 1, 1, b"\0" * 99), "pixels"),
    "no width": (png_of(0, 16, b"\0" * 99), "decode"),
    "no height": (png_of(16, 0, b"\0" * 99), "decode"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_single_whole_picture_is_refused(name: str) -> None:
    data, check = BAD[name]
    with pytest.raises(BadUpload) as caught:
        clean(data)
    assert caught.value.args == (check,)


def test_a_mask_must_be_a_png_with_a_hole_in_it() -> None:
    clear = encode(Image.new("RGBA", (8, 8)), "WEBP", lossless=True)
    for data, check in ((clear, "mask-type"), (PLAIN, "mask-opaque"), (encode(colourful("RGBA")), "mask-opaque")):
        with pytest.raises(BadUpload) as caught:
            clean(data, is_mask=True)
        assert caught.value.args == (check,)


def test_a_decoder_that_was_told_to_accept_broken_files_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(BadUpload, match="decoder"):
        clean(PLAIN)


@settings(max_examples=150)
@given(st.data())
def test_flipped_bytes_give_a_picture_or_a_refusal_and_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(encode(colourful(), data.draw(st.sampled_from(sorted(TYPES.values())))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = clean(bytes(raw))
    except BadUpload as refused:
        assert refused.__cause__ is None
    else:
        assert opened(found.data).size == (found.width, found.height)
