"""Request bodies: what is accepted, what is named, and that nothing sent is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.bodies import EXPECTED, GenerationBody, generation
from gateway.errors import InvalidRequest
from gateway.exchange import ImageRequest
from gateway.upstream.catalogue import Model

MODELS = {"m": Model(id="m", sizes=("auto", "256x256", "512x512"))}


def test_the_defaults_are_the_apis():
    asked = generation({"prompt": "a fox"}, MODELS, "m")
    assert (asked.n, asked.size, asked.output_format, asked.stream) == (1, "auto", "png", False)


def test_the_models_own_fields_are_taken():
    body = {"prompt": "a fox", "seed": 7, "steps": 12, "guidance": 3, "negative_prompt": "blurry", "user": "u1"}
    asked = generation(body, MODELS, "m")
    assert (asked.seed, asked.options, asked.negative_prompt) == (7, {"steps": 12, "guidance": 3}, "blurry")
    assert asked.safety_identifier == "u1"


def test_the_safety_identifier_wins_over_user():
    assert generation({"prompt": "a", "user": "u", "safety_identifier": "s"}, MODELS, "m").safety_identifier == "s"


def test_an_unknown_model_is_answered_with_those_that_are():
    with pytest.raises(InvalidRequest, match="You can use: m") as caught:
        generation({"prompt": "a", "model": "other"}, MODELS, "m")
    assert caught.value.code == "model_not_found"


def test_without_a_catalogue_the_model_server_judges():
    assert generation({"prompt": "a", "model": "other", "size": "1024x1024"}, {}, "m").model == "other"


def test_a_size_the_model_cannot_make_is_answered_with_those_it_can():
    with pytest.raises(InvalidRequest, match="256x256, 512x512") as caught:
        generation({"prompt": "a", "size": "1024x1024"}, MODELS, "m")
    assert (caught.value.param, caught.value.code) == ("size", "unsupported_value")


@pytest.mark.parametrize("size", ["1024x1024", "1536x1024", "3840x2160", "256x256", "1792x1024", "auto"])
def test_the_apis_sizes_have_the_right_shape(size):
    assert generation({"prompt": "a", "size": size}, {}, "m").size == size


def test_right_to_left_text_is_welcome():
    assert generation({"prompt": "ثعلب على خلفية زرقاء"}, MODELS, "m").prompt.startswith("ثعلب")


def test_every_field_has_a_sentence_that_says_what_was_expected():
    assert set(EXPECTED) == set(GenerationBody.model_fields)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*GenerationBody.model_fields, "other"]), VALUES, max_size=6))
def test_any_body_is_a_request_or_names_its_field(body):
    try:
        asked = generation(body, MODELS, "m")
    except InvalidRequest as refusal:
        assert refusal.param is not None
        assert refusal.message.startswith(refusal.param) or refusal.param == "a field"
    else:
        assert isinstance(asked, ImageRequest)


@given(
    st.text(alphabet="qxz", min_size=8, max_size=30),
    st.sampled_from(
        sorted(set(GenerationBody.model_fields) - {"prompt", "user", "negative_prompt", "model", "safety_identifier"})
    ),
)
def test_a_complaint_never_repeats_what_was_sent(secret, name):
    with pytest.raises(InvalidRequest) as caught:
        generation({"prompt": "a", name: secret}, MODELS, "m")
    assert secret not in str(caught.value.message)
