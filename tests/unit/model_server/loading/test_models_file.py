from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model_server.embedded.package import WEIGHTS_FOLDER
from model_server.loading.catalogue import ModelEntry, entries_of, read_catalogue
from model_server.settings import Settings, SettingsError

DIGEST = "sha256:" + "a" * 64


def read(tmp_path: Path, text: str) -> tuple[ModelEntry, ...]:
    path = tmp_path / "models.yaml"
    path.write_text(text)
    return read_catalogue(path)


FULL = f"""
models:
  - id: poster
    folder: poster-xl
    family: sdxl
    digest: {DIGEST}
    sizes: [1024x1024, 1344x768]
    steps: {{default: 30, minimum: 10, maximum: 60}}
    guidance: {{default: 6, minimum: 1, maximum: 12}}
    strength: {{default: 0.6, minimum: 0.1, maximum: 1}}
    vary_strength: 0.7
    device: cuda:1
    dtype: bfloat16
    offload: model
    compile: off
    licence: CreativeML Open RAIL++-M
    description: Posters in the house's style.
  - id: quick
    kind: embedded
"""


def test_all_that_may_be_said_of_a_model_is_read_in_order(tmp_path: Path) -> None:
    poster, quick = read(tmp_path, FULL)
    assert (poster.id, quick.id, quick.kind) == ("poster", "quick", "embedded")
    assert poster.folder == tmp_path / "poster-xl"
    assert poster.sizes == ((1024, 1024), (1344, 768))
    assert poster.steps is not None
    assert poster.steps.limits.holds(30)
    assert poster.compile == "off"


def test_little_needs_to_be_said(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, "models: [{id: a, folder: /m}]")
    assert (entry.family, entry.dtype, entry.device, entry.offload, entry.compile) == (*["auto"] * 4, "off")
    assert entry.folder == Path("/m")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a", r"models\.yaml: expected `models:`"),
        ("models: []", r"models\.yaml: models: .*at least 1"),
        ("models: [", r"models\.yaml, line 1: not valid YAML"),
        ("models: !!python/object/apply:os.system ['true']", r"models\.yaml, line 1: not valid YAML"),
        ("other: 1\nmodels: [{id: a, folder: f}]", r"models\.yaml: other: is not a key"),
        ("models: [{folder: f}]", r"models\[0\]\.id: is missing"),
        ("models: [{id: a, folder: f, sise: 1}]", r"models\[a\]\.sise: is not a key"),
        ("models: [{id: a, folder: f, family: dalle}]", r"models\[a\]\.family: expected 'auto', 'sd'"),
        ("models: [{id: a, folder: f, sizes: [big]}]", r"models\[a\]\.sizes\.0: expected WIDTHxHEIGHT"),
        ("models: [{id: a, folder: f, steps: {default: 5, minimum: 9, maximum: 20}}]", r"\.steps: .*<= default"),
        ("models: [{id: a, folder: f, steps: {default: 5, minimum: 0, maximum: 20}}]", r"\.steps: .*within 1 to 1000"),
        ("models: [{id: a, folder: f, guidance: {default: 5, minimum: 1, maximum: 90}}]", r"\.guidance: .*0 to 50"),
        ("models: [{id: a, folder: f, strength: {default: 1, minimum: 0, maximum: 2}}]", r"\.strength: .*0 to 1"),
        ("models: [{id: a, folder: f, digest: md5}]", r"models\[a\]\.digest"),
        ("models: [{id: a, folder: f, device: tpu}]", r"models\[a\]\.device"),
        ("models: [{id: a, folder: f, hub: x/y}]", r"models\[a\]: expected folder, or hub"),
        ("models: [{id: a}]", r"models\[a\]: expected folder, or hub"),
        ("models: [{id: a, hub: ../x/y}]", r"models\[a\]\.hub"),
        ("models: [{id: a b, folder: f}]", r"models\[a b\]\.id"),
        ("models: [{id: a, folder: f}, {id: a, folder: g}]", r"two models have the id a"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_is_expected(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read(tmp_path, text)


def test_every_mistake_is_told_at_once_and_no_path_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, "models: [{id: a, folder: /secret/place, dtype: int8}, {id: b, folder: 3, offload: cloud}]")
    assert [name in str(caught.value) for name in ("models[a].dtype", "models[b].folder", "models[b].offload")] == [
        True
    ] * 3
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.yaml can't be read"):
        read_catalogue(tmp_path / "nothing.yaml")


def settings(**changes: Any) -> Any:
    values = {
        "models_path": None,
        "kind": "embedded",
        "path": None,
        "name": "",
        "digest": "",
        "sizes": (),
        "device": "cpu",
        "dtype": "float32",
        "threads": None,
    }
    return SimpleNamespace(**{**values, **changes})


def test_the_settings_of_one_model_are_a_list_of_one(tmp_path: Path) -> None:
    (entry,) = entries_of(settings())
    assert (entry.kind, entry.folder) == ("embedded", WEIGHTS_FOLDER)
    (entry,) = entries_of(settings(kind="diffusers", path=tmp_path / "xl", sizes=("512x512",)))
    assert (entry.id, entry.sizes, entry.device, entry.dtype) == ("xl", ((512, 512),), "cpu", "float32")
    with pytest.raises(SettingsError, match="sizes"):
        entries_of(settings(kind="diffusers", path=tmp_path / "xl", sizes=("512",)))
    with pytest.raises(SettingsError, match="path"):
        entries_of(settings(kind="diffusers"))


def test_the_servers_own_settings_fit(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(FULL)
    assert len(entries_of(Settings(insecure_no_auth=True, models_path=path))) == 2
    assert len(entries_of(Settings(insecure_no_auth=True))) == 1
