"""The path of pipelines without a step adapter, on one that tells of its steps the new way and one the old way."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import Image

from model_server.errors import ModelRefused
from model_server.loading.assembly import assemble
from model_server.loading.catalogue import ModelEntry
from model_server.loading.planning import plan
from model_server.pipelines.port import Job, StepModel
from model_server.pipelines.whole_call import WholeCallModel
from tests.unit.model_server.pipelines.families import saved
from tests.unit.model_server.pipelines.spoiling import change_json
from tests.unit.model_server.pipelines.step_models import job, left_half, picture

Told = Callable[[int, Callable[[], list[Image]]], None]


def load(folder: Path, **values: Any) -> Any:
    entry = ModelEntry.model_validate({"id": "tiny", "folder": folder, "device": "cpu", "family": "other", **values})
    planned = plan(entry)
    return assemble(entry, planned.folder, planned.choice, planned.placement)


@pytest.fixture(scope="module", params=["sd", "pixart"])
def model(request: pytest.FixtureRequest, root: Path) -> WholeCallModel:
    loaded = load(saved(request.param, root), sizes=["32x32"])
    assert isinstance(loaded, WholeCallModel)
    return loaded


@pytest.fixture(scope="module")
def sd(root: Path) -> WholeCallModel:
    loaded: WholeCallModel = load(saved("sd", root))
    return loaded


def silent(_done: int, _preview: object) -> None:
    return None


def pixels(model: WholeCallModel, wanted: Job) -> list[bytes]:
    return [made.tobytes() for made in model.call(wanted, silent)]


def test_what_it_can_do_is_read_from_the_model(root: Path, sd: WholeCallModel) -> None:
    assert sd.capabilities.tasks == ("generate", "edit", "vary")
    assert sd.capabilities.max_input_images == 1
    text_only = load(saved("pixart", root)).capabilities
    assert (text_only.tasks, text_only.max_input_images) == (("generate",), 0)
    assert text_only.digest.startswith("sha256:")
    assert (text_only.scheduler, text_only.sizes) == ("DPMSolverMultistepScheduler", ((32, 32),))
    assert not isinstance(sd, StepModel)


def test_the_same_job_gives_the_same_pixels_and_every_setting_matters(model: WholeCallModel) -> None:
    first = pixels(model, job(count=2))
    assert pixels(model, job(count=2)) == first
    assert first[0] != first[1]
    assert len(first) == 2
    for change in ({"seed": 9}, {"prompt": "xyz"}, {"guidance": 9.0}, {"negative_prompt": "q"}, {"steps": 4}):
        assert pixels(model, job(count=2, **change)) != first


def test_each_step_is_told_and_previews_are_pictures(model: WholeCallModel) -> None:
    told: list[int] = []
    previews: list[list[Image]] = []

    def after_step(done: int, preview: Callable[[], list[Image]]) -> None:
        told.append(done)
        previews.append(preview())

    model.call(job(count=2, steps=3), after_step)
    assert told == [1, 2, 3]
    assert [[shown.size for shown in pictures] for pictures in previews] == [[(32, 32)] * 2] * 3


def test_what_the_callback_raises_ends_the_call_at_that_step(model: WholeCallModel) -> None:
    class Enough(Exception):
        pass

    told: list[int] = []

    def after_step(done: int, _preview: object) -> None:
        told.append(done)
        if done == 2:
            raise Enough

    with pytest.raises(Enough):
        model.call(job(steps=8), after_step)
    assert told == [1, 2]


def test_pictures_are_edited_under_a_mask_and_without_and_varied(sd: WholeCallModel) -> None:
    source = picture()
    masked = job(task="edit", images=(source,), mask=left_half(), strength=0.8)
    whole = job(task="edit", images=(source,), strength=0.8)
    varied = job(prompt="", task="vary", images=(source,), strength=0.5)
    results = [pixels(sd, wanted)[0] for wanted in (masked, whole, varied, job())]
    assert len(set(results)) == 4
    told: list[int] = []
    sd.call(varied, lambda done, _preview: told.append(done))
    assert told == [1, 2, 3]


def test_without_a_pipeline_for_masks_or_for_pictures_the_other_one_serves(root: Path) -> None:
    model: WholeCallModel = load(saved("sd", root))
    model._from_mask = None
    masked = job(task="edit", images=(picture(),), mask=left_half(), strength=0.8)
    assert len(pixels(model, masked)[0]) == 32 * 32 * 3
    model = load(saved("sd", root))
    model._from_image = None
    assert len(pixels(model, job(task="vary", images=(picture(),), strength=0.5))[0]) == 32 * 32 * 3


def test_a_long_prompt_is_cut_without_a_word_of_it_in_the_log(
    sd: WholeCallModel, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels(sd, job(prompt="secret " * 100, steps=1))
        sd.count_tokens("secret " * 100)
    written = capfd.readouterr()
    everything = caplog.text + written.out + written.err + "".join(str(warning.message) for warning in caught)
    assert "secret" not in everything
    assert "s e c r e t" not in everything


def test_a_class_that_diffusers_cannot_load_is_refused_by_name(copied: Callable[[str], Path]) -> None:
    folder = copied("sd")
    change_json(folder, "model_index.json", _class_name="NoSuchPipeline")
    with pytest.raises(ModelRefused, match="no way from words to pictures by NoSuchPipeline"):
        load(folder)


@pytest.mark.parametrize("name", ["LDMTextToImagePipeline", "WanPipeline", "StableAudioPipeline"])
def test_a_class_that_makes_no_pictures_of_words_by_steps_is_refused(name: str, copied: Callable[[str], Path]) -> None:
    folder = copied("sd")
    change_json(folder, "model_index.json", _class_name=name)
    with pytest.raises(ModelRefused, match=f"no way from words to pictures by {name}"):
        load(folder)
