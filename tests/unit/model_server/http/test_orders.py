from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_server.errors import InvalidRequest
from model_server.http.orders import Order, check_pictures, order_generation, order_with_pictures
from model_server.pipelines.port import Limits, Region
from model_server.wire import EditRequest, GenerationRequest, VariationRequest
from tests.unit.model_server.support import PacedModel

USUAL: dict[str, Any] = {
    "sizes": ((512, 512), (256, 256), (512, 256)),
    "rendered": None,
    "steps": Limits(20, 2, 50),
    "guidance": Limits(3.0, 1.0, 10.0),
    "strength": Limits(0.8, 0.1, 1.0),
    "vary_strength": 0.7,
    "max_input_images": 3,
}
MODEL = PacedModel(**USUAL)


def ask(model: PacedModel = MODEL, **fields: object) -> Order:
    return order_generation(GenerationRequest.model_validate({"prompt": "a fox", **fields}), model)


def png(width: int = 40, height: int = 40, mode: str = "RGB", seed: int = 1) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def hole(width: int = 40, height: int = 40) -> bytes:
    """A mask whose right half is to be painted."""
    mask = Image.new("RGBA", (width, height), "black")
    mask.paste((0, 0, 0, 0), (width // 2, 0, width, height))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def edit(files: dict[str, list[bytes]] | None = None, model: PacedModel = MODEL, **fields: object) -> Order:
    request = EditRequest.model_validate({"prompt": "a fox", **fields})
    files = {"image": [png()]} if files is None else files
    check_pictures(request, files, model.capabilities)
    return order_with_pictures(request, files, model, 1_000_000)


def vary(files: dict[str, list[bytes]] | None = None, model: PacedModel = MODEL, **fields: object) -> Order:
    request = VariationRequest.model_validate(fields)
    files = {"image": [png()]} if files is None else files
    check_pictures(request, files, model.capabilities)
    return order_with_pictures(request, files, model, 1_000_000)


def test_what_is_left_out_is_filled_with_the_models_own_defaults() -> None:
    order = ask(seed=7)
    assert order.job.steps == 20
    assert order.job.guidance == 3.0
    assert (order.job.width, order.job.height, order.size) == (512, 512, "512x512")
    assert (order.quality, order.output_format, order.job.seed, order.job.count) == ("medium", "png", 7, 1)
    assert (order.job.task, order.job.strength, order.job.images, order.job.mask) == ("generate", 1.0, (), None)


@pytest.mark.parametrize(
    ("quality", "steps"), [("low", 10), ("medium", 20), ("auto", 20), ("standard", 20), ("high", 40), ("hd", 40)]
)
def test_quality_sets_the_steps_when_none_are_given(quality: str, steps: int) -> None:
    assert ask(quality=quality).job.steps == steps
    assert ask(quality=quality, steps=5).job.steps == 5


def test_a_seed_is_chosen_when_none_is_given_and_differs_each_time() -> None:
    seeds = {ask().job.seed for _ in range(8)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**53 for seed in seeds)


@pytest.mark.parametrize("order", [ask, edit, vary])
@pytest.mark.parametrize(
    ("fields", "param", "lists"),
    [
        ({"size": "1024x1024"}, "size", "512x512, 256x256"),
        ({"size": "99999x99999"}, "size", "512x512, 256x256"),
        ({"steps": 1}, "steps", "2 to 50"),
        ({"steps": 51}, "steps", "2 to 50"),
        ({"guidance": 0.5}, "guidance", "1 to 10"),
        ({"guidance": 11}, "guidance", "1 to 10"),
        ({"background": "transparent"}, "background", "opaque"),
        ({"response_format": "url"}, "response_format", "b64_json"),
        ({"quality": "xhigh"}, "quality", "low, medium, high"),
    ],
)
def test_what_the_model_cannot_do_is_refused_listing_what_it_can(
    order: Any, fields: dict[str, object], param: str, lists: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        order(**fields)
    assert (caught.value.code, caught.value.param, caught.value.status) == ("unsupported_value", param, 400)
    assert lists in caught.value.message


def test_partial_images_without_a_stream_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(partial_images=1)
    assert caught.value.param == "partial_images"
    assert ask(partial_images=1, stream=True).partial_images == 1


def test_a_call_that_the_model_cannot_answer_is_refused_naming_those_it_can() -> None:
    model = PacedModel(**{**USUAL, "tasks": ("generate", "vary")})
    with pytest.raises(InvalidRequest) as caught:
        edit(model=model)
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "model")
    assert "generations, variations" in caught.value.message


def test_a_sketch_reaches_a_model_that_can_read_it_and_no_other() -> None:
    sketch = {
        "regions": ({"label": "fox", "box": (0.0, 0.5, 1.0, 1.0)}, {"stroke": ((0.0, 0.0), (1.0, 0.2)), "width": 0.2})
    }
    assert ask(sketch=sketch).job.regions == (
        Region("fox", (0.0, 0.5, 1.0, 1.0)),
        Region("", None, ((0.0, 0.0), (1.0, 0.2)), 0.2),
    )
    with pytest.raises(InvalidRequest) as caught:
        ask(PacedModel(has_sketch=False), sketch=sketch, size="auto")
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "sketch")


def test_an_edit_keeps_the_pictures_own_size_unless_one_is_asked_for() -> None:
    order = edit({"image": [png(300, 150)]})
    assert (order.size, order.rendered_size) == ("300x150", "512x256")
    assert order.job.images[0].size == (512, 256)
    order = edit({"image": [png(300, 150)]}, size="256x256")
    assert (order.size, order.rendered_size) == ("256x256", "256x256")


def test_a_model_of_one_size_gets_every_picture_in_that_size() -> None:
    model = PacedModel(**{**USUAL, "rendered": (64, 64)})
    assert (ask(model).size, ask(model).rendered_size) == ("512x512", "64x64")
    order = edit({"image": [png(300, 150)]}, model)
    assert (order.size, order.rendered_size, order.job.images[0].size) == ("300x150", "64x64", (64, 64))
    order = edit({"image": [png(300, 150)]}, model, size="512x256")
    assert (order.size, order.rendered_size) == ("512x256", "64x64")


def test_a_picture_far_larger_than_the_model_makes_needs_a_size() -> None:
    large = {"image": [png(1100, 1000)]}
    request = EditRequest(prompt="a fox")
    with pytest.raises(InvalidRequest) as caught:
        order_with_pictures(request, large, MODEL, 10_000_000)
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "size")
    assert "1048576 pixels" in caught.value.message
    request = EditRequest(prompt="a fox", size="512x512")
    assert order_with_pictures(request, large, MODEL, 10_000_000).size == "512x512"


def test_several_pictures_come_under_either_name_and_the_first_is_edited() -> None:
    for name in ("image", "image[]"):
        order = edit({name: [png(30, 20), png(50, 50), png(9, 9)]})
        assert len(order.job.images) == 3
        assert order.size == "30x20"
    with pytest.raises(InvalidRequest) as caught:
        edit({"image": [png()], "image[]": [png()]})
    assert caught.value.param == "image"


def test_a_mask_reaches_the_model_and_the_way_back() -> None:
    order = edit({"image": [png()], "mask": [hole()]})
    assert order.job.mask is not None
    assert (order.job.mask.mode, order.job.mask.size) == ("L", order.job.images[0].size)
    assert order.frame.mask is not None
    assert order.frame.mask.getbbox() == (20, 0, 40, 40)


@pytest.mark.parametrize(
    ("files", "param", "code"),
    [
        ({}, "image", "missing_required_parameter"),
        ({"mask": [hole()]}, "image", "missing_required_parameter"),
        ({"image": [png()] * 4}, "image", "unsupported_value"),
        ({"image": [b"GIF89a"]}, "image", "invalid_image"),
        ({"image": [png(), b""]}, "image", "invalid_image"),
        ({"image": [png()], "mask": [b""]}, "mask", "invalid_image"),
        ({"image": [png()], "mask": [hole(41, 40)]}, "mask", "invalid_image"),
        ({"image": [png()], "markup": [hole()]}, "markup", "unsupported_value"),
        ({"image": [png(1200, 1000)]}, "image", "invalid_image"),
    ],
    ids=range(9),
)
def test_pictures_that_cannot_be_used_are_refused_by_their_field(
    files: dict[str, list[bytes]], param: str, code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        edit(files)
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    ("order", "fields", "strength"),
    [
        (edit, {}, 0.8),
        (edit, {"input_fidelity": "low"}, 0.8),
        (edit, {"input_fidelity": "high"}, pytest.approx(0.48)),
        (edit, {"input_fidelity": "high", "strength": 0.3}, 0.3),
        (vary, {}, 0.7),
        (vary, {"strength": 0.2}, 0.2),
    ],
)
def test_strength_says_how_far_to_go_from_the_picture(order: Any, fields: dict[str, object], strength: float) -> None:
    assert order(**fields).job.strength == strength


def test_what_is_painted_under_a_mask_is_all_new_unless_said_otherwise() -> None:
    files = {"image": [png()], "mask": [hole()]}
    assert edit(files, input_fidelity="high").job.strength == 1.0
    assert edit(files, strength=0.5).job.strength == 0.5


def test_a_strength_outside_of_the_models_is_refused() -> None:
    for order in (edit, vary):
        with pytest.raises(InvalidRequest) as caught:
            order(strength=0.05)
        assert (caught.value.code, caught.value.param) == ("unsupported_value", "strength")


def test_only_a_single_square_picture_is_varied() -> None:
    assert (vary().job.task, vary().job.prompt, vary().size) == ("vary", "", "40x40")
    for files, code in (({"image": [png(40, 41)]}, "invalid_image"), ({"image": [png()] * 2}, "unsupported_value")):
        with pytest.raises(InvalidRequest) as caught:
            vary(files)
        assert (caught.value.code, caught.value.param) == (code, "image")
