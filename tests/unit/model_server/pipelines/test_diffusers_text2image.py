from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL.Image import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from model_server.engine import Engine
from model_server.errors import ModelRefused
from model_server.events import Event, Finished, Previewed, Snapshot
from model_server.manifest import write_manifest
from model_server.observe import Metrics
from model_server.pipelines.diffusers_text2image import DiffusersCallModel, load_pipeline
from model_server.pipelines.port import Job, StepModel
from tests.unit.model_server.support import until

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionPipeline:
    """A whole Stable Diffusion of a few thousand random weights: 32 pixels, letters for words."""
    torch.manual_seed(0)
    words = tmp_path_factory.mktemp("words")
    vocabulary = {letter: number for number, letter in enumerate(LETTERS)}
    vocabulary |= {letter + "</w>": 26 + number for number, letter in enumerate(LETTERS)}
    vocabulary |= {"<|startoftext|>": 52, "<|endoftext|>": 53}
    (words / "vocab.json").write_text(json.dumps(vocabulary))
    (words / "merges.txt").write_text("#version: 0.2\n")
    text = CLIPTextConfig(
        vocab_size=54,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        bos_token_id=52,
        eos_token_id=53,
    )
    return StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(16, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=8,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=16),
        unet=UNet2DConditionModel(
            sample_size=16,
            layers_per_block=1,
            block_out_channels=(32, 64),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            norm_num_groups=8,
            attention_head_dim=8,
        ),
        scheduler=EulerDiscreteScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@pytest.fixture(scope="module")
def saved(pipe: StableDiffusionPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-sd"
    pipe.save_pretrained(folder, safe_serialization=True)
    write_manifest(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def load(folder: Path, **options: object) -> DiffusersCallModel:
    return load_pipeline(folder, name="", sizes=(), device="cpu", dtype="float32", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(saved: Path) -> DiffusersCallModel:
    return load(saved)


def job(**changes: object) -> Job:
    values: dict[str, object] = {
        "prompt": "abc",
        "negative_prompt": "",
        "count": 1,
        "width": 32,
        "height": 32,
        "steps": 3,
        "guidance": 5.0,
        "seed": 1,
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type]


def pixels(model: DiffusersCallModel, wanted: Job) -> list[bytes]:
    return [picture.tobytes() for picture in model.call(wanted, lambda _done, _preview: None)]


def test_what_it_can_do_is_read_from_the_model(model: DiffusersCallModel) -> None:
    can = model.capabilities
    assert (can.name, can.scheduler, can.sizes, can.rendered) == (
        "tiny-sd",
        "EulerDiscreteScheduler",
        ((32, 32),),
        None,
    )
    assert can.digest.startswith("sha256:")
    assert not isinstance(model, StepModel)


def test_the_same_job_gives_the_same_pixels_and_every_setting_matters(model: DiffusersCallModel) -> None:
    first = pixels(model, job(count=2))
    assert pixels(model, job(count=2)) == first
    assert first[0] != first[1]
    assert len(first) == 2
    for change in ({"seed": 9}, {"prompt": "xyz"}, {"guidance": 9.0}, {"negative_prompt": "q"}, {"steps": 4}):
        assert pixels(model, job(count=2, **change)) != first


def test_each_step_is_told_and_previews_are_pictures(model: DiffusersCallModel) -> None:
    told: list[int] = []
    previews: list[list[Image]] = []

    def after_step(done: int, preview: object) -> None:
        told.append(done)
        assert callable(preview)
        previews.append(preview())

    model.call(job(count=2, steps=3), after_step)
    assert told == [1, 2, 3]
    assert [[picture.size for picture in pictures] for pictures in previews] == [[(32, 32)] * 2] * 3


def test_what_the_callback_raises_ends_the_call_at_that_step(model: DiffusersCallModel) -> None:
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


def test_the_engine_drives_it_with_progress_previews_and_cancel(model: DiffusersCallModel) -> None:
    engine = Engine(model, queue_limit=2, metrics=Metrics())
    engine.start()
    until(lambda: engine.is_ready)
    events: list[Event] = []
    engine.submit("request-1", job(steps=4), 1, events.append)
    until(lambda: isinstance(events[-1], Finished))
    assert [event.step for event in events if isinstance(event, Snapshot)][-1] == 4
    assert sum(isinstance(event, Previewed) for event in events) == 1

    stopped: list[Event] = []

    def cancel_at_first_step(event: Event) -> None:
        stopped.append(event)
        if isinstance(event, Snapshot) and event.step == 1:
            engine.cancel("request-2")

    engine.submit("request-2", job(steps=10), 0, cancel_at_first_step)
    until(lambda: type(stopped[-1]).__name__ == "Cancelled")
    status = engine.status("request-2")
    assert status is not None
    assert status.step <= 2
    engine.close(5.0)


def test_a_long_prompt_is_cut_without_a_word_of_it_in_the_log(
    model: DiffusersCallModel, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels(model, job(prompt="secret " * 100, steps=1))
        model.count_tokens("secret " * 100)
    written = capfd.readouterr()
    everything = caplog.text + written.out + written.err + "".join(str(warning.message) for warning in caught)
    assert "secret" not in everything
    assert "s e c r e t" not in everything


def test_a_folder_with_pickled_weights_only_is_refused(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path / "pickle", safe_serialization=False)
    write_manifest(tmp_path / "pickle")
    with pytest.raises(ModelRefused, match="safetensors"):
        load(tmp_path / "pickle")


EVIL = """
import pathlib
pathlib.Path({marker!r}).write_text("ran")
from diffusers import {base}
class Evil({base}): pass
"""


def test_a_pipeline_class_of_the_folders_own_is_refused_and_never_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (folder / "pipeline.py").write_text(EVIL.format(marker=str(marker), base="StableDiffusionPipeline"))
    change_index(folder, _class_name=["pipeline", "Evil"])
    with pytest.raises(ModelRefused, match="never run"):
        load(folder)
    assert not marker.exists()


def test_a_component_of_another_library_is_refused_and_never_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (folder / "unet" / "my_unet.py").write_text(EVIL.format(marker=str(marker), base="UNet2DConditionModel"))
    change_index(folder, unet=["my_unet", "Evil"])
    with pytest.raises(ModelRefused, match="not trusted"):
        load(folder)
    assert not marker.exists()


def test_any_code_beside_the_weights_is_refused(folder: Path) -> None:
    (folder / "helper.py").write_text("")
    write_manifest(folder)
    with pytest.raises(ModelRefused, match=r"helper\.py"):
        load(folder)


def test_a_config_that_maps_to_remote_code_is_refused(folder: Path) -> None:
    path = folder / "text_encoder" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoModel": "x--y.Z"}}))
    write_manifest(folder)
    with pytest.raises(ModelRefused, match="auto_map"):
        load(folder)


def test_a_changed_weight_is_refused_before_anything_reads_it(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelRefused, match="expected sha256"):
        load(folder)


def test_another_model_than_the_pinned_one_is_refused(folder: Path) -> None:
    with pytest.raises(ModelRefused, match="pinned"):
        load(folder, expected_digest="sha256:" + "0" * 64)


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    write_manifest(tmp_path)
    with pytest.raises(ModelRefused, match=r"model_index\.json"):
        load(tmp_path)


def change_index(folder: Path, **changes: object) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    write_manifest(folder)
