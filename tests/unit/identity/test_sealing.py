"""What a provider gave is sealed for one session and one purpose."""

from __future__ import annotations

import pytest

from gateway.identity.sealing import MAX_TOKEN, Purpose, Sealer

SESSION = "a" * 64
SEALER = Sealer(b"k" * 32)


def sealed(text: str = "refresh-1") -> bytes:
    found = SEALER.seal(text, Purpose.REFRESH, SESSION)
    assert found is not None
    return found


def test_text_comes_back_for_its_session_and_purpose_only() -> None:
    assert SEALER.open(sealed(), Purpose.REFRESH, SESSION) == "refresh-1"
    assert SEALER.open(sealed(), Purpose.ID_TOKEN, SESSION) is None
    assert SEALER.open(sealed(), Purpose.REFRESH, "b" * 64) is None
    assert Sealer(b"o" * 32).open(sealed(), Purpose.REFRESH, SESSION) is None


def test_same_text_is_never_sealed_the_same_twice() -> None:
    assert sealed() != sealed()


@pytest.mark.parametrize("place", [0, 1, 12, 13, -1])
def test_any_changed_byte_is_noticed(place: int) -> None:
    changed = bytearray(sealed())
    changed[place] ^= 1
    assert SEALER.open(bytes(changed), Purpose.REFRESH, SESSION) is None


@pytest.mark.parametrize("stored", [None, b"", b"\x01", b"\x01" + b"n" * 12, b"\x02" + b"n" * 40])
def test_what_was_not_sealed_here_is_nothing(stored: bytes | None) -> None:
    assert SEALER.open(stored, Purpose.REFRESH, SESSION) is None


def test_nothing_and_what_is_too_long_is_not_kept() -> None:
    assert SEALER.seal("", Purpose.REFRESH, SESSION) is None
    assert SEALER.seal("x" * (MAX_TOKEN + 1), Purpose.REFRESH, SESSION) is None
    assert SEALER.open(sealed("x" * MAX_TOKEN), Purpose.REFRESH, SESSION) == "x" * MAX_TOKEN
