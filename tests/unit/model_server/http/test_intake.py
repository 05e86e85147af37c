from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from model_server.errors import InvalidRequest
from model_server.http.intake import Turn, form_limits, form_refusal, parse_form, parse_json, parse_turn
from model_server.wire import EditRequest, VariationRequest
from model_server.wire.multipart import Fault, FormError


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"[]", "invalid_json", None),
        (b'"a fox"', "invalid_json", None),
        (b"\xff\xfe\x00", "invalid_json", None),
        ('{"prompt": "a"}'.encode("utf-16"), "invalid_json", None),
        (b'\xef\xbb\xbf{"prompt": "a"}', "invalid_json", None),
        (b'{"prompt": "a", "guidance": NaN}', "invalid_json", None),
        (b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}", "invalid_json", None),
        (b'{"prompt": "half a pair \\ud83d"}', "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (b"{}", "missing_required_parameter", "prompt"),
        (b'{"prompt": "a", "colour": 1}', "unknown_parameter", "colour"),
        (b'{"prompt": 1}', "invalid_type", "prompt"),
        (b'{"prompt": "a", "n": 0}', "invalid_value", "n"),
        (b'{"prompt": "a", "n": true}', "invalid_type", "n"),
        (b'{"prompt": "a", "n": "3"}', "invalid_type", "n"),
        (b'{"prompt": "a", "stream": "true"}', "invalid_type", "stream"),
        (b'{"prompt": "a", "sketch": {"regions": []}}', "invalid_value", "sketch"),
        (b'{"prompt": "a", "sketch": {"regions": [{"box": [0, 0, 2, 1]}]}}', "invalid_value", "sketch"),
        (b'{"prompt": "a", "sketch": {"regions": [{"box": [0, 0, 1]}]}}', "missing_required_parameter", "sketch"),
        (b'{"prompt": "a", "sketch": {"regions": [{"label": "fox"}]}}', "invalid_value", "sketch"),
        (b'{"prompt": "a", "sketch": {"regions": [{"box": [0, 0, 1, 1], "x": 1}]}}', "unknown_parameter", "sketch"),
        (b'{"prompt": "a", "sketch": {"regions": [{"box": ["0", 0, 1, 1]}]}}', "invalid_type", "sketch"),
    ],
    ids=range(24),
)
def test_a_body_that_is_not_a_request_is_refused_with_the_field_named(
    body: bytes, code: str, param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(body)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": "a kind fox", "prompt": "another"}',
        b'{"prompt": "a", "sketch": {"regions": [{"box": [0, 0, 1, 1], "label": "x", "label": "y"}]}}',
    ],
)
def test_a_name_given_twice_is_refused_however_deep(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(body)
    assert caught.value.code == "invalid_json"


def test_a_sketch_comes_as_json_writes_it() -> None:
    sketch = {"regions": [{"label": "fox", "box": [0, 0.5, 1, 1]}, {"stroke": [[0, 0], [1, 0.25]], "width": 0.2}]}
    request = parse_json(json.dumps({"prompt": "a", "sketch": sketch}).encode())
    assert request.sketch is not None
    assert request.sketch.regions[0].box == (0.0, 0.5, 1.0, 1.0)
    assert request.sketch.regions[1].stroke == ((0.0, 0.0), (1.0, 0.25))


@given(
    st.dictionaries(
        st.text(max_size=12), st.one_of(st.integers(), st.text(max_size=60), st.none(), st.lists(st.booleans()))
    )
)
def test_no_refusal_repeats_what_was_sent(content: dict[str, object]) -> None:
    content = {**content, "prompt": "MARK-OF-THE-PROMPT " + str(content.get("prompt", "")), "n": "MARK-OF-THE-VALUE"}
    with pytest.raises(InvalidRequest) as caught:
        parse_json(json.dumps(content).encode())
    assert "MARK" not in caught.value.envelope.model_dump_json()


def test_a_name_deep_inside_that_nobody_knows_is_not_repeated() -> None:
    body = {"prompt": "a", "sketch": {"regions": [{"box": [0, 0, 1, 1], "MARK": 1}]}}
    with pytest.raises(InvalidRequest) as caught:
        parse_json(json.dumps(body).encode())
    assert "MARK" not in caught.value.envelope.model_dump_json()


def test_the_texts_of_a_form_become_what_they_mean() -> None:
    texts = {"prompt": "3", "n": "3", "stream": "true", "partial_images": "0", "seed": "9223372036854775807"}
    request = parse_form(EditRequest, {**texts, "guidance": "2.5e0", "strength": "1", "user": "5", "size": "auto"})
    assert (request.prompt, request.n, request.stream, request.partial_images) == ("3", 3, True, 0)
    assert (request.seed, request.guidance, request.strength, request.user) == (2**63 - 1, 2.5, 1.0, "5")
    assert parse_form(VariationRequest, {}).n == 1


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("n", "", "invalid_type"),
        ("n", " 3", "invalid_type"),
        ("n", "3.0", "invalid_type"),
        ("n", "03", "invalid_type"),
        ("n", "+3", "invalid_type"),
        ("n", "3_0", "invalid_type"),
        ("n", "٣", "invalid_type"),
        ("n", "9" * 400, "invalid_type"),
        ("n", "11", "invalid_value"),
        ("n", "-1", "invalid_value"),
        ("stream", "True", "invalid_type"),
        ("stream", "1", "invalid_type"),
        ("stream", "yes", "invalid_type"),
        ("guidance", "nan", "invalid_type"),
        ("guidance", "inf", "invalid_type"),
        ("guidance", "1e999", "invalid_value"),
        ("guidance", "0x10", "invalid_type"),
        ("strength", "0", "invalid_value"),
        ("strength", "1.1", "invalid_value"),
        ("input_fidelity", "medium", "invalid_value"),
        ("output_format", "gif", "invalid_value"),
        ("prompt", " ", "invalid_value"),
        ("sketch", "{}", "unknown_parameter"),
        ("moderation", "low", "unknown_parameter"),
    ],
)
def test_a_text_of_a_form_that_means_nothing_is_refused(name: str, text: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_form(EditRequest, {"prompt": "a fox", name: text})
    assert (caught.value.code, caught.value.param) == (code, name)


LIMITS = form_limits(EditRequest, 1000)


@pytest.mark.parametrize(
    ("kind", "field", "status", "code", "param"),
    [
        ("malformed", None, 400, "invalid_form", None),
        ("too_many", None, 400, "invalid_form", None),
        ("too_large", None, 413, "request_too_large", None),
        ("too_large", "image[]", 413, "request_too_large", "image"),
        ("too_large", "mask", 413, "request_too_large", "mask"),
        ("too_large", "prompt", 400, "invalid_value", "prompt"),
        ("too_many", "mask", 400, "invalid_value", "mask"),
        ("duplicate", "n", 400, "invalid_value", "n"),
        ("unknown", "colour", 400, "unknown_parameter", "colour"),
        ("wrong_kind", "image", 400, "invalid_type", "image"),
        ("malformed", "prompt", 400, "invalid_value", "prompt"),
    ],
)
def test_each_fault_of_a_form_has_its_refusal(
    kind: Fault, field: str | None, status: int, code: str, param: str | None
) -> None:
    error = form_refusal(FormError(kind, field), LIMITS)
    assert (error.status, error.code, error.param) == (status, code, param)
    assert "colour" not in error.message


def test_forms_take_the_files_of_their_call() -> None:
    assert {name: (f.max_bytes, f.max_count) for name, f in LIMITS.files.items()} == {
        "image": (50_000_000, 16),
        "image[]": (50_000_000, 16),
        "mask": (4_000_000, 1),
        "markup": (4_000_000, 1),
    }
    assert dict(form_limits(VariationRequest, 1000).files)["image"].max_bytes == 4_000_000


def test_headers_say_whose_turn_it_is() -> None:
    assert parse_turn(Headers({}), 9.0) == Turn("", "interactive", 9.0)
    given = {"x-imprimatur-tenant": "a_B-9", "x-imprimatur-class": "batch", "x-imprimatur-deadline-seconds": "2.5"}
    assert parse_turn(Headers(given), 9.0) == Turn("a_B-9", "batch", 2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-imprimatur-tenant", "a b"),
        ("x-imprimatur-tenant", "a" * 65),
        ("x-imprimatur-tenant", "ä"),
        ("x-imprimatur-class", "urgent"),
        ("x-imprimatur-class", "Batch"),
        ("x-imprimatur-deadline-seconds", "0"),
        ("x-imprimatur-deadline-seconds", "-1"),
        ("x-imprimatur-deadline-seconds", "86401"),
        ("x-imprimatur-deadline-seconds", "soon"),
        ("x-imprimatur-deadline-seconds", "nan"),
        ("x-imprimatur-deadline-seconds", "1e9"),
    ],
)
def test_a_header_that_means_nothing_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_turn(Headers(raw=[(name.encode(), value.encode("latin-1"))]), None)
    assert caught.value.param == name


def test_a_header_given_twice_is_refused() -> None:
    raw = [(b"x-imprimatur-tenant", b"a"), (b"x-imprimatur-tenant", b"b")]
    with pytest.raises(InvalidRequest):
        parse_turn(Headers(raw=raw), None)
