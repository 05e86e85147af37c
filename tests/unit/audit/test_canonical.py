from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import decode, dump_json, encode, load_json_object

scalars = st.one_of(
    st.text(st.characters(exclude_categories=())), st.integers(), st.binary(), st.none()
)  # lone surrogates too
fields = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12)
field_lists = st.lists(fields, max_size=6).map(tuple)


@given(field_lists)
def test_decoding_gives_back_what_was_encoded(values: tuple[object, ...]) -> None:
    assert decode(encode(*values)) == values  # type: ignore[arg-type]


@given(field_lists, field_lists)
def test_different_fields_never_give_the_same_bytes(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert (encode(*one) == encode(*other)) == (one == other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("1",), (1,)),
        (("a",), (b"a",)),
        ((None,), ("",)),
        (((),), ()),
        ((("a",), "b"), ("a", ("b",))),
    ],
)
def test_the_classic_ambiguities_are_told_apart(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert encode(*one) != encode(*other)  # type: ignore[arg-type]


@given(st.binary(max_size=60))
def test_bytes_that_decode_encode_to_themselves(data: bytes) -> None:
    try:
        values = decode(data)
    except ValueError:
        return
    assert encode(*values) == data


@pytest.mark.parametrize("value", [True, 1.5, [1], {"a": 1}])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [b"s", b"s\0\0\0\5abc", b"i\0\0\0\x02" + b"07", b"i\0\0\0\x02+7", b"n\0\0\0\1x", b"x\0\0\0\0", b"i\0\0\0\0"],
)
def test_what_encode_would_not_write_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


def test_json_survives_lone_surrogates_and_tuples() -> None:
    body = {"prompt": "a \ud800 fox", "groups": ("a", "b"), "n": None, "x": 1.5}
    assert load_json_object(dump_json(body)) == {**body, "groups": ["a", "b"]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes", {"a": {1, 2}}])
def test_what_json_cannot_carry_is_refused_without_being_quoted(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON") as caught:
        dump_json({"secret-name": value})  # type: ignore[dict-item]
    assert "secret-name" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_cycles_and_depth_are_refused() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, deep):
        with pytest.raises(ValueError, match="not JSON"):
            dump_json(value)  # type: ignore[arg-type]


def test_a_sealed_body_must_be_an_object() -> None:
    with pytest.raises(ValueError, match="object"):
        load_json_object(b"[1]")
