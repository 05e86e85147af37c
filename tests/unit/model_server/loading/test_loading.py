"""From settings to loaded models by the real loading code, over folders of real, tiny models."""

from __future__ import annotations

import json
import logging
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from model_server.errors import ModelRefused
from model_server.loading.assembly import assemble, offload_for
from model_server.loading.catalogue import ModelEntry
from model_server.loading.finding import find
from model_server.loading.folder import inspect
from model_server.loading.load import Models, load, reload
from model_server.loading.planning import plan
from model_server.manifest import write_manifest
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.pipelines.flux import FluxStepModel
from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.stable_diffusion import StableDiffusionStepModel
from model_server.pipelines.stable_diffusion_3 import StableDiffusion3StepModel
from model_server.pipelines.stable_diffusion_xl import StableDiffusionXLStepModel
from model_server.pipelines.whole_call import WholeCallModel
from model_server.settings import SettingsError
from tests.unit.model_server.pipelines.families import saved
from tests.unit.model_server.pipelines.spoiling import change_json, put_canary
from tests.unit.model_server.pipelines.step_models import job, run

KINDS = {
    "sd": StableDiffusionStepModel,
    "sdxl": StableDiffusionXLStepModel,
    "sd3": StableDiffusion3StepModel,
    "flux": FluxStepModel,
    "pixart": WholeCallModel,
}


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """A copy of the smallest family that a test may spoil."""
    return Path(shutil.copytree(saved("flux", root), tmp_path / "model"))


def settings(path: Path, *models: dict[str, Any]) -> Any:
    """Settings that name a file of these models, which is written."""
    path.write_text(yaml.safe_dump({"models": [{"device": "cpu", **model} for model in models]}))
    return SimpleNamespace(models_path=path, threads=None)


def one(folder: Path, **values: Any) -> Any:
    model = {"id": "one", "folder": str(folder), "sizes": ["32x32"], **values}
    return load(settings(folder.parent / "models.yaml", model))["one"]


@pytest.mark.parametrize("name", KINDS)
def test_every_family_is_loaded_into_its_adapter_and_draws(name: str, root: Path, tmp_path: Path) -> None:
    listed = settings(tmp_path / "models.yaml", {"id": "house", "folder": str(saved(name, root)), "sizes": ["32x32"]})
    model = load(listed)["house"]
    assert type(model) is KINDS[name]
    wanted = job(steps=2)
    if isinstance(model, LatentStepModel):
        made = model.finish(run(model, wanted)[0])
    else:
        assert isinstance(model, WholeCallModel)
        made = model.call(wanted, lambda _done, _preview: None)[0]
    assert made.size == (32, 32)


def test_several_models_keep_the_order_of_the_file(root: Path, tiny_folder: Path, tmp_path: Path) -> None:
    models = load(
        settings(
            tmp_path / "models.yaml",
            {"id": "flow", "folder": str(saved("flux", root)), "sizes": ["32x32"], "licence": "ours"},
            {"id": "small", "kind": "embedded", "folder": str(tiny_folder)},
        )
    )
    assert list(models) == ["flow", "small"] == [model.capabilities.name for model in models.values()]
    assert isinstance(models["small"], EmbeddedStepModel)
    can = models["flow"].capabilities
    assert (can.licence, can.tasks, can.device, can.sizes) == ("ours", ("generate", "edit", "vary"), "cpu", ((32, 32),))


def test_what_the_file_says_is_what_callers_are_told(folder: Path) -> None:
    can = one(
        folder,
        steps={"default": 9, "minimum": 3, "maximum": 12},
        guidance={"default": 2, "minimum": 1, "maximum": 4},
        strength={"default": 0.4, "minimum": 0.2, "maximum": 0.9},
        vary_strength=0.3,
        description="Ours.",
        owner="design",
    ).capabilities
    assert (can.steps.default, can.steps.maximum) == (9, 12)
    assert (can.guidance.default, can.strength.minimum, can.vary_strength) == (2, 0.2, 0.3)
    assert (can.description, can.owner) == ("Ours.", "design")


def test_a_number_type_is_kept_and_the_hardwares_is_the_default(folder: Path) -> None:
    assert one(folder)._denoiser.dtype == torch.float32
    assert one(folder, dtype="bfloat16")._denoiser.dtype == torch.bfloat16


def name_variant(folder: Path, variant: str, *, keep: bool = False) -> None:
    """Give all files of weights the name of a variant, or copies of them."""
    for path in list(folder.rglob("*.safetensors")):
        if path.suffixes == [".safetensors"]:
            shutil.copy(path, path.with_name(f"{path.stem}.{variant}.safetensors"))
            if not keep:
                path.unlink()
    write_manifest(folder)


def test_weights_that_come_in_a_variant_only_are_found(folder: Path) -> None:
    parameters = inspect(folder).parameters
    name_variant(folder, "fp16", keep=True)
    assert (inspect(folder).variant, inspect(folder).parameters) == (None, parameters)
    name_variant(folder, "fp16")
    assert (inspect(folder).variant, inspect(folder).parameters) == ("fp16", parameters)
    model = one(folder)
    assert model.finish(run(model, job(steps=2))[0]).size == (32, 32)
    weights = folder / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.bf16.safetensors"))
    write_manifest(folder)
    refused(folder, "variants that can't go together: bf16, fp16")


def test_a_negative_prompt_steers_flux_as_the_file_says(folder: Path) -> None:
    plain, steered = one(folder), one(folder, negative_guidance=4)
    results = [run(model, job(steps=2))[0].latents for model in (plain, steered)]
    assert not torch.equal(*results)
    assert (plain.branches, steered.branches) == (1, 2)


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_a_prompt_that_is_too_long_is_cut_without_a_word_of_it_in_the_log(
    name: str, root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    listed = settings(tmp_path / "models.yaml", {"id": "a", "folder": str(saved(name, root)), "sizes": ["32x32"]})
    model = load(listed)["a"]
    assert isinstance(model, LatentStepModel)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.begin(job(prompt="secret " * 400))
        model.count_tokens("secret " * 400)
    written = capfd.readouterr()
    everything = caplog.text + written.out + written.err + "".join(str(warning.message) for warning in caught)
    assert "secret" not in everything.replace(" ", "")


def test_settings_of_one_model_still_load_it(root: Path) -> None:
    plain = SimpleNamespace(
        models_path=None, kind="diffusers", path=saved("sd", root), name="", digest="", sizes=(), device="cpu",
        dtype="float32", threads=None,
    )  # fmt: skip
    assert list(load(plain)) == ["sd"]


def test_the_packaged_model_is_called_by_its_own_name(tiny_folder: Path) -> None:
    plain = SimpleNamespace(models_path=None, kind="embedded", path=tiny_folder, name="", digest="", threads=None)
    assert list(load(plain)) == ["tiny"]


@pytest.mark.parametrize(("policy", "threads"), [("passive", 1), ("active", 2)])
def test_the_short_steps_of_the_embedded_model_share_no_work_between_threads_that_sleep(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, policy: str, threads: int
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    torch.set_num_threads(2)
    try:
        load(SimpleNamespace(models_path=None, kind="embedded", path=tiny_folder, name="", digest="", threads=None))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


def refused(folder: Path, match: str, **values: Any) -> None:
    with pytest.raises(ModelRefused, match=match) as caught:
        one(folder, **values)
    assert str(caught.value).startswith("one: ")


def test_sizes_the_model_cannot_make_are_refused(folder: Path) -> None:
    refused(folder, "multiples of 4, got 34x32", sizes=["32x32", "34x32"])


def test_a_family_that_it_is_not_is_refused(folder: Path) -> None:
    refused(folder, "expected a model of sdxl, got FluxPipeline", family="sdxl")


def test_what_the_machine_has_not_got_is_refused(folder: Path) -> None:
    refused(folder, "offload: model", offload="model")
    if not torch.cuda.is_available():
        refused(folder, "this machine has no cuda", device="cuda")


def test_blocks_can_be_compiled_where_the_model_says_which_repeat(folder: Path, root: Path, tmp_path: Path) -> None:
    assert one(folder, compile="repeated_blocks").capabilities.name == "one"
    sd3 = Path(shutil.copytree(saved("sd3", root), tmp_path / "sd3"))
    refused(sd3, "SD3Transformer2DModel doesn't say", compile="repeated_blocks")


def test_another_model_than_the_pinned_one_is_refused(folder: Path) -> None:
    refused(folder, "pinned", digest="sha256:" + "0" * 64)


def test_weights_that_are_of_another_shape_are_refused(folder: Path) -> None:
    change_json(folder, "transformer/config.json", num_attention_heads=4)
    refused(folder, "can't load FluxPipeline")


@pytest.mark.parametrize(
    ("place", "index"),
    [
        ("pipeline.py", {"_class_name": ["pipeline", "Evil"]}),
        ("transformer/my_transformer.py", {"transformer": ["my_transformer", "Evil"]}),
        ("transformer/diffusion.py", {}),
    ],
)
def test_code_in_the_folder_is_never_run(folder: Path, place: str, index: dict[str, Any]) -> None:
    marker = put_canary(folder / place, "FluxPipeline")
    change_json(folder, "model_index.json", **index)
    with pytest.raises(ModelRefused):
        one(folder)
    assert not marker.exists()


def test_weights_that_become_a_pickle_after_they_were_checked_are_refused(folder: Path) -> None:
    entry = ModelEntry.model_validate({"id": "a", "folder": folder, "device": "cpu"})
    planned = plan(entry)
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelRefused, match="can't load FluxPipeline"):
        assemble(entry, planned.folder, planned.choice, planned.placement)


def test_a_hub_model_is_taken_from_the_cache_of_this_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    repository = tmp_path / "cache" / "models--house--tiny"
    shutil.copytree(folder, repository / "snapshots" / "abc", ignore=shutil.ignore_patterns("SHA256SUMS"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    entry = {"id": "a", "hub": "house/tiny", "device": "cpu", "sizes": ["32x32"]}
    with pytest.raises(ModelRefused, match="pin it by `digest: sha256:"):
        load(settings(tmp_path / "models.yaml", entry))
    pinned = inspect(folder).digest
    listed = settings(tmp_path / "models.yaml", {**entry, "digest": pinned})
    loaded = load(listed)
    assert loaded["a"].capabilities.digest == pinned
    assert reload(listed, loaded)["a"] is loaded["a"]


def test_a_hub_model_that_is_not_there_is_refused_and_never_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    entry = ModelEntry.model_validate({"id": "a", "hub": "no-such/model", "digest": "sha256:" + "0" * 64})
    with pytest.raises(ModelRefused, match="no-such/model is not in the cache"):
        find(entry)


def test_offload_is_the_least_that_fits(root: Path) -> None:
    facts = inspect(saved("sd3", root))
    all_parts = facts.parameters * 2
    largest = max(part.parameters for part in facts.weights.values()) * 2
    assert offload_for(all_parts + 10, facts, "float16", 10) == "none"
    assert offload_for(all_parts + 9, facts, "float16", 10) == "model"
    assert offload_for(largest + 10, facts, "float16", 10) == "model"
    assert offload_for(largest + 9, facts, "float16", 10) == "sequential"


@pytest.fixture
def two(folder: Path, tiny_folder: Path, tmp_path: Path) -> tuple[Any, Models, list[dict[str, Any]]]:
    """Settings of two models, loaded; and what the file says of them."""
    said = [
        {"id": "flow", "folder": str(folder), "sizes": ["32x32"]},
        {"id": "small", "kind": "embedded", "folder": str(tiny_folder)},
    ]
    listed = settings(tmp_path / "models.yaml", *said)
    return listed, load(listed), said


def test_reloading_keeps_what_has_not_changed(two: tuple[Any, Models, list[dict[str, Any]]]) -> None:
    listed, loaded, said = two
    again = reload(listed, loaded)
    assert again is not loaded
    assert [again[name] is loaded[name] for name in ("flow", "small")] == [True, True]
    settings(listed.models_path, said[1], {**said[0], "licence": "new"})
    changed = reload(listed, again)
    assert list(changed) == ["small", "flow"]
    assert changed["small"] is loaded["small"]
    assert changed["flow"] is not loaded["flow"]
    assert changed["flow"].capabilities.licence == "new"


def test_reloading_loads_files_that_have_changed(two: tuple[Any, Models, list[dict[str, Any]]], folder: Path) -> None:
    listed, loaded, _ = two
    change_json(folder, "scheduler/scheduler_config.json", shift=2.0)
    again = reload(listed, loaded)
    assert again["flow"] is not loaded["flow"]
    assert again["flow"].capabilities.digest != loaded["flow"].capabilities.digest
    assert again["small"] is loaded["small"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda listed, folder: listed.models_path.write_text("models: ["), "not valid YAML"),
        (lambda listed, folder: settings(listed.models_path, {"id": "new", "folder": "nowhere"}), "new: .*not there"),
        (lambda listed, folder: (folder / "more.json").write_text("{}"), None),
        (lambda listed, folder: bool((folder / "x.py").write_text("")) or write_manifest(folder), "holds code"),
    ],
)
def test_reloading_is_all_or_nothing_and_says_why(
    two: tuple[Any, Models, list[dict[str, Any]]],
    folder: Path,
    spoil: Callable[[Any, Path], object],
    reason: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listed, loaded, _ = two
    spoil(listed, folder)
    with caplog.at_level(logging.INFO, "model_server.loading.load"):
        again = reload(listed, loaded)
    if reason is None:  # an unlisted file beside a model that is in memory changes nothing of it
        assert again["flow"] is loaded["flow"]
        return
    assert again is loaded
    (record,) = [record for record in caplog.records if record.getMessage() == "models.reload_refused"]
    fields = json.dumps(record.__dict__, default=str)
    assert re.search(reason, fields)


def test_a_wrong_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"models\.yaml"):
        load(SimpleNamespace(models_path=tmp_path / "models.yaml", threads=None))
