"""The invisible mark: found after what usually happens to pictures, never where there is none, nobody else's."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from gateway.provenance.watermark import HANDLE_BITS, Watermark, find
from gateway.provenance.watermark import read as reading
from gateway.provenance.watermark.coding import CODED_BITS, decode, encode
from tests.unit.provenance.pictures import ATTACKS, KINDS, drawn_by_the_model, made, psnr

SECRET = b"a secret of at least 32 bytes, for tests"
HANDLE = 0xABCDEF123456
MARK = Watermark(SECRET)
DOCUMENTS = list(drawn_by_the_model())


def _handle(pixels: np.ndarray, *marks: Watermark) -> int | None:
    found = find(marks or (MARK,), pixels)
    return None if found is None else found.handle


DRAWN = ("gradient", "shapes on white", "clouds", "texture")
LOST_ON_PRINT = {"WebP 80", "resized to 256, JPEG 75", "brighter by 20"}
"""A white page of small print has no room for light above it, and every stroke is louder than a wave."""


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", DRAWN)
def test_a_handle_comes_back_after(kind: str, attack: str) -> None:
    assert _handle(ATTACKS[attack](MARK.mark(made(kind, 1), HANDLE))) == HANDLE


@pytest.mark.parametrize("attack", ["as it left", "JPEG 75", "resized to 256", "cut 10 %, a corner", "WebP 80"])
def test_a_page_of_small_print_keeps_it_or_loses_it_but_never_tells_another(attack: str) -> None:
    handle = _handle(ATTACKS[attack](MARK.mark(made("text", 1), HANDLE)))
    assert handle in ({HANDLE, None} if attack in LOST_ON_PRINT else {HANDLE})


@pytest.mark.parametrize("attack", ["JPEG 75", "WebP 80", "resized to 256", "resized to 1024", "cut 10 %, all around"])
def test_pictures_in_the_documentation_keep_it_too(attack: str) -> None:
    assert [_handle(ATTACKS[attack](MARK.mark(pixels, HANDLE))) for pixels in DOCUMENTS] == [HANDLE] * len(DOCUMENTS)


@pytest.mark.parametrize(("width", "height"), [(256, 256), (640, 400), (768, 1024), (1024, 1024), (1536, 1024)])
def test_other_shapes_carry_it(width: int, height: int) -> None:
    pixels = made("clouds", 3, 1536)[:height, :width]
    marked = MARK.mark(pixels, HANDLE)
    assert marked.shape == pixels.shape
    assert _handle(ATTACKS["JPEG 75"](marked)) == HANDLE
    assert _handle(ATTACKS["cut 10 %, a corner"](marked)) == HANDLE


@pytest.mark.parametrize("kind", ["gradient", "shapes", "clouds"])
def test_a_small_picture_keeps_it_as_it_is_mirrored_and_enlarged(kind: str) -> None:
    marked = MARK.mark(made(kind, 1, 128), HANDLE)
    for attack in ("as it left", "mirrored", "resized to 512", "JPEG 90"):
        changed = ATTACKS[attack](marked) if attack in ATTACKS else np.repeat(np.repeat(marked, 4, 0), 4, 1)
        assert _handle(changed) == HANDLE, attack


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [128, 512])
def test_nobody_sees_it(kind: str, size: int) -> None:
    pixels = made(kind, 2, size)
    before = pixels.copy()
    assert psnr(pixels, MARK.mark(pixels, HANDLE)) >= 40
    assert (pixels == before).all()


def test_every_bit_of_a_handle_is_carried() -> None:
    pixels = made("clouds", 5, 256)
    handles = [0, (1 << HANDLE_BITS) - 1, *(1 << place for place in range(HANDLE_BITS))]
    assert [_handle(MARK.mark(pixels, handle)) for handle in handles] == handles


def test_a_handle_is_found_by_its_own_secret_only() -> None:
    other = Watermark(SECRET + b"!")
    marked = MARK.mark(made("clouds", 4), HANDLE)
    assert _handle(marked, other) is None
    assert _handle(marked, other, MARK) == HANDLE, "an older secret still reads what it wrote"


def test_a_mark_for_another_handle_cannot_be_made_up_without_the_secret() -> None:
    heard = encode(SECRET, HANDLE)
    assert decode(SECRET, heard) == HANDLE
    assert decode(b"another secret, of 32 bytes or more!", heard) is None


def test_the_code_repairs_a_seventh_of_all_signs() -> None:
    heard = encode(SECRET, HANDLE)
    wrong = np.random.default_rng(1).permutation(CODED_BITS)[: CODED_BITS // 7]
    heard[wrong] *= -1
    assert decode(SECRET, heard) == HANDLE


def test_noise_is_no_codeword() -> None:
    random = np.random.default_rng(2)
    assert all(decode(SECRET, random.normal(0, 1, CODED_BITS).astype(np.float32)) is None for _ in range(300))


def test_no_handle_is_read_from_pictures_without_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance has the HMAC against it (2^-24 for each try), so what is measured is how often it gets a try at all."""
    tries: Counter[str] = Counter()
    real = reading._read

    def counting(*arguments: object) -> object:
        tries["read"] += 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "_read", counting)
    pictures = [made(kind, seed, 160) for seed in range(100, 106) for kind in KINDS]
    assert [find([MARK], pixels) for pixels in pictures] == [None] * len(pictures)
    assert tries["read"] <= len(pictures), "a try for each picture is 6e-8; the most there can be is eight"


def test_confidence_falls_with_the_damage() -> None:
    marked = MARK.mark(made("texture", 2), HANDLE)
    fresh, hurt = find([MARK], marked), find([MARK], ATTACKS["resized to 256, JPEG 75"](marked))
    assert fresh is not None
    assert hurt is not None
    assert 0.6 < hurt.confidence < fresh.confidence <= 1


@pytest.mark.parametrize("shape", [(20, 512, 3), (512, 512), (512, 512, 4)])
def test_what_cannot_be_marked_is_refused_with_a_reason(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        MARK.mark(np.zeros(shape, np.uint8), HANDLE)


@pytest.mark.parametrize("handle", [-1, 1 << HANDLE_BITS])
def test_a_handle_of_other_size_is_refused(handle: int) -> None:
    with pytest.raises(ValueError, match="handle out of range"):
        MARK.mark(made("plain", 1), handle)


def test_a_short_secret_is_refused_and_none_is_shown() -> None:
    with pytest.raises(ValueError, match="too short"):
        Watermark(b"short")
    assert "secret" not in repr(MARK)
    assert "a secret" not in repr(MARK.carriers)


@pytest.mark.parametrize("shape", [(1, 1), (15, 4000), (16, 16), (17, 3000), (64, 64)])
def test_odd_shapes_are_looked_at_without_complaint(shape: tuple[int, int]) -> None:
    assert find([MARK], np.full((*shape, 3), 200, np.uint8)) is None
