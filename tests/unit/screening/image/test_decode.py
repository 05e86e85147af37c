"""A picture is what it says it is, whole, single and nothing more."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from gateway.exchange import Picture
from gateway.screening.image.decode import MAX_BYTES, NotAPicture, check_picture

TYPES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


def encode(kind: str = "image/png", size: tuple[int, int] = (24, 16), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, TYPES[kind], **options)
    return out.getvalue()


def picture(data: bytes, kind: str = "image/png", width: int = 24, height: int = 16) -> Picture:
    return Picture(index=0, data=data, media_type=kind, width=width, height=height, sha256="")


@pytest.mark.parametrize("kind", TYPES)
def test_a_whole_picture_passes(kind: str) -> None:
    check_picture(picture(encode(kind), kind))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("other", TYPES)
def test_a_picture_of_another_type_is_refused(kind: str, other: str) -> None:
    if kind != other:
        with pytest.raises(NotAPicture, match="decode"):
            check_picture(picture(encode(kind), other))


@pytest.mark.parametrize("kind", ["image/svg+xml", "image/gif", "text/html", ""])
def test_a_type_we_do_not_make_is_refused(kind: str) -> None:
    with pytest.raises(NotAPicture, match="type"):
        check_picture(picture(encode(), kind))


@pytest.mark.parametrize(("width", "height"), [(25, 16), (24, 17), (16, 24), (0, 0)])
def test_another_size_than_claimed_is_refused(width: int, height: int) -> None:
    with pytest.raises(NotAPicture, match="size"):
        check_picture(picture(encode(), width=width, height=height))


@pytest.mark.parametrize("kind", TYPES)
def test_a_cut_picture_is_refused(kind: str) -> None:
    data = encode(kind, (64, 64))
    with pytest.raises(NotAPicture):
        check_picture(picture(data[: len(data) * 2 // 3], kind, 64, 64))


@pytest.mark.parametrize("kind", TYPES)
def test_bytes_behind_the_picture_are_refused(kind: str) -> None:
    with pytest.raises(NotAPicture, match="behind"):
        check_picture(picture(encode(kind) + b"PK\x03\x04 an archive", kind))


def test_a_second_picture_behind_the_first_is_refused() -> None:
    with pytest.raises(NotAPicture, match="behind"):
        check_picture(picture(encode() * 2))


@pytest.mark.parametrize("kind", ["image/png", "image/webp"])
def test_a_moving_picture_is_refused(kind: str) -> None:
    frames = [Image.new("RGB", (24, 16), (i * 100, 0, 0)) for i in range(2)]
    out = io.BytesIO()
    frames[0].save(out, TYPES[kind], save_all=True, append_images=frames[1:])
    with pytest.raises(NotAPicture, match="frames"):
        check_picture(picture(out.getvalue(), kind))


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [5_000, 20_000, 100_000])
def test_a_bomb_is_refused_before_it_is_unpacked(side: int) -> None:
    with pytest.raises(NotAPicture, match=r"pixels|decode: Decompression"):
        check_picture(picture(png_that_claims(side, side), width=side, height=side))


@pytest.mark.parametrize("data", [b"", b"\0" * (MAX_BYTES + 1)])
def test_nothing_or_too_much_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPicture, match="bytes"):
        check_picture(picture(data))


def test_a_decoder_that_was_told_to_accept_broken_files_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(NotAPicture, match="decoder"):
        check_picture(picture(encode()))


@settings(max_examples=150)
@given(st.data())
def test_flipped_bytes_pass_or_are_refused_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(TYPES)))
    raw = bytearray(encode(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        check_picture(picture(bytes(raw), kind))
    except NotAPicture as refused:
        assert refused.__cause__ is None
