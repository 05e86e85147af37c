"""OCSF events against our own schema of them, against the published one, and against themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from audit.export import ExportRecord
from audit.export.formats import RENDERINGS, FeedFormat
from audit.export.ocsf import PROFILES, fingerprint_of, ocsf_event
from audit.record import Effect, Phase, Subject
from audit.vocabulary import LogEvent

Maker = Callable[..., ExportRecord]
# The newest published schema that a package carries; ours is one release later, which added record_integrity.
PUBLISHED = "1.8.0"

EVERY_EFFECT = [{"effect": ""}, *({"effect": effect.value} for effect in Effect)]
SHAPES: list[dict[str, Any]] = [
    *EVERY_EFFECT,
    *({"phase": phase} for phase in Phase),
    *({"action": event.value, "phase": Phase.ACCESS, "effect": "allow"} for event in LogEvent),
    {"reasons": ()},
    {"model": "", "model_digest": "", "bundle_revision": "", "latency_bucket_ms": None},
    {"about": "2026-10-22", "phase": Phase.PURGE},
    {"latency_bucket_ms": -1},
]


@pytest.fixture(scope="module")
def own_schema() -> Any:
    path = Path(__file__).parents[3] / "vectors" / "audit" / "ocsf" / "api-activity.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def published_schema() -> Any:
    profiles = [name for name in PROFILES if name != "record_integrity"]
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=PUBLISHED))
    return jsonschema.Draft202012Validator(schema.get_class_schema("api_activity", profiles=profiles))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_subject", [False, True])
def test_every_shape_of_event_is_one_of_our_schema(
    own_schema: Any, record: Maker, person: Subject, shape: dict[str, Any], with_subject: bool
) -> None:
    event = ocsf_event(record(person if with_subject else None, **shape))
    own_schema.validate(json.loads(json.dumps(event)))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_event_is_one_of_the_published_schema(
    published_schema: Any, record: Maker, person: Subject, shape: dict[str, Any]
) -> None:
    event = json.loads(json.dumps(ocsf_event(record(person, **shape))))
    del event["attestation_list"]  # of 1.9.0
    event["metadata"]["version"] = PUBLISHED
    event["metadata"]["profiles"].remove("record_integrity")
    published_schema.validate(event)


def test_a_schema_that_lets_everything_through_would_be_noticed(
    own_schema: Any, published_schema: Any, record: Maker
) -> None:
    for spoilt in ({"class_uid": 1}, {"time": "noon"}, {"actor": {}}, {"severity_id": 4711}):
        event = {**ocsf_event(record()), **spoilt}
        assert not own_schema.is_valid(event)
        event.pop("attestation_list")
        assert not published_schema.is_valid({**event, "metadata": {**event["metadata"], "version": PUBLISHED}})


def test_an_event_says_what_the_gate_decided(record: Maker) -> None:
    event = ocsf_event(record(effect="deny"))
    assert (event["action"], event["disposition"], event["status"]) == ("Denied", "Blocked", "Failure")
    assert event["status_detail"] == "dlp.payment-card policy.quota"
    event = ocsf_event(record(effect="mask"))
    assert (event["action"], event["disposition"], event["status"]) == ("Modified", "Corrected", "Success")
    assert ocsf_event(record(effect="cancelled"))["status"] == "cancelled"


def test_an_event_names_nobody_unless_the_subject_was_opened(record: Maker, person: Subject) -> None:
    assert "user" not in ocsf_event(record())["actor"]  # type: ignore[operator]
    user = ocsf_event(record(person))["actor"]["user"]  # type: ignore[index,call-overload]
    assert user["uid"] == "alice"
    assert user["groups"] == [{"name": "writers"}, {"name": "night shift"}]


def test_the_halves_of_a_request_have_their_own_uid_and_one_correlation(record: Maker) -> None:
    intent = ocsf_event(record(phase=Phase.INTENT, effect="", seq=40))["metadata"]
    outcome = ocsf_event(record())["metadata"]
    assert intent["uid"] != outcome["uid"]  # type: ignore[index,call-overload]
    assert intent["correlation_uid"] == outcome["correlation_uid"]  # type: ignore[index,call-overload]


def test_a_record_sent_again_is_the_same_event_byte_for_byte(record: Maker, person: Subject) -> None:
    line = RENDERINGS[FeedFormat.OCSF].line
    assert line(record(person)) == line(record(person))
    assert line(record(person)).isascii()


def test_the_fingerprint_finds_every_change_and_survives_the_wire(record: Maker, person: Subject) -> None:
    event = json.loads(RENDERINGS[FeedFormat.OCSF].line(record(person)))
    value = event["attestation_list"][0]["fingerprint"]["value"]
    assert fingerprint_of(event) == value
    shuffled = dict(reversed(event.items()))
    assert fingerprint_of(shuffled) == value  # the order of names is not part of JSON
    for path in (
        ("time",),
        ("metadata", "sequence"),
        ("actor", "user", "name"),
        ("unmapped", "imprimatur", "leaf_hash"),
    ):
        changed = json.loads(json.dumps(event))
        place = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = "changed"
        assert fingerprint_of(changed) != value
    changed = json.loads(json.dumps(event))
    changed["attestation_list"][0]["chain_uid"] = "another.example/log"
    assert fingerprint_of(changed) != value


def test_half_a_character_in_a_name_does_not_stop_the_feed(record: Maker) -> None:
    event = ocsf_event(record(Subject(actor="a\ud800b", display="\udfff")))
    assert event["actor"]["user"]["uid"] == "a\ufffdb"  # type: ignore[index,call-overload]
    json.dumps(event, ensure_ascii=False).encode()
