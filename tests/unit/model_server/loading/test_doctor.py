"""What doctor says of folders of real, tiny models; and that the how-to shows what it says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from model_server.__main__ import main
from model_server.errors import ModelRefused
from model_server.loading.catalogue import ModelEntry
from model_server.loading.doctor import Diagnosis, as_text, run
from model_server.loading.load import load
from model_server.manifest import write_manifest
from tests.unit.model_server.pipelines.families import saved

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "bring-your-own-model.md"
SHOWN = {"poster": "sdxl", "sketches": "pixart", "old": "sd"}
"""Which family stands for each model of the page."""


@pytest.fixture
def page_models(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """The page's own settings file, beside folders of the names in it."""
    for name, family in SHOWN.items():
        shutil.copytree(saved(family, tmp_path_factory.getbasetemp()), tmp_path / name)
    (tmp_path / "old" / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    content = yaml.safe_load(blocks("yaml")[0])
    for entry in content["models"]:
        entry["device"] = "cpu"  # the page shows a machine without a GPU
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "models.yaml"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def settings(path: Path) -> Any:
    return SimpleNamespace(models_path=path, threads=None)


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    status = run(settings(path), as_json=True)
    return status, {model["id"]: model for model in json.loads(capsys.readouterr().out)["models"]}


def without_figures(text: str) -> str:
    """The text with everything out of it that another machine would count differently."""
    text = re.sub(r"sha256:[0-9a-f]{64}", "DIGEST", text)
    return re.sub(r"[\d.,]+ (bytes|kB|MB|GB|TB)", "AMOUNT", text).strip()


def test_the_how_to_shows_what_the_program_says(page_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--models-path", str(page_models)]) == 1
    assert without_figures(capsys.readouterr().out) == without_figures(blocks("text")[0])


def test_every_key_of_the_file_is_in_the_how_to() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [key for key in ModelEntry.model_fields if f"`{key}`" not in page] == []


def test_it_says_for_machines_what_it_says_for_people(page_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, models = told(page_models, capsys)
    assert status == 1
    assert list(models) == ["poster", "sketches", "old"]
    poster = models["poster"]
    assert poster["sizes"] == ["64x64", "96x64"]
    assert poster["weights_bytes"] == 4 * poster["parameters"]
    assert poster["peak_bytes"] == 96 * 64 * 16 * 4 * 3
    assert poster["free_bytes"] > poster["weights_bytes"]
    assert poster["fits"] is True
    assert models["old"]["pipeline"] == ""


def test_what_it_promises_is_what_loads(page_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelRefused) as caught:
        load(settings(page_models))
    _, models = told(page_models, capsys)
    assert str(caught.value) == f"old: {models['old']['refusal']}"
    (page_models.parent / "old" / "unet" / "diffusion_pytorch_model.bin").unlink()
    status, models = told(page_models, capsys)
    assert status == 0
    for name, model in load(settings(page_models)).items():
        can = model.capabilities
        assert [can.digest, list(can.tasks)] == [models[name]["digest"], models[name]["tasks"]]
        assert [f"{width}x{height}" for width, height in can.sizes] == models[name]["sizes"]
        assert can.device == models[name]["device"]


def test_a_pipeline_for_other_tasks_is_told_where_there_is_one(
    page_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(page_models.read_text())
    content["models"] = [{**entry, "family": "other"} for entry in content["models"][:2]]
    page_models.write_text(yaml.safe_dump(content))
    _, models = told(page_models, capsys)
    assert models["poster"]["tasks"] == ["generate", "edit", "vary"]
    assert models["poster"]["path"].startswith("whole pipeline")
    assert models["poster"]["why"] == "asked for in the settings"
    assert models["sketches"]["tasks"] == ["generate"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sizes": ["65x64"]}, "multiples of 2"),
        ({"family": "flux"}, "expected a model of flux"),
        ({"digest": "sha256:" + "0" * 64}, "pinned"),
        ({"offload": "model"}, "offload"),
        ({"folder": "nowhere"}, "not there"),
    ],
)
def test_the_exact_refusal_is_told(
    change: dict[str, Any], why: str, page_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(page_models.read_text())
    content["models"] = [{**content["models"][0], **change}]
    page_models.write_text(yaml.safe_dump(content))
    status, models = told(page_models, capsys)
    assert status == 1
    assert why in models["poster"]["refusal"]


def test_the_embedded_model_is_looked_at_too(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--path", str(tiny_folder)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("tiny: would load")
    assert "step engine (embedded)" in text
    spoilt = tiny_folder / "more.json"
    spoilt.write_text("{}")
    assert main(["doctor", "--path", str(tiny_folder)]) == 1
    spoilt.unlink()
    assert "more.json is not in" in capsys.readouterr().out


def test_a_wrong_settings_file_is_told_and_no_secret_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models: [{id: a, folder: f, size: 1}]")
    assert main(["doctor", "--models-path", str(path)]) == 1
    assert "models.yaml: models[a].size: is not a key" in capsys.readouterr().out
    assert main(["--models-path", str(path), "doctor", "--json"]) == 1
    assert "models[a].size" in json.loads(capsys.readouterr().out)["error"]


def test_too_little_memory_is_told_loudly() -> None:
    one = Diagnosis(
        "big", device_name="card", offload="none", weights_bytes=9_000, peak_bytes=2_000, free_bytes=10_000,
        sizes=("8x8", "16x16"),
    )  # fmt: skip
    assert "10.0 kB free on card: TOO LITTLE NOW" in as_text([one])
    assert "2.0 kB to decode 16x16 (estimated)" in as_text([one])


def test_nothing_of_the_folder_is_run(page_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marker = page_models.parent / "ran"
    (page_models.parent / "poster" / "sitecustomize.py").write_text(f"open({str(marker)!r}, 'w')")
    write_manifest(page_models.parent / "poster")
    status, models = told(page_models, capsys)
    assert status == 1
    assert "holds code" in models["poster"]["refusal"]
    assert not marker.exists()
