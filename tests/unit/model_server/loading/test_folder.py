"""What a model's folder may hold. Each refusal is of a folder that some loader would read, or run, without a word."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from model_server.errors import ModelRefused
from model_server.loading.choice import check_sizes, choose
from model_server.loading.folder import inspect
from model_server.manifest import MANIFEST, check_manifest, write_manifest
from tests.unit.model_server.pipelines.families import BUILDERS, saved
from tests.unit.model_server.pipelines.spoiling import Pickled, change_json, put_canary

Copied = Callable[[str], Path]


@pytest.fixture
def folder(copied: Copied) -> Path:
    return copied("sd")


def test_a_fit_folder_is_told_by_class_parts_and_weights(root: Path) -> None:
    facts = inspect(saved("sdxl", root))
    assert facts.pipeline_class == "StableDiffusionXLPipeline"
    assert facts.components["text_encoder_2"] == "CLIPTextModelWithProjection"
    assert set(facts.weights) == {"text_encoder", "text_encoder_2", "unet", "vae"}
    assert facts.weights["unet"].size_bytes == 4 * facts.weights["unet"].parameters
    assert facts.parameters == sum(part.parameters for part in facts.weights.values()) > 100_000
    assert facts.setting("vae", "force_upcast") is True
    assert facts.digest == check_manifest(saved("sdxl", root))


@pytest.mark.parametrize(
    ("name", "family", "factor", "size"),
    [
        ("sd", "sd", 2, (32, 32)),
        ("sd-inpainting", "sd", 2, (32, 32)),
        ("sdxl", "sdxl", 2, (32, 32)),
        ("sd3", "sd3", 4, (32, 32)),
        ("flux", "flux", 4, (256, 256)),
        ("pixart", None, 2, (32, 32)),
    ],
)
def test_the_family_is_found_out(name: str, family: str | None, factor: int, size: tuple[int, int], root: Path) -> None:
    choice = choose(inspect(saved(name, root)))
    assert (choice.family, choice.factor, choice.own_size) == (family, factor, size)
    check_sizes(choice, ((factor * 8, factor * 9),))
    with pytest.raises(ModelRefused, match=f"multiples of {factor}, got"):
        check_sizes(choice, ((factor * 8, factor * 8 + 1),))


@pytest.mark.parametrize("name", BUILDERS)
def test_any_may_be_called_whole_and_none_forced_into_another_family(name: str, root: Path) -> None:
    facts = inspect(saved(name, root))
    assert choose(facts, "other").family is None
    wrong = "flux" if name != "flux" else "sd"
    with pytest.raises(ModelRefused, match=f"expected a model of {wrong}, got {facts.pipeline_class}"):
        choose(facts, wrong)


@pytest.mark.parametrize(
    ("name", "file", "change", "why"),
    [
        ("sdxl", "model_index.json", {"requires_aesthetics_score": True}, "refiner"),
        ("sdxl", "model_index.json", {"text_encoder": [None, None]}, "no text_encoder"),
        ("sd", "unet/config.json", {"in_channels": 8}, "8 channels"),
        ("sd", "model_index.json", {"vae": ["diffusers", "AsymmetricAutoencoderKL"]}, "not of the usual class"),
        ("flux", "transformer/config.json", {"in_channels": 384}, "384 channels"),
    ],
)
def test_unusual_members_of_a_family_are_called_whole(
    name: str, file: str, change: dict[str, object], why: str, copied: Copied
) -> None:
    folder = copied(name)
    change_json(folder, file, **change)
    choice = choose(inspect(folder))
    assert choice.family is None
    assert why in choice.why


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ModelRefused, match=match):
        inspect(folder)


def test_pickles_are_refused_alone_and_beside_safetensors(folder: Path) -> None:
    marker = folder.parent / "ran"
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Pickled(marker)))
    write_manifest(folder)
    refused(folder, r"unet/diffusion_pytorch_model\.bin may be a pickle")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    write_manifest(folder)
    refused(folder, "may be a pickle")
    assert not marker.exists()


def test_a_folder_without_safetensors_is_refused(folder: Path) -> None:
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    write_manifest(folder)
    refused(folder, r"no \.safetensors")


def test_a_pipeline_class_of_the_folders_own_is_refused(folder: Path) -> None:
    change_json(folder, "model_index.json", _class_name=["pipeline", "Evil"])
    refused(folder, "never run")
    marker = put_canary(folder / "pipeline.py", "StableDiffusionPipeline")
    write_manifest(folder)
    refused(folder, r"holds code \(pipeline\.py\)")
    assert not marker.exists()


@pytest.mark.parametrize("library", ["my_unet", "os", "diffusers.utils", "../unet", ""])
def test_a_component_of_another_library_is_refused(folder: Path, library: str) -> None:
    change_json(folder, "model_index.json", unet=[library, "Evil"])
    refused(folder, "component unet is of library .* not trusted")


@pytest.mark.parametrize("value", [["diffusers"], ["diffusers", 3], [["diffusers"], "UNet2DConditionModel"]])
def test_a_component_that_is_no_library_and_class_is_refused(folder: Path, value: list[object]) -> None:
    change_json(folder, "model_index.json", unet=value)
    refused(folder, "component unet is not a library and a class")


def test_diffusers_own_pipeline_packages_are_trusted(folder: Path) -> None:
    change_json(folder, "model_index.json", safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    assert inspect(folder).components["safety_checker"] == "StableDiffusionSafetyChecker"


@pytest.mark.parametrize("name", ["helper.py", "unet/kernel.so", "unet/__pycache__/x.pyc", "HELPER.PY"])
def test_code_is_refused_wherever_it_lies(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    write_manifest(folder)
    refused(folder, "holds code")


@pytest.mark.parametrize("file", ["text_encoder/config.json", "tokenizer/tokenizer_config.json"])
def test_settings_that_map_to_remote_code_are_refused_however_deep(folder: Path, file: str) -> None:
    change_json(folder, file, inner={"list": [{"auto_map": {"AutoModel": "x--y.Z"}}]})
    refused(folder, rf"{file} asks for code")


def test_an_escape_does_not_hide_a_key(folder: Path) -> None:
    path = folder / "text_encoder" / "config.json"
    path.write_text(path.read_text().replace("{", '{"auto\\u005fmap": {},', 1))
    write_manifest(folder)
    refused(folder, "auto_map")


def test_links_out_of_the_folder_and_linked_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    link = folder / "extra.json"
    link.symlink_to(outside)
    write_manifest(folder)
    refused(folder, r"extra\.json is a link")
    link.unlink()
    link.symlink_to(tmp_path / "nothing")
    refused(folder, r"extra\.json is a link")
    link.unlink()
    (folder / "more").symlink_to(folder / "unet", target_is_directory=True)
    refused(folder, "more is a link")


def test_a_pipe_in_the_folder_is_refused_before_anyone_waits_for_it(folder: Path) -> None:
    os.mkfifo(folder / "config.json")
    refused(folder, r"config\.json is neither file nor folder")


def test_the_list_of_digests_is_checked(folder: Path) -> None:
    refused_digest = "sha256:" + "0" * 64
    with pytest.raises(ModelRefused, match="pinned"):
        inspect(folder, refused_digest)
    (folder / "unet" / "more.json").write_text("{}")
    refused(folder, r"unet/more\.json is not in")
    (folder / "unet" / "more.json").unlink()
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(folder, "expected sha256")
    weights.write_bytes(data)
    (folder / MANIFEST).unlink()
    refused(folder, "manifest")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data[:-100], "is cut"),
        (lambda data: data + b"more", "is cut"),
        (lambda data: data[:5], "not a whole"),
        (lambda data: (1 << 60).to_bytes(8, "little") + data[8:], "not a whole"),
        (lambda data: data[:8] + b"[" + data[9:], "damaged header"),
        (lambda _data: (2).to_bytes(8, "little") + b"[]", "damaged header"),
    ],
)
def test_a_safetensors_file_that_is_not_whole_is_refused(
    folder: Path, spoil: Callable[[bytes], bytes], told: str
) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(spoil(weights.read_bytes()))
    write_manifest(folder)
    refused(folder, rf"vae/diffusion_pytorch_model\.safetensors .*{told}")


def test_broken_settings_and_folders_that_are_no_model_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "vae" / "config.json").write_text("{")
    write_manifest(folder)
    refused(folder, r"vae/config\.json is not valid JSON")
    refused(tmp_path / "nowhere", "not there")
    (tmp_path / "empty").mkdir()
    write_manifest(tmp_path / "empty")
    refused(tmp_path / "empty", r"no model_index\.json")


def test_a_hub_cache_with_its_links_is_read_against_the_pinned_digest(folder: Path, tmp_path: Path) -> None:
    """The cache has a folder of files by hash, and snapshots of links to them."""
    repository = tmp_path / "models--house--tiny"
    snapshot = repository / "snapshots" / "abc"
    (folder / MANIFEST).unlink()
    expected = write_manifest(folder)
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        if path.name == MANIFEST:
            continue
        blob = repository / "blobs" / str(number)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(path.read_bytes())
        link = snapshot / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    assert inspect(snapshot, expected, root=repository).digest == expected
    with pytest.raises(ModelRefused, match="pinned"):
        inspect(snapshot, "sha256:" + "0" * 64, root=repository)
    with pytest.raises(ModelRefused, match=f"pin it by `digest: {expected}`"):
        inspect(snapshot, root=repository)
    refused(snapshot, "is a link")
    next((repository / "blobs").iterdir()).write_text(json.dumps({}))
    with pytest.raises(ModelRefused, match="pinned"):
        inspect(snapshot, expected, root=repository)
