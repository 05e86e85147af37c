from __future__ import annotations

import dataclasses
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import StoreDamaged
from audit.keys.ring import DayKeys
from audit.seal import Part, SealContext, blind_terms, blind_token, seal, unseal

DAY = date(2026, 11, 22)
CONTEXT = SealContext("default", DAY, b"e" * 16, "intent", "standard", 1)


def keys(secret: bytes = b"\1" * 32 + b"\2" * 32) -> DayKeys:
    return DayKeys("default", "standard", DAY, "00" * 8, secret)


@given(st.binary(max_size=300))
def test_what_was_sealed_opens(plaintext: bytes) -> None:
    assert unseal(keys(), CONTEXT, Part.CONTENT, seal(keys(), CONTEXT, Part.CONTENT, plaintext)) == plaintext


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "other"},
        {"day": date(2026, 11, 23)},
        {"event_id": b"f" * 16},
        {"phase": "outcome"},
        {"class_": "abuse"},
        {"schema": 2},
    ],
)
def test_a_ciphertext_moved_to_another_record_does_not_open(other: dict[str, object]) -> None:
    sealed = seal(keys(), CONTEXT, Part.CONTENT, b"secret")
    with pytest.raises(StoreDamaged):
        unseal(keys(), dataclasses.replace(CONTEXT, **other), Part.CONTENT, sealed)


def test_associated_data_names_every_part_of_the_context() -> None:
    """Not only the derived key: with one key for all records the swap must still fail."""
    changed = [
        dataclasses.replace(CONTEXT, **{name: value})
        for name, value in [
            ("tenant", "x"),
            ("day", date(2026, 1, 1)),
            ("event_id", b"x" * 16),
            ("phase", "access"),
            ("class_", "x"),
            ("schema", 9),
        ]
    ]
    seen = {context.associated_data(part) for context in [CONTEXT, *changed] for part in Part}
    assert len(seen) == 2 * (len(changed) + 1)


def test_a_ciphertext_moved_to_the_other_part_does_not_open() -> None:
    with pytest.raises(StoreDamaged):
        unseal(keys(), CONTEXT, Part.SUBJECT, seal(keys(), CONTEXT, Part.CONTENT, b"secret"))


def test_another_days_key_does_not_open() -> None:
    with pytest.raises(StoreDamaged):
        unseal(keys(b"\3" * 64), CONTEXT, Part.CONTENT, seal(keys(), CONTEXT, Part.CONTENT, b"secret"))


@given(st.data())
def test_a_flipped_bit_anywhere_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(seal(keys(), CONTEXT, Part.CONTENT, b"secret"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StoreDamaged) as caught:
        unseal(keys(), CONTEXT, Part.CONTENT, bytes(sealed))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 5, 12, 27])
def test_a_ciphertext_cut_short_does_not_open(length: int) -> None:
    with pytest.raises(StoreDamaged):
        unseal(keys(), CONTEXT, Part.CONTENT, seal(keys(), CONTEXT, Part.CONTENT, b"secret")[:length])


def test_sealing_the_same_bytes_twice_gives_two_ciphertexts() -> None:
    """A retried commit seals under the same derived key: a repeated nonce would leak both texts."""
    one, two = (seal(keys(), CONTEXT, Part.CONTENT, b"secret") for _ in range(2))
    assert one[:12] != two[:12]
    assert one != two


def test_tokens_differ_by_kind_value_and_key() -> None:
    tokens = {
        blind_token(keys(), "actor", "alice"),
        blind_token(keys(), "actor", "bob"),
        blind_token(keys(), "group", "alice"),
        blind_token(keys(b"\3" * 64), "actor", "alice"),
        blind_token(keys(), "act", "oralice"),
    }
    assert len(tokens) == 5
    assert all(len(token) == 16 for token in tokens)


def test_terms_are_sorted_and_without_repeats() -> None:
    terms = blind_terms(keys(), "alice", {"group": ("b", "a", "b"), "network": ("10.0.0.1",)})
    assert list(terms) == sorted(set(terms))
    assert len(terms) == 4


def test_empty_terms_are_left_out() -> None:
    assert blind_terms(keys(), "alice", {"network": ("",), "group": ()}) == blind_terms(keys(), "alice", {})


def test_wiped_keys_are_zero() -> None:
    made = keys()
    made.wipe()
    assert not any(made.dek)
    assert not any(made.index_key)
    assert not any(made.row_key)
