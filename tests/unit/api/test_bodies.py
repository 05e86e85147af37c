"""Request bodies: what is accepted, what is named, and that nothing sent is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.bodies import EXPECTED, EditBody, GenerationBody, VariationBody, edit, generation, variation
from gateway.errors import InvalidRequest
from gateway.exchange import ImageRequest, SketchRegion
from gateway.upstream.catalogue import Model
from gateway.vocabulary import Permission
from tests.support.policy import MASK, PICTURE

MODELS = {
    "m": Model(
        id="m",
        sizes=("auto", "256x256", "512x512"),
        tasks=("generate", "edit"),
        knows=frozenset({"seed", "steps", "guidance", "negative_prompt", "sketch"}),
        max_input_images=2,
    ),
    "strange": Model(id="strange"),
}


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
    with pytest.raises(InvalidRequest, match="You can use: m, strange") as caught:
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
    fields = {*GenerationBody.model_fields, *EditBody.model_fields, *VariationBody.model_fields}
    assert set(EXPECTED) == fields


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


def test_a_field_of_ours_is_refused_where_the_server_has_not_announced_it():
    for name, value in {"seed": 7, "steps": 9, "guidance": 3, "negative_prompt": "a", "sketch": SKETCH}.items():
        with pytest.raises(InvalidRequest) as caught:
            generation({"prompt": "a", name: value, "model": "strange"}, MODELS, "m")
        assert (caught.value.param, caught.value.code) == (name, "unsupported_value")


SKETCH = {"regions": [{"label": "a fox", "box": [0, 0, 0.5, 1]}, {"stroke": [[0.1, 0.2], [0.3, 0.4]], "width": 0.2}]}


def test_a_sketch_is_regions_with_a_place():
    asked = generation({"prompt": "a", "sketch": SKETCH}, MODELS, "m")
    assert asked.sketch == (
        SketchRegion(label="a fox", box=(0, 0, 0.5, 1)),
        SketchRegion(stroke=((0.1, 0.2), (0.3, 0.4)), width=0.2),
    )


WRONG_SKETCHES = {
    "no regions": {"regions": []},
    "too many": {"regions": [{"box": [0, 0, 1, 1]}] * 17},
    "no place": {"regions": [{"label": "a fox"}]},
    "two places": {"regions": [{"box": [0, 0, 1, 1], "stroke": [[0, 0]]}]},
    "a box inside out": {"regions": [{"box": [1, 0, 0, 1]}]},
    "a box beyond the edge": {"regions": [{"box": [0, 0, 1.5, 1]}]},
    "an empty stroke": {"regions": [{"stroke": []}]},
    "an endless stroke": {"regions": [{"stroke": [[0, 0]] * 501}]},
    "a label of a page": {"regions": [{"box": [0, 0, 1, 1], "label": "a" * 101}]},
    "a label with a bidi override": {"regions": [{"box": [0, 0, 1, 1], "label": "a\u202eb"}]},
    "a brush of nothing": {"regions": [{"stroke": [[0, 0]], "width": 0}]},
    "another field": {"regions": [{"box": [0, 0, 1, 1], "colour": "red"}]},
    "a text": "a fox on the left",
}


@pytest.mark.parametrize("name", WRONG_SKETCHES)
def test_a_wrong_sketch_is_named(name):
    with pytest.raises(InvalidRequest) as caught:
        generation({"prompt": "a", "sketch": WRONG_SKETCHES[name]}, MODELS, "m")
    assert caught.value.param == "sketch"


def test_an_edit_has_its_own_fields():
    asked = edit({"prompt": "a hat", "input_fidelity": "high"}, (PICTURE, MASK), MODELS, "m")
    assert (asked.action, asked.options, asked.has_mask) == (Permission.IMAGE_EDIT, {"input_fidelity": "high"}, True)


@pytest.mark.parametrize("name", ["moderation", "style", "sketch"])
def test_an_edit_has_none_of_a_generations(name):
    with pytest.raises(InvalidRequest) as caught:
        edit({"prompt": "a hat", name: "auto"}, (PICTURE,), MODELS, "m")
    assert caught.value.code == "unknown_parameter"


def test_a_variation_needs_no_prompt_and_takes_none():
    assert variation({}, (PICTURE,), {}, "m").prompt == ""
    with pytest.raises(InvalidRequest):
        variation({"prompt": "a fox"}, (PICTURE,), {}, "m")


def test_a_job_that_the_model_does_not_do_is_refused_before_it_is_asked():
    with pytest.raises(InvalidRequest, match="can't vary; it can generate, edit") as caught:
        variation({}, (PICTURE,), MODELS, "m")
    assert (caught.value.param, caught.value.code) == ("model", "unsupported_value")


def test_more_pictures_than_the_model_takes_are_refused():
    assert edit({"prompt": "a"}, (PICTURE, PICTURE, MASK), MODELS, "m")
    with pytest.raises(InvalidRequest, match="at most 2, and 3 came") as caught:
        edit({"prompt": "a"}, (PICTURE,) * 3, MODELS, "m")
    assert caught.value.param == "image"


def test_a_strangers_variations_know_openais_fields_alone():
    assert variation({"n": 2, "size": "256x256"}, (PICTURE,), MODELS, "strange").n == 2
    for name, value in {"stream": True, "quality": "hd", "output_format": "webp"}.items():
        with pytest.raises(InvalidRequest) as caught:
            variation({name: value}, (PICTURE,), MODELS, "strange")
        assert (caught.value.param, caught.value.code) == (name, "unsupported_value")
