from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import Entry, EntryInvalid, Query, QueryInvalid, Subject, new_event_id
from audit.ids import day_of, parse_event_id
from audit.record import Envelope, from_micros, latency_bucket_ms, to_micros

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WHO = Subject(actor="alice", display="Alice")


@pytest.mark.parametrize(
    "fields",
    [
        {"action": ""},
        {"action": "Image:Generate"},
        {"action": "image:generate\n"},
        {"action": "x" * 81},
        {"tenant": "../etc"},
        {"tenant": "a.b"},
        {"tenant": "-a"},
        {"class_": "a/b"},
        {"effect": "maybe"},
        {"reasons": ("free text",)},
        {"reasons": ("a",) * 65},
        {"model": "a model with spaces"},
        {"model_digest": "x\0"},
        {"bundle_revision": "x" * 161},
        {"credits": -1},
        {"latency_ms": -1},
        {"index": {"actor": ("bob",)}},
        {"index": {"Group": ("a",)}},
        {"index": {"group": ("x" * 513,)}},
        {"index": {"group": tuple(str(n) for n in range(1025))}},
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused_without_being_quoted(fields: dict[str, object]) -> None:
    with pytest.raises(EntryInvalid) as caught:
        Entry(**{"action": "image:generate", "subject": WHO, **fields})
    for value in fields.values():
        assert not (isinstance(value, str) and len(value) > 3 and value in str(caught.value))


def test_an_actor_is_needed() -> None:
    with pytest.raises(EntryInvalid):
        Subject(actor="")


def test_the_envelope_has_no_field_for_a_person_or_content() -> None:
    fields = set(Envelope.__dataclass_fields__)
    assert fields.isdisjoint(
        {"subject", "actor", "display", "department", "groups", "content", "prompt", "ip", "index"}
    )


@given(st.integers(0, 253_370_764_800_000_000).map(lambda micros: EPOCH + timedelta(microseconds=micros)))
def test_times_keep_their_microseconds(at: datetime) -> None:
    assert from_micros(to_micros(at)) == at


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        to_micros(datetime(2026, 1, 1))  # noqa: DTZ001


def test_latency_becomes_the_upper_bound_of_its_bucket() -> None:
    assert [latency_bucket_ms(ms) for ms in (None, 0, 50, 51, 300_000, 300_001)] == [None, 50, 50, 100, 300_000, -1]


def test_event_ids_are_version_7_and_tell_their_day() -> None:
    at = datetime(2026, 11, 22, 23, 59, 59, 999_000, tzinfo=UTC)
    event_id = parse_event_id(new_event_id(at))
    assert (event_id.version, event_id.variant) == (7, "specified in RFC 4122")
    assert day_of(event_id) == at.date()
    assert day_of(parse_event_id(new_event_id(at + timedelta(milliseconds=1)))) == at.date() + timedelta(days=1)


def test_the_published_example_of_a_version_7_uuid_reads_right() -> None:
    """RFC 9562, appendix A.6: 2022-02-22 19:22:22 UTC."""
    assert str(day_of(parse_event_id("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"))) == "2022-02-22"


def test_event_ids_made_in_one_moment_differ() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    assert len({new_event_id(at) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
        "017f22e279b07cc398c4dc0c0c07398f",
        "c232ab00-9414-41ec-b3c8-9f6bdeced846",
    ],
)
def test_other_spellings_and_versions_of_event_ids_are_refused(text: str) -> None:
    with pytest.raises(QueryInvalid):
        parse_event_id(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": 0},
        {"limit": 201},
        {"effect": "maybe"},
        {"reason": "x y"},
        {"actor": ""},
        {"tenant": "A"},
        {"model": "a b"},
        {"created_from": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"cursor": "x"},
        {"created_from": datetime(2026, 1, 2, tzinfo=UTC), "created_to": datetime(2026, 1, 1, tzinfo=UTC)},
        {"created_to": datetime(1, 1, 1, tzinfo=UTC)},
        {"word": "the"},
        {"event_id": "x"},
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(QueryInvalid):
        Query(**fields)  # type: ignore[arg-type]


def test_a_query_records_what_was_asked_and_nothing_else() -> None:
    at = datetime(2026, 11, 22, tzinfo=timezone(timedelta(hours=1)))
    assert Query(actor="alice", created_from=at).as_content() == {
        "tenant": "default",
        "query": "actor:alice created:2026-11-21T23:00:00Z..",
        "limit": 50,
    }
