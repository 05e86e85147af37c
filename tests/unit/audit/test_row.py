from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import decode
from audit.row import (
    COLUMNS,
    Plain,
    Row,
    authenticator_of,
    envelope_commitment,
    index_commitment,
    leaf_data,
    leaf_of,
    make_row,
)

ROW = Row(
    seq=7,
    head_seq=6,
    event_id=b"e" * 16,
    phase="outcome",
    tenant="default",
    day="2026-11-22",
    class_="standard",
    recorded_at=1_764_000_000_000_000,
    action="image:generate",
    effect="deny",
    reasons="dlp.payment-card",
    about="",
    bundle_revision="r1",
    model="m",
    model_digest="d",
    credits=1,
    latency_bucket_ms=100,
    schema=1,
    key_id="00" * 8,
    node="node",
    boot="11" * 8,
    counter=3,
    envelope_salt=b"s" * 16,
    subject_digest=b"1" * 32,
    content_digest=b"2" * 32,
    index_commitment=b"3" * 32,
    leaf=b"",
    index_salt=b"t" * 16,
    terms=b"x" * 32,
    authenticator=b"",
    subject=b"",
    content=b"",
)
BOUND = [name for name in COLUMNS if name not in ("leaf", "index_salt", "terms", "authenticator", "subject", "content")]


@pytest.mark.parametrize("name", BOUND)
def test_the_leaf_binds_every_field_that_stays(name: str) -> None:
    value = getattr(ROW, name)
    other = value + 1 if isinstance(value, int) else value + (b"x" if isinstance(value, bytes) else "x")
    assert leaf_of(ROW._replace(**{name: other})) != leaf_of(ROW)


@pytest.mark.parametrize("name", ["leaf", "index_salt", "terms", "authenticator", "subject", "content"])
def test_the_leaf_does_not_need_what_a_purge_removes(name: str) -> None:
    assert leaf_of(ROW._replace(**{name: None})) == leaf_of(ROW)


def test_no_latency_and_some_latency_are_told_apart() -> None:
    assert leaf_of(ROW._replace(latency_bucket_ms=None)) != leaf_of(ROW._replace(latency_bucket_ms=0))


def test_neighbouring_fields_cannot_trade_characters() -> None:
    assert leaf_of(ROW._replace(action="a", effect="bc")) != leaf_of(ROW._replace(action="ab", effect="c"))


def test_the_leafs_data_is_what_the_documentation_says() -> None:
    assert decode(leaf_data(ROW)) == (
        "imprimatur/audit/leaf",
        1,
        7,
        "default",
        "2026-11-22",
        b"1" * 32,
        b"2" * 32,
        envelope_commitment(ROW),
        b"3" * 32,
    )
    assert leaf_of(ROW) == hashlib.sha256(b"\0" + leaf_data(ROW)).digest()


@given(st.binary(min_size=16, max_size=16))
def test_the_same_envelope_under_another_salt_is_another_commitment(salt: bytes) -> None:
    """Else few actions and effects could be looked up from what stays after an erasure."""
    assert (envelope_commitment(ROW._replace(envelope_salt=salt)) == envelope_commitment(ROW)) == (
        salt == ROW.envelope_salt
    )
    assert (index_commitment(salt, b"x") == index_commitment(b"t" * 16, b"x")) == (salt == b"t" * 16)


def test_an_authenticator_needs_the_days_key() -> None:
    assert authenticator_of(b"k" * 32, b"l" * 32) != authenticator_of(b"j" * 32, b"l" * 32)
    assert authenticator_of(b"k" * 32, b"l" * 32) != authenticator_of(b"k" * 32, b"m" * 32)


def test_a_row_made_in_one_go_is_the_row_that_is_read_again() -> None:
    """What is bound when it is written and when it is verified is the same, column for column."""
    assert COLUMNS[: len(Plain._fields)] == Plain._fields
    made = make_row(Plain(*ROW[: len(Plain._fields)]), bytes(range(32)), b"x" * 32, b"subject", b"content", b"k" * 32)
    assert made.leaf == leaf_of(made)
    assert made.authenticator == authenticator_of(b"k" * 32, made.leaf)
    assert made.index_commitment == index_commitment(made.index_salt or b"", made.terms or b"")
    assert made[: len(Plain._fields)] == ROW[: len(Plain._fields)]
